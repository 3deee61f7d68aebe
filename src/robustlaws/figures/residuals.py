"""Figure: residuals of each law against N, D, FID and FLOPs."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from robustlaws.figures.drawing import inputs, plotted_data, style
from robustlaws.formatting import numbers
from robustlaws.storage import tables

_ACROSS = (
    ("params", "N (parameters)", numbers.count),
    ("images", "D (images)", numbers.count),
    ("fid", "FID", lambda value: f"{value:.3g}"),
    ("flops", "FLOPs", numbers.scientific),
)
_BINS = 8  # of the running median, where an axis has more levels than that


def draw(*, paths, predictions, laws):
    """Draw one row of panels per law that predicts losses: ln(predicted / measured) against each quantity.

    Parameters
    ----------
    predictions : list of paths
        Tables `tables.PREDICTIONS`; empty ones are named below the panels.
    laws : list of paths
        Law files: titles, and the Huber loss's delta where the file gives it ("fit": {"huber_delta"}).

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    laws = inputs.read_laws(laws)
    table = inputs.read_tables(predictions, tables.PREDICTIONS)
    table = table[(table["loss"] > 0) & (table["predicted"] > 0)]
    table = table.assign(residual=100 * np.log(table["predicted"] / table["loss"]))
    shown = [law for law in laws if (table["law"] == law["law"]).any()]
    silent = [inputs.title(law) for law in laws if law not in shown]
    order = inputs.fid_order(zip(table["dataset"], table["fid"], strict=True))
    looks = style.dataset_looks(order)
    with style.drawing(paths, 2.35 * max(len(shown), 1) + 0.5) as figure:
        figure.suptitle("Residuals of the laws")
        if not shown:
            style.nothing(figure.subplots(), "no law predicts single runs, or none could be fitted")
            return
        parts = figure.subfigures(len(shown), 1, squeeze=False)[:, 0]
        for part, law in zip(parts, shown, strict=True):
            _row(part, table[table["law"] == law["law"]], law, looks)
        style.below(figure, _handles(looks, order, shown), _remarks(shown, silent))


def _row(part, table, law, looks):
    worst = table.loc[table["residual"].abs().idxmax()]
    typical = table["residual"].abs().median()
    part.suptitle(
        f"{style.short(inputs.title(law), 60)}\n{numbers.plural(len(table), 'point')}, median distance {typical:.2g}%; "
        f"largest (circled) {_percent(worst['residual'])}: {style.short(worst['run'], 48)}",
        x=0.01, ha="left", fontsize=9, fontweight="normal", linespacing=1.4,
    )  # fmt: skip
    grid = part.subplots(1, len(_ACROSS), sharey=True)
    delta = (law.get("fit") or {}).get("huber_delta")
    reach = 1.18 * max(table["residual"].abs().max(), 100 * (delta or 0), 1e-6)
    for axes, (column, name, text) in zip(grid, _ACROSS, strict=True):
        plotted_data.name(axes, f"{inputs.title(law)}: {name}")
        _panel(axes, table, column, looks, delta)
        plotted_data.keep(axes, "level", "zero", y=0)
        axes.plot(worst[column], worst["residual"], "o", color=style.INK, markerfacecolor="none", markersize=11,
                  markeredgewidth=1.2, zorder=5)  # fmt: skip
        _scale(axes, table[column], text)
        axes.set_xlabel(name)
    grid[0].set_ylim(-reach, reach)
    grid[0].yaxis.set_major_locator(MaxNLocator(5, symmetric=True))
    grid[0].yaxis.set_major_formatter(lambda value, _: _percent(value))
    grid[0].set_ylabel("predicted above\nmeasured loss")


def _panel(axes, table, column, looks, delta):
    axes.axhline(0, color=style.INK, linewidth=1, zorder=2)
    if delta:
        for sign in (1, -1):
            plotted_data.level(axes, sign * 100 * delta, series="delta of the Huber loss", color=style.RED,
                        linestyle=style.DASHES[2], linewidth=1, zorder=2)  # fmt: skip
    for dataset, look in looks.items():
        mine = table[table["dataset"] == dataset]
        plotted_data.points(axes, mine[column], mine["residual"], series=dataset, label=mine["run"], color=look.colour,
                     marker=look.marker, alpha=0.75, markersize=4, zorder=3)  # fmt: skip
    middles, medians = running_median(table[column], table["residual"])
    if len(middles) > 1:
        plotted_data.line(axes, middles, medians, series="running median", color=style.INK, linewidth=1.6, zorder=4)


def running_median(x, y, bins=_BINS):
    """Return (x, median of y) of neighbouring points, from the smallest x to the largest.

    Points within 5% of one another in x are one level. If there are more levels than `bins`, neighbouring levels are
    joined so that each bin holds about as many points.

    Parameters
    ----------
    x, y : arrays (n,)
    """
    order = np.argsort(np.asarray(x, dtype=float), kind="stable")
    x, y = np.asarray(x, dtype=float)[order], np.asarray(y, dtype=float)[order]
    starts = np.flatnonzero(np.concatenate([[True], x[1:] > 1.05 * x[:-1] + 1e-9])) if len(x) else np.array([], int)
    if len(starts) > bins:
        wanted = np.arange(bins) * len(x) / bins
        starts = np.unique(starts[np.searchsorted(starts, wanted, side="right") - 1])
    parts = list(zip(np.split(x, starts[1:]), np.split(y, starts[1:]), strict=True)) if len(x) else []
    return [float(np.median(part)) for part, _ in parts], [float(np.median(part)) for _, part in parts]


def _percent(value):
    return f"{value:+.3g}%".replace("-", "\N{MINUS SIGN}") if value else "0"


def _scale(axes, values, text):
    limits = style.padded(values, least=2) if (values > 0).all() else None
    if limits is None:  # a FID of 0 has no place on a logarithmic scale
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.xaxis.set_major_formatter(lambda value, _: text(value))
        return
    style.log_axis(axes, "x", limits, text, most=3)


def _handles(looks, order, shown):
    handles = style.dataset_handles(looks, order)
    handles.append(style.handle("running median", linestyle="-", linewidth=1.6))
    if any((law.get("fit") or {}).get("huber_delta") for law in shown):
        handles.append(style.handle("delta of the Huber loss", style.RED, linestyle=style.DASHES[2]))
    return handles


def _remarks(shown, silent):
    deltas = {inputs.title(law): (law.get("fit") or {}).get("huber_delta") for law in shown}
    lines = [
        f"{'; '.join(title for title, other in deltas.items() if other == delta)}: a residual beyond "
        f"\N{PLUS-MINUS SIGN}{numbers.number(100 * delta)}% counts linearly in the Huber loss that was fitted."
        for delta in dict.fromkeys(deltas.values())
        if delta
    ]
    if silent:
        lines.append(f"Without predictions for single runs: {'; '.join(silent)}.")
    return lines
