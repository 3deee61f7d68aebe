"""Figure: losses of each dataset predicted by a fit without it, against the measured ones."""

import numpy as np

from robustlaws.figures.drawing import inputs, plotted_data, style
from robustlaws.formatting import numbers
from robustlaws.storage import tables

_UNKNOWN = "\N{EN DASH}"  # for an R² that is none, as of runs with one loss


def draw(*, paths, held_out, laws):
    """Draw one panel per law that can predict a dataset from the others.

    Parameters
    ----------
    held_out : list of paths
        Tables `tables.PREDICTIONS`, each run predicted without its dataset; empty ones are named below the panels.
    laws : list of paths
        Law files, whose "held_out" and "r2_by_dataset" give R² without and with the dataset.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    laws = inputs.read_laws(laws)
    table = inputs.read_tables(held_out, tables.PREDICTIONS)
    table = table[(table["loss"] > 0) & (table["predicted"] > 0)]
    shown = [law for law in laws if (table["law"] == law["law"]).any()]
    silent = [inputs.title(law) for law in laws if law not in shown]
    order = inputs.fid_order(zip(table["dataset"], table["fid"], strict=True))
    looks = style.dataset_looks(order)
    limits = style.padded([*table["loss"], *table["predicted"]])
    columns = min(len(shown), 3) or 1
    rows = -(-len(shown) // columns) or 1
    panel, lines = {1: 4.6, 2: 4.0}.get(columns, 2.9), 0.19 * (len(order) + 2) + 0.15
    with style.drawing(paths, (panel + lines) * rows + 0.3) as figure:
        figure.suptitle("Datasets predicted without having been seen")
        if not shown:
            style.nothing(figure.subplots(), _why_nothing(laws))
            return
        # matplotlib does not make room for a legend below panels of equal scales, so it has a place of its own
        grid = figure.subplots(2 * rows, columns, squeeze=False, gridspec_kw={"height_ratios": [panel, lines] * rows})
        places = list(zip(grid[::2].ravel(), grid[1::2].ravel(), strict=True))
        for axes in grid[1::2].ravel():
            axes.set_axis_off()
        for axes, _ in places[len(shown) :]:
            axes.remove()
        every = []
        for law, (axes, below) in zip(shown, places, strict=False):
            handles = _panel(axes, table[table["law"] == law["law"]], law, looks, order, limits, columns)
            legend = below.legend(handles=handles, loc="upper center", borderaxespad=0, alignment="left",
                                  title="R² unseen (R² of the fit to all)", title_fontsize=style.SMALLEST)  # fmt: skip
            legend.set_in_layout(False)  # a long name must not press the panels together
            every += handles
            axes.set_xlabel("measured loss (nats)")
            if axes.get_subplotspec().is_first_col():
                axes.set_ylabel("predicted loss (nats)")
        remarks = [f"No dataset predicted from the others: {'; '.join(silent)}."] if silent else []
        if any(_UNKNOWN in handle.get_label() for handle in every):
            remarks.append(f"{_UNKNOWN}: {numbers.NOT_DETERMINED}.")
        style.below(figure, lines=remarks)


def _why_nothing(laws):
    if not laws:
        return "no law was fitted"
    return "no law could be fitted without one of the datasets: that takes three datasets with a FID, and enough runs"


def _panel(axes, table, law, looks, order, limits, columns):
    axes.plot(limits, limits, color=style.FAINT, linewidth=1.2, zorder=1)
    handles = []
    for dataset, look in looks.items():
        mine = table[table["dataset"] == dataset]
        if mine.empty:
            continue
        plotted_data.points(axes, mine["loss"], mine["predicted"], series=dataset, label=mine["run"], color=look.colour,
                     marker=look.marker, alpha=0.8)  # fmt: skip
        unseen = ((law.get("held_out") or {}).get(dataset) or {}).get("r2")
        text = f"{_r2(unseen)} ({_r2((law.get('r2_by_dataset') or {}).get(dataset))})"
        name = style.dataset_label(dataset, order[dataset], 18) if columns < 3 else style.short(dataset, 18)
        handles.append(style.handle(f"{name}: {text}", look.colour, marker=look.marker))
    for which in "xy":
        style.log_axis(axes, which, limits, lambda value: f"{value:.3g}", most=5)
    axes.set_aspect("equal")
    axes.set_title(style.wrapped(style.short(inputs.title(law), 78), 27 if columns > 2 else 44), fontsize=9)
    error = float(np.median(np.abs(table["predicted"] / table["loss"] - 1)))
    axes.text(0.04, 0.96, f"{numbers.plural(len(table), 'point')}\nmedian error {numbers.percent(error)}",
              transform=axes.transAxes, va="top", fontsize=8.5)  # fmt: skip
    return handles


def _r2(value):
    if value is None:
        return _UNKNOWN
    return numbers.number(value).replace("-", "\N{MINUS SIGN}")
