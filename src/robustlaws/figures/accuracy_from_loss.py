"""Figure: adversarial accuracy against adversarial loss, with the fitted line."""

import numpy as np
from matplotlib.patches import Patch

from robustlaws.figures.drawing import inputs, plotted_data, style
from robustlaws.formatting import numbers
from robustlaws.intervals import percentile_interval
from robustlaws.laws import bootstrap_table
from robustlaws.laws.accuracy import of_loss
from robustlaws.storage import tables
from robustlaws.storage.atomic import read_json

_LINE, _LEFT_OUT = "line", "left out of the line: real images mixed in"
_HOLLOW = {"markerfacecolor": "none", "markeredgewidth": 1}


def draw(*, paths, runs, accuracy, accuracy_refits):
    """Draw the runs, the line and its interval.

    Runs that mix real images in, which the line leaves out, are drawn hollow; those of another recipe are not drawn.

    Parameters
    ----------
    runs : path
        Table `tables.RUNS`.
    accuracy : path
        JSON of the line: accuracy = intercept + slope x loss, with "r2" and "interval".
    accuracy_refits : path
        Table `tables.REFITS` of the line.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    table = inputs.of_the_study(tables.read(runs, tables.RUNS))
    table = table[table["adv_loss"].notna()]
    left_out = table[(table["real_fraction"] > 0) & table["adv_acc"].notna()]
    runs = table[table["real_fraction"] == 0]
    shown = runs[runs["adv_acc"].notna()]
    line = read_json(accuracy)
    samples = bootstrap_table.samples(tables.read(accuracy_refits, tables.REFITS), "accuracy")
    known = numbers.is_determined(line.get("intercept")) and numbers.is_determined(line.get("slope"))
    order = inputs.fid_order(zip(shown["dataset"], shown["fid"], strict=True))
    looks = style.dataset_looks(order)
    with style.drawing(paths, 4.6) as figure:
        figure.suptitle("Adversarial accuracy from adversarial loss")
        axes = figure.subplots()
        if shown.empty and left_out.empty and (runs.empty or not known):
            style.nothing(axes, "no run has both a loss and an accuracy")
            return
        for dataset, look in looks.items():
            mine = shown[shown["dataset"] == dataset]
            plotted_data.points(axes, mine["adv_loss"], mine["adv_acc"], series=dataset, label=mine["run"],
                         marker=look.marker, color=look.colour, alpha=0.85)  # fmt: skip
        handles, remarks = style.dataset_handles(looks, order), []
        if len(left_out):
            plotted_data.points(axes, left_out["adv_loss"], left_out["adv_acc"], series=_LEFT_OUT,
                         label=left_out["run"], color=style.FAINT, **_HOLLOW)  # fmt: skip
            handles.append(style.handle(_LEFT_OUT, style.FAINT, marker="o", **_HOLLOW))
        losses = runs["adv_loss"] if shown.empty else shown["adv_loss"]
        if known and len(losses):
            handles += _line(axes, losses, line, samples)
            remarks += [] if len(shown) else ["None of the runs that a line is fitted to has an accuracy."]
        elif not known:
            why = next((c["why"] for c in (line.get("slope"), line.get("intercept")) if c and c.get("why")), "")
            remarks.append(f"Line {numbers.NOT_DETERMINED}: {why or 'no reason given'}.")
        if line.get("source"):
            remarks.append(f"Line: {line['source']}.")
        _summary(axes, line, len(shown), known)
        placed = [*shown.index, *left_out.index] if len(shown) else []
        _scales(axes, table.loc[placed, "adv_loss"], table.loc[placed, "adv_acc"])
        style.below(figure, handles, remarks)


def _line(axes, losses, line, samples):
    """Draw the line over the losses and a little beyond, with the interval of its refits; return legend entries."""
    room = 0.05 * (losses.max() - losses.min())
    x = np.linspace(losses.min() - room, losses.max() + room, 100)
    handles = [style.handle(_LINE, style.INK, linestyle="-")]
    if len(samples.get("slope", ())) > 1:
        level = (line.get("interval") or {}).get("level", 0.9)
        every = samples["intercept"][1:, None] + samples["slope"][1:, None] * x
        low, high = percentile_interval(every[np.isfinite(every).all(axis=1)], level)
        plotted_data.band(axes, x, np.clip(low, 0, 1), np.clip(high, 0, 1), series=_LINE, color=style.INK, alpha=0.16)
        handles.append(Patch(color=style.INK, alpha=0.16, label=f"{100 * level:.3g}% interval of the line"))
    plotted_data.line(axes, x, of_loss(line, x), series=_LINE, color=style.INK)
    return handles


def _summary(axes, line, count, known):
    """Write what the line is in the corner that a falling line leaves free."""
    lines = [numbers.plural(count, "run")] if count else []
    if known:
        if line.get("r2") is not None:
            lines.insert(0, f"R² = {numbers.r_squared(line['r2'])}")
        intercept, slope = line["intercept"]["value"], line["slope"]["value"]
        sign = "-" if slope < 0 else "+"
        lines.insert(0, f"accuracy = {numbers.number(intercept, 4)} {sign} {numbers.number(abs(slope), 4)} L")
    axes.text(0.98, 0.97, "\n".join(lines), transform=axes.transAxes, ha="right", va="top", fontsize=9)


def _scales(axes, losses, accuracies):
    if len(losses):
        # at least this much, so that two equal runs do not look far apart
        for values, least, move in ((losses, 0.02, axes.set_xlim), (accuracies, 0.02, axes.set_ylim)):
            low, high = min(values), max(values)
            room = max(0.06 * (high - low), least)
            move(low - room, high + room)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
    axes.set_xlabel("adversarial loss L (nats)")
    axes.set_ylabel("adversarial accuracy")
