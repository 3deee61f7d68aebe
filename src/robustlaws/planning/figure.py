"""Figure of the plan: N* of each law near a budget, the compute-efficient region, and the overhead by size."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from robustlaws.figures.drawing import plotted_data, style
from robustlaws.formatting import numbers

_AROUND = 30.0  # budgets that are drawn, over and under the planned one
_MOST_OVERHEAD = 1.0


def draw(*, paths, lines, flops, region, runs, networks, curve, marks):
    """Draw N* against FLOPs (left) and the overhead against N (right).

    Parameters
    ----------
    paths : dict
        As :func:`style.drawing`.
    lines : list of dict
        "law", "title" and "params", "low", "high": functions of FLOPs (m,) that return arrays (m,), of each law that
        determines N*.
    flops : float
        The budget.
    region : (float, float) or None
        Lowest and highest N* of the laws at the budget.
    runs : (float array, float array)
        FLOPs and N of the study's runs.
    networks : list of (str, float, float)
        Name, FLOPs and N of the real networks for the budget.
    curve : (float array, float array, float array, float array)
        N, overhead as a share, and the ends of its interval.
    marks : list of (str, float, float)
        Name, N and overhead of models on the curve.
    """
    with style.drawing(paths, 3.6) as figure:
        left, right = figure.subplots(1, 2)
        handles = _efficient(left, lines, flops, region, runs, networks)
        handles += _overhead(right, curve, marks)
        style.below(figure, handles)


def budgets(flops, runs):
    """Return the budgets (60,) that are drawn: from the dearest runs' to well over the planned one."""
    low = min(flops / _AROUND, np.median(runs) if len(runs) else flops)
    return np.geomspace(low, flops * _AROUND**0.5, 60)


def _efficient(axes, lines, flops, region, runs, networks):
    axes.set_title("Compute-optimal model size", fontsize=9.5)
    at, looks = budgets(flops, runs[0]), style.law_looks(lines)
    sizes, handles = [], []
    plotted_data.points(axes, *runs, series="runs", color=style.FAINT, marker="o", markersize=4, markerfacecolor="none",
                 markeredgewidth=1)  # fmt: skip
    for line in lines:
        colour = looks[line["law"]].colour
        plotted_data.band(axes, at, line["low"](at), line["high"](at), series=line["law"], color=colour, alpha=0.16)
        plotted_data.line(axes, at, line["params"](at), series=line["law"], color=colour, linewidth=1.9)
        sizes += [*line["params"](at)]
        handles.append(Line2D([], [], color=colour, label=style.short(line["title"], 44)))
    if region is not None:
        plotted_data.keep(axes, "region", "compute-efficient region", x=flops, low=region[0], high=region[1])
        axes.vlines(flops, *region, color=style.INK, linewidth=6, alpha=0.35)
        handles.append(Patch(color=style.INK, alpha=0.35, label="compute-efficient region"))
    if networks:
        _, x, y = zip(*networks, strict=True)
        plotted_data.points(
            axes,
            x,
            y,
            series="networks",
            label=[network[0] for network in networks],
            color=style.INK,
            marker="x",
            markeredgewidth=1.2,
        )
        handles.append(Line2D([], [], color=style.INK, marker="x", linestyle="", label="real networks for the budget"))
    handles.append(Line2D([], [], color=style.FAINT, marker="o", markerfacecolor="none", linestyle="", label="runs"))
    style.log_axis(axes, "x", style.padded([*at, *runs[0]], 0.03), numbers.scientific, most=5)
    style.log_axis(axes, "y", style.padded([*sizes, *runs[1], *(n for _, _, n in networks)], 0.06), numbers.count)
    axes.set_xlabel("training FLOPs")
    axes.set_ylabel("N* (parameters)")
    return handles


def _overhead(axes, curve, marks):
    axes.set_title("Other sizes at the same loss", fontsize=9.5)
    params, overhead, low, high = curve
    shown = overhead <= _MOST_OVERHEAD
    top = 1.05 * _MOST_OVERHEAD
    plotted_data.band(
        axes,
        params[shown],
        low[shown],
        np.minimum(high, 2 * top)[shown],
        series="interval",
        color=style.INK,
        alpha=0.16,
    )
    plotted_data.line(axes, params[shown], overhead[shown], series="overhead", color=style.INK, linewidth=1.9)
    seen = [(name, n, cost) for name, n, cost in marks if np.isfinite(cost) and cost <= _MOST_OVERHEAD]
    for name, n, cost in seen:
        plotted_data.points(axes, [n], [cost], series="models", label=name, color=style.INK, marker="o")
    _names(axes, seen, params[np.argmin(overhead)])
    style.log_axis(axes, "x", style.padded(params[shown], 0.12), numbers.count)
    axes.set_ylim(-0.18, top)  # names stand below the floor
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    axes.set_xlabel("model size N (parameters)")
    axes.set_ylabel("compute beyond the budget")
    return [
        Line2D([], [], color=style.INK, marker="o", label="overhead, and the study's models"),
        Patch(color=style.INK, alpha=0.16, label="interval"),
    ]


def _names(axes, models, best):
    """Write the models' names where the curve leaves room: beside its arms, and below its floor at two heights."""
    below = 0
    for name, n, cost in sorted(models, key=lambda model: model[1]):
        if cost > 0.06:
            at, place = cost, {"xytext": (5 if n > best else -5, -3), "ha": "left" if n > best else "right"}
        else:
            at, place = 0.0, {"xytext": (0, -9 - 9 * (below % 2)), "ha": "center"}
            below += 1
        axes.annotate(style.short(name, 18), (n, at), textcoords="offset points", fontsize=7, va="center", **place)
