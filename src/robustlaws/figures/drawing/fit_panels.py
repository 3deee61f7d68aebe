"""Panels of measured losses and one law's curves, shared by the figures of a fit."""

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from robustlaws.figures.drawing import plotted_data, style
from robustlaws.formatting import numbers

_COLUMNS = ("run", "model", "dataset", "params", "images", "fid", "flops", "loss")


def observations(runs, fit, predictions):
    """Return the observations of runs that laws may use; `seen`: whether the fit was fitted to them.

    Parameters
    ----------
    runs : data frame
        As `tables.RUNS`, only runs that laws may use; they fill in what the table of predictions does not hold.
    fit : fits.Fit or None
        Without a fit all are `seen`.
    predictions : data frame
        As `tables.PREDICTIONS`, of any laws: their losses are those at the observation, which need not be a run's end.

    Returns
    -------
    data frame
        run, model, dataset, params, images, fid, flops, loss, seen; by rising size of the model
    """
    own = predictions[predictions["law"] == fit.name] if fit is not None else predictions.iloc[:0]
    rest = runs[~runs["run"].isin(own["run"])].rename(columns={"adv_loss": "loss"})
    unseen = own["dataset"].isin(fit.held_out() if fit is not None else ())
    parts = [own[list(_COLUMNS)].assign(seen=~unseen), rest[list(_COLUMNS)].assign(seen=fit is None)]
    parts = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(parts, ignore_index=True).sort_values(["params", "run"], kind="stable")


def spread(names, most):
    """Return at most `most` of the names, evenly, the first and the last among them."""
    if len(names) <= most:
        return list(names)
    return [names[i] for i in np.linspace(0, len(names) - 1, most).round().astype(int)]


def grid_of(count):
    """Return rows and columns for `count` panels: up to four in a row, more in two; a row where there is none."""
    return (1, count) if count < 5 else (2, (count + 1) // 2)


def panel(axes, points, fit, looks, of, across):
    """Draw the losses and the law's lines of one panel.

    Parameters
    ----------
    points : data frame
        As `observations` gives them; drawn hollow where not `seen`.
    fit : fits.Fit or None
        Its lines run over the panel's own range of images.
    looks : dict of str to style.Look
    of : str
        Column that tells what a line and its points share: "model" or "dataset".
    across : str
        Column of the x axis: "flops" or "images".
    """
    for name, look in looks.items():
        mine = points[points[of] == name]
        if mine.empty:
            continue
        for seen, fill in ((True, look.colour), (False, "white")):
            part = mine[mine["seen"] == seen]
            plotted_data.points(axes, part[across], part["loss"], series=name, label=part["run"], marker=look.marker,
                         color=look.colour, markerfacecolor=fill, markeredgecolor=look.colour, markeredgewidth=0.9,
                         markersize=4.2)  # fmt: skip
        if fit is not None:
            images = np.geomspace(points["images"].min(), points["images"].max(), 60)
            loss = fit.loss(mine["params"].median(), images, mine["fid"].iloc[0])
            cost = float((mine[across] / mine["images"]).median())
            plotted_data.line(
                axes,
                cost * images,
                loss,
                series=f"{fit.name}: {name}",
                color=look.colour,
                linestyle=look.dash,
                linewidth=1.2,
                zorder=1.8,
            )


def scales(grid, points, across, text, columns):
    """Give all panels the same scales; `text` turns a value of the x axis into what stands at its tick."""
    over = style.padded(points[across], 0.05, least=1.5)
    losses = style.padded(points["loss"], 0.07)
    for axes in grid:
        style.log_axis(axes, "x", over, text, most={1: 7, 2: 5, 3: 4}.get(columns, 3))
        style.log_axis(axes, "y", losses, lambda value: f"{value:.3g}", most=6)


def corner(axes, text):
    """Write a remark into the lower left corner: losses fall to the right."""
    axes.text(0.03, 0.03, text, transform=axes.transAxes, ha="left", va="bottom", fontsize=style.SMALLEST,
              bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.0})  # fmt: skip


def r2_label(r2):
    """Return `R² = 0.970`, or "" where there is none."""
    return "" if r2 is None else f"R² = {numbers.r_squared(r2)}"


def handles(looks, labels, points, fit):
    """Return the legend: one entry a line, and what is hollow."""
    lines = [
        Line2D([], [], color=look.colour, marker=look.marker, markersize=5, markeredgewidth=0, label=labels[name],
               linestyle="" if fit is None else look.dash)
        for name, look in looks.items()
    ]  # fmt: skip
    if not points["seen"].all():
        lines.append(Line2D([], [], color=style.FAINT, marker="o", markerfacecolor="white", markersize=5,
                            markeredgewidth=0.9, linestyle="", label="not seen by the fit"))  # fmt: skip
    return lines


def model_labels(points):
    """Return model -> `wrn-28-10 (36.5M)`, by rising size."""
    sizes = points.groupby("model")["params"].median().sort_values(kind="stable")
    return {model: f"{style.short(model, 18)} ({numbers.count(size)})" for model, size in sizes.items()}
