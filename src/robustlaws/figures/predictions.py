"""Figure: adversarial losses predicted by the laws against the measured ones."""

import math

import numpy as np

from robustlaws.figures.drawing import inputs, plotted_data, style
from robustlaws.formatting import numbers
from robustlaws.storage import tables


def draw(*, paths, predictions, laws):
    """Draw one panel per law that predicts losses.

    Parameters
    ----------
    predictions : list of paths
        Tables `tables.PREDICTIONS`; empty ones are named below the panels.
    laws : list of paths
        Law files, which give title and R².

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    laws = inputs.read_laws(laws)
    table = inputs.read_tables(predictions, tables.PREDICTIONS)
    shown = [law for law in laws if (table["law"] == law["law"]).any()]
    silent = [inputs.title(law) for law in laws if law not in shown]
    order = inputs.fid_order(zip(table["dataset"], table["fid"], strict=True))
    looks = style.dataset_looks(order)
    limits = style.padded([*table["loss"], *table["predicted"]])
    rows = math.ceil(len(shown) / 3) or 1
    with style.drawing(paths, {1: 5.0, 2: 4.1}.get(len(shown), 3.0) * rows + 0.4) as figure:
        figure.suptitle("Predicted against measured adversarial loss")
        if not shown:
            style.nothing(figure.subplots(), "no law predicts single runs, or none could be fitted")
            return
        grid = style.panels(figure, len(shown))
        for axes, law in zip(grid, shown, strict=True):
            _panel(axes, table[table["law"] == law["law"]], law, looks, limits, 27 if len(shown) > 2 else 44)
        style.outer_labels(grid, "measured loss (nats)", "predicted loss (nats)")
        handles = style.dataset_handles(looks, order)
        style.below(figure, handles, [f"Without predictions for single runs: {'; '.join(silent)}."] if silent else [])


def _panel(axes, table, law, looks, limits, columns):
    plotted_data.name(axes, inputs.title(law))
    plotted_data.line(axes, limits, limits, series="exact", color=style.FAINT, linewidth=1.2, zorder=1)
    for dataset, look in looks.items():
        mine = table[table["dataset"] == dataset]
        plotted_data.points(axes, mine["loss"], mine["predicted"], series=dataset, label=mine["run"],
                     marker=look.marker, color=look.colour, alpha=0.8)  # fmt: skip
    for which in "xy":
        style.log_axis(axes, which, limits, lambda value: f"{value:.3g}", most=5)
    axes.set_aspect("equal")
    axes.set_title(style.wrapped(inputs.title(law), columns), fontsize=9)
    error = float(np.median(np.abs(table["predicted"] / table["loss"] - 1)))
    r2 = f"R² {numbers.NOT_DETERMINED}" if law.get("r2") is None else f"R² = {numbers.r_squared(law['r2'])}"
    axes.text(0.04, 0.96, f"{r2}\n{numbers.plural(len(table), 'point')}\nmedian error {numbers.percent(error)}",
              transform=axes.transAxes, va="top", fontsize=8.5)  # fmt: skip
