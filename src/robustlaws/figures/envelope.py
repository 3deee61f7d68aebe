"""Figure: approach 1 by dataset: the envelope, its loss law, and N* and D* along it."""

import numpy as np

from robustlaws.figures.drawing import inputs, plotted_data, style
from robustlaws.formatting import numbers
from robustlaws.intervals import percentile_interval
from robustlaws.laws import bootstrap_table
from robustlaws.laws.envelope import QUERIES, follow, followed, sample
from robustlaws.laws.observations import comparable
from robustlaws.storage import tables

_ENVELOPE, _LAW = "envelope", "law of the envelope"
# what a panel shows: a column of the envelope's points, where the law file has its exponent, axis, formula
_PANELS = (
    ("loss", "parameters", "exponent", "adversarial loss (nats)", "L*"),
    ("params", "exponents", "N_star", "N* (parameters)", "N*"),
    ("images", "exponents", "D_star", "D* (images)", "D*"),
)


def draw(*, paths, runs, curves, laws, refits):
    """Draw one row of three panels per dataset: loss, N* and D* against FLOPs.

    Without learning curves, a curve is one model's finished runs through growing D.

    Parameters
    ----------
    runs, curves : paths
        Tables `tables.RUNS` and `tables.CURVES`.
    laws : list of paths
        Law files; the one named "envelope" says what is determined.
    refits : list of paths
        Tables `tables.REFITS`; the envelope's lines and their intervals.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    runs = tables.read(runs, tables.RUNS)
    chosen = comparable(runs)[0] if len(runs) else runs
    chosen = chosen[chosen["adv_loss"].notna()]
    curves = tables.read(curves, tables.CURVES)
    law = inputs.law_named(inputs.read_laws(laws), "envelope") or {}
    seen, points = _seen(chosen, curves, law)
    least = law.get("min_train_fraction", 0.5)
    table = inputs.read_tables(refits, tables.REFITS)
    order = inputs.fid_order(zip(seen["dataset"], chosen.set_index("run")["fid"].reindex(seen["run"]), strict=True))
    shown = inputs.spread(list(order))
    with style.drawing(paths, {0: 3.0, 1: 3.2}.get(len(shown), 2.25 * len(shown) + 0.4)) as figure:
        figure.suptitle("Approach 1: the envelope, and N* and D* along it")
        if not shown:
            why = "no runs of the study's own recipe on a dataset with a FID" if len(runs) else "no runs"
            style.nothing(figure.subplots(), why)
            return
        looks = _looks(seen)
        grid = figure.subplots(len(shown), 3, sharex=True, sharey="col", squeeze=False)
        fitted, every = False, []
        for row, dataset in zip(grid, shown, strict=True):
            mine = seen[seen["dataset"] == dataset]
            traced = followed(chosen[chosen["dataset"] == dataset], curves, points, least)
            best = _points(list(traced.values()))
            every += [best] if best is not None else []
            lines = bootstrap_table.samples(table, "envelope", dataset)
            _curves(row[0], mine, looks)
            for axes, panel in zip(row, _PANELS, strict=True):
                plotted_data.name(axes, f"{dataset}, {panel[-1]}")
                fitted |= _panel(axes, best, lines, inputs.dataset_entry(law, dataset), panel, law)
            _head(row[0], style.dataset_label(dataset, order[dataset], 34))
        _scales(grid, seen, chosen, every)
        remarks = [f"{len(shown)} of {len(order)} datasets are shown, from the best FID to the worst."]
        if points == "runs":
            why = "" if len(curves) else "No learning curves. "
            remarks.insert(0, f"{why}Each line joins one model's finished runs on growing data.")
        handles = _handles(looks, fitted)
        style.below(figure, handles, remarks[: None if len(shown) < len(order) else -1], columns=4)


def _seen(runs, curves, law):
    """Return the observations to draw, with the column "curve", and what the envelope follows: "curves" or "runs"."""
    columns = ["run", "model", "dataset", "images", "flops", "adv_loss"]
    points = law.get("points", "curves") if len(curves) else "runs"
    seen = curves[curves["run"].isin(runs["run"])] if points == "curves" else runs
    seen = seen[(seen["flops"] > 0) & (seen["images"] > 0) & (seen["adv_loss"] > 0)][columns]
    names = seen["run"] if points == "curves" else seen["model"] + "/" + seen["dataset"]
    return seen.assign(curve=names).sort_values(["curve", "flops"], kind="stable"), points


def _points(curves):
    """Return the points of the envelope of a list of curves, as the law samples them; None without a curve."""
    if not curves:
        return None
    ends = min(curve.flops[0] for curve in curves), max(curve.flops[-1] for curve in curves)
    return follow(sample(curves, np.geomspace(*ends, QUERIES)))


def _looks(seen):
    cost = (seen["flops"] / seen["images"]).groupby(seen["model"]).median().sort_values(kind="stable")
    return style.model_looks(list(cost.index))


def _curves(axes, seen, looks):
    for curve, rows in seen.groupby("curve", sort=True):
        model = rows["model"].iloc[0]
        look = looks[model]
        plotted_data.line(axes, rows["flops"], rows["adv_loss"], series=model, label=curve, color=look.colour,
                   linestyle=look.dash, linewidth=0.9, alpha=0.8)  # fmt: skip
        ends = rows.groupby("run", sort=True).tail(1)
        plotted_data.points(axes, ends["flops"], ends["adv_loss"], series=model, label=ends["run"], color=look.colour,
                     markersize=2.5)  # fmt: skip


def _panel(axes, points, lines, entry, panel, law):
    """Draw one quantity along the envelope, its line where determined, and say which; return whether there is one."""
    quantity, group, name, label, symbol = panel
    axes.set_ylabel(label)
    if points is not None:
        plotted_data.points(
            axes, points.flops, getattr(points, quantity), series=_ENVELOPE, color="black", markersize=2
        )
    cell = (entry.get(group) or {}).get(name)
    slope, intercept = (lines.get(f"{quantity} {term}") for term in ("slope", "intercept"))
    fitted = numbers.is_determined(cell) and slope is not None
    if fitted:
        _law(axes, points, intercept, slope, law)
        text = _formula(symbol, entry, cell)
    elif entry:
        why = (cell or {}).get("why") or "no reason given"
        text = style.wrapped(f"{symbol} {numbers.NOT_DETERMINED}: {why}", 33)
    else:
        text = "no law fitted"
    colour = style.RED if fitted else style.INK
    axes.set_title(f"\n{text}", loc="left", fontsize=style.SMALLEST, fontweight="normal", color=colour, pad=4)
    return fitted


def _head(axes, text):
    """Write what a row is about over the title of its first panel."""
    lines = axes.get_title(loc="left").count("\n")  # the first is empty: room for this, which may be wider
    head = axes.annotate(text, (0, 1), (0, 6 + 11 * lines), xycoords="axes fraction", textcoords="offset points",
                         fontsize=9.5, fontweight="bold", annotation_clip=False)  # fmt: skip
    head.set_in_layout(False)


def _formula(symbol, entry, cell):
    coefficient = (entry.get("parameters") or {}).get("coefficient") if symbol == "L*" else None
    return numbers.power_law(symbol, coefficient, numbers.interval(cell))


def _law(axes, points, intercept, slope, law):
    """Draw the line from the fit (first) over the envelope, and the interval of its refits."""
    x = np.geomspace(points.flops.min(), points.flops.max(), 50)
    every = 10 ** (intercept[:, None] + slope[:, None] * np.log10(x))
    kept = every[1:][np.isfinite(every[1:]).all(axis=1)]
    if len(kept):
        low, high = percentile_interval(kept, (law.get("interval") or {}).get("level", 0.9))
        plotted_data.band(axes, x, np.minimum(low, every[0]), np.maximum(high, every[0]), series=_LAW, color=style.RED,
                   alpha=0.16)  # fmt: skip
    plotted_data.line(axes, x, every[0], series=_LAW, color=style.RED, linewidth=1.8)


def _scales(grid, seen, runs, every):
    ends = seen.groupby("run")[["flops", "images", "adv_loss"]].last()
    # the first losses of a run are far above the rest and would press everything else together
    top = max(seen["adv_loss"].quantile(0.9), ends["adv_loss"].max())
    points = {name: [v for curve in every for v in getattr(curve, name)] for name in ("flops", "images")}
    scales = (
        (style.padded([seen["adv_loss"].min(), top]), lambda value: f"{value:.3g}"),
        (style.padded(runs["params"], 0.2, least=2), numbers.count),
        (style.padded([*ends["images"], *points["images"]], 0.2, least=2), numbers.count),
    )
    flops = style.padded([*ends["flops"], *points["flops"]], 0.05, least=1.5)
    style.log_axis(grid[0][0], "x", flops, numbers.scientific, most=3)
    for column, (limits, text) in zip(grid.T, scales, strict=True):
        style.log_axis(column[0], "y", limits, text, most=5)
        column[-1].set_xlabel("training FLOPs F")


def _handles(looks, fitted):
    handles = style.model_handles(looks)
    handles.append(style.handle("points of the envelope", "black", marker="o", markersize=3.5))
    return [*handles, style.handle(_LAW, style.RED, linestyle="-", linewidth=1.8)] if fitted else handles
