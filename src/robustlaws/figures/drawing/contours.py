"""Panels of equal loss over budget and model size, or budget and images, with the best use of a budget."""

import matplotlib
import numpy as np
from matplotlib.colors import BoundaryNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from robustlaws.figures.drawing import fitted_laws, plotted_data, style
from robustlaws.formatting import numbers

_BEYOND = 10.0  # how far past the dearest run the budgets go where N* is determined
_LEVELS = 12
_QUANTITIES = (("params", "N", "model size (parameters)"), ("images", "D", "training images"))


def draw(figure, fit, points, dataset, others=()):
    """Draw the contours of `fit` on one dataset: FLOPs against N (left) and against D (right).

    If N* is not determined, the law is shown only where runs of the study surround it, and N* is not shown.

    Parameters
    ----------
    figure : figure or subfigure
    fit : fitted_laws.Fit
    points : data frame
        All observations of the study (`fit_panels.observations`): they bound the panels.
    dataset : str
        Its points are drawn; one of `fit.datasets()`.
    others : sequence of fitted_laws.Fit
        Fits whose N* is drawn too; they must determine it.

    Returns
    -------
    handles : list
        Entries for the legend.
    """
    fid = fit.datasets()[dataset]
    known = not fit.why_not(dataset)
    mine = points[points["dataset"] == dataset]
    limits, fields = _fields(fit, fid, points, known)
    losses = np.array([loss for _, _, loss in fields.values()])
    # an unbounded panel has corners far above all runs
    levels = _levels(mine["loss"], losses, losses.min() if known else losses.max())
    colours = matplotlib.colormaps["cividis"]
    norm = BoundaryNorm(levels, colours.N, extend="max")
    grid = figure.subplots(1, 2)
    for axes, (quantity, symbol, label) in zip(grid, _QUANTITIES, strict=True):
        plotted_data.name(axes, f"{symbol} against FLOPs")
        axes.grid(visible=False)
        filled = axes.contourf(*fields[quantity], levels=levels, cmap=colours, norm=norm, extend="max")
        plotted_data.contours(axes, *fields[quantity], series=fit.name, levels=levels, colors="white", linewidths=0.5,
                       alpha=0.6)  # fmt: skip
        plotted_data.keep(axes, "points", dataset, x=mine["flops"], y=mine[quantity], z=mine["loss"], label=mine["run"])
        axes.scatter(mine["flops"], mine[quantity], c=mine["loss"], cmap=colours, norm=norm, s=26, edgecolors="white",
                     linewidths=1.0, zorder=3)  # fmt: skip
        if known:
            budgets = np.geomspace(*limits["flops"], 60)
            _best(axes, fit, fid, budgets, quantity)
            for other in others:
                _best(axes, other, fid, budgets, quantity, dash=style.DASHES[1])
        style.log_axis(axes, "x", limits["flops"], numbers.scientific, most=5)
        style.log_axis(axes, "y", limits[quantity], numbers.count, most=6)
        axes.set_xlabel("training FLOPs")
        axes.set_ylabel(label)
        title = style.dataset_label(dataset, fid, 20)
        title = f"{symbol}* on {title}" if known else f"{title}: fit only,\n{symbol}* {numbers.NOT_DETERMINED}"
        axes.set_title(title, fontsize=9)
    bar = figure.colorbar(filled, ax=list(grid), pad=0.02, fraction=0.05, ticks=levels[::2])
    bar.set_label("loss (nats)")
    bar.ax.set_yticklabels([numbers.number(level) for level in levels[::2]])
    return _handles(known, fit, others)


def _fields(fit, fid, points, known):
    """Return the limits of N, D and FLOPs, and {quantity: (FLOPs, its values, losses)}, arrays (m, n).

    Panels with a known N* are filled. Elsewhere both are spanned by the N and D of the study, no further.
    """
    limits = {name: style.padded(points[name], 0.06, least=1.5) for name in ("flops", "params", "images")}
    k = fit.flops_per_parameter_image
    if not known:
        params, images = (np.geomspace(points[name].min(), points[name].max(), 120) for name in ("params", "images"))
        params, images = params[:, None] * np.ones(120), images * np.ones((120, 1))
        loss = fit.loss(params, images, fid)
        return limits, {"params": (k * params * images, params, loss), "images": (k * params * images, images, loss)}
    limits["flops"] = limits["flops"][0], _BEYOND * points["flops"].max()
    for name, best in zip(("params", "images"), fit.optimum(np.array(limits["flops"]), fid), strict=True):
        limits[name] = style.padded([*limits[name], *best[0]], 0.0)
    fields = {}
    for quantity in ("params", "images"):
        flops, values = np.meshgrid(np.geomspace(*limits["flops"], 120), np.geomspace(*limits[quantity], 120))
        rest = flops / (k * values)
        params, images = (values, rest) if quantity == "params" else (rest, values)
        fields[quantity] = flops, values, fit.loss(params, images, fid)
    return limits, fields


def _levels(measured, field, top):
    """Return the losses of the contours, from the lowest to `top` and all measured; what is above counts as one."""
    low = min(field.min(), measured.min()) * 0.999
    return np.geomspace(low, max(top, measured.max(), 1.05 * low) * 1.01, _LEVELS)


def _best(axes, fit, fid, budgets, quantity, dash="-"):
    best, low, high = fit.optimum(budgets, fid)[("params", "images").index(quantity)]
    plotted_data.band(axes, budgets, low, high, series=fit.name, color=style.RED, alpha=0.22, zorder=2)
    plotted_data.line(axes, budgets, best, series=fit.name, color="white", linewidth=3.2, alpha=0.8, zorder=2.1)
    axes.plot(budgets, best, color=style.RED, linewidth=1.8, linestyle=dash, zorder=2.2)


def _handles(known, fit, others):
    handles = [Line2D([], [], color=style.FAINT, marker="o", markeredgecolor="white", linestyle="", markersize=7,
                      label="runs, filled with their loss")]  # fmt: skip
    if known:
        label = "N* and D*, two stages" if fit.name != "additive" and others else "N* and D*"
        handles.append(Line2D([], [], color=style.RED, linewidth=1.8, label=label))
        handles += [Line2D([], [], color=style.RED, linestyle=style.DASHES[1], label="in one stage") for _ in others]
        handles.append(Patch(color=style.RED, alpha=0.22, label=fitted_laws.interval_label([fit.summary])))
    return handles
