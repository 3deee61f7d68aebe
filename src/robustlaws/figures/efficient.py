"""Figure: the model sizes that the laws call compute-optimal, and the study's runs among them."""

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from robustlaws.figures.drawing import fitted_laws, inputs, label_placement, plotted_data, style
from robustlaws.formatting import numbers
from robustlaws.laws.observations import NO_FID, NO_LOSS, REAL, RECIPE
from robustlaws.storage import tables

_BEYOND = 3.0  # how far past the dearest run the budgets go where an N* is known
# Labels of runs outside all fits, in colours of no line. Each kind is drawn over the one before
# and smaller, last of all the runs of the laws: of several at one place all are seen.
_OUTSIDE = {
    REAL: ("mixes real images in", style.Look("#D55E00", "D")),
    RECIPE: ("another recipe", style.Look("#009E73", "s")),
    NO_FID: ("dataset without FID", style.Look("#56B4E9", "^")),
    NO_LOSS: ("loss not known", style.Look("#E69F00", "v")),
}
_SIZES = (13.0, 9.5, 9.0, 7.0)
_INSIDE = 2.8


def draw(*, paths, runs, laws, allocations):
    """Draw N* of every law against training FLOPs on the dataset of the best FID, and all runs.

    Parameters
    ----------
    runs : path
        Table `tables.RUNS`; runs outside the laws are told apart, accuracies written beside them.
    laws : list of paths
        Law files: which N* is determined.
    allocations : list of paths
        Tables `tables.ALLOCATIONS`.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    runs = tables.read(runs, tables.RUNS)
    runs = runs[runs["flops"] > 0].assign(outside=fitted_laws.outside)
    laws = inputs.read_laws(laws)
    table = inputs.read_tables(allocations, tables.ALLOCATIONS)
    order = inputs.fid_order(inputs.fids_of_laws(laws))
    best = next(iter(order), None)
    with style.drawing(paths, 4.6) as figure:
        figure.suptitle("Compute-efficient model sizes")
        axes = figure.subplots()
        if runs.empty:
            style.nothing(axes, "there are no runs")
            return
        flops = style.padded(runs["flops"], 0.05, least=2)
        limits = flops[0], _BEYOND * runs["flops"].max()
        lines, unknown = _lines(table, laws, best, limits, runs.loc[runs["outside"] == "", "flops"].max())
        looks = style.law_looks(laws)
        region = _region(axes, lines)
        for (name, rows), width in zip(lines.items(), fitted_laws.WIDTHS, strict=False):
            style.known_and_beyond(axes, rows["flops"], rows["params"], rows["measured"], series=name,
                                   color=looks[name].colour, linewidth=width)  # fmt: skip
            flops = flops[0], max(flops[1], rows["flops"].max())
        _runs(axes, runs)
        sizes = [*runs["params"], *(size for rows in lines.values() for size in rows["params"])]
        style.log_axis(axes, "x", flops, numbers.scientific, most=7)
        style.log_axis(axes, "y", style.padded(sizes, 0.1, least=2), numbers.count, most=7)
        axes.set_xlabel("training FLOPs")
        axes.set_ylabel("model size N (parameters)")
        if lines:
            axes.set_title(f"N* on {style.dataset_label(best, order[best])}", fontsize=9.5)
        texts = _accuracies(runs)
        style.below(figure, _handles(lines, laws, looks, region, runs), _remarks(laws, unknown, texts),
                    columns=2)  # fmt: skip
        on_lines = [point for rows in lines.values() for point in zip(rows["flops"], rows["params"], strict=True)]
        label_placement.beside(axes, texts, zip(runs["flops"], runs["params"], strict=True), on_lines)


def _lines(table, laws, dataset, limits, dearest):
    """Return law -> N* over one grid of budgets where it is determined, and title -> why of the others."""
    lines, unknown = {}, {}
    budgets = np.log(np.geomspace(*limits, 80))
    for law in laws:
        rows = table[(table["law"] == law["law"]) & (table["dataset"] == dataset)]
        rows = rows.dropna(subset=["flops", "params"]).sort_values("flops")
        cell = (inputs.dataset_entry(law, dataset).get("exponents") or {}).get("N_star")
        if cell is None or (len(rows) < 2 and numbers.is_determined(cell)):
            unknown[inputs.title(law)] = "it is fitted to no dataset" if dataset is None else f"no N* on {dataset}"
            continue
        if not numbers.is_determined(cell):
            why = cell.get("why") or "no reason given"
            unknown[inputs.title(law)] = numbers.not_determined("exponent of N*", {dataset: why}).removesuffix(".")
            continue
        known = np.log(rows["flops"].to_numpy(dtype=float))
        # almost straight in logarithms
        params = np.exp(np.interp(budgets, known, np.log(rows["params"].to_numpy(dtype=float))))
        inside = (budgets >= known[0] - 1e-9) & (budgets <= known[-1] + 1e-9)
        measured = np.exp(budgets) <= dearest
        lines[law["law"]] = pd.DataFrame({"flops": np.exp(budgets), "params": params, "measured": measured})[inside]
    return lines, unknown


def _region(axes, lines):
    """Shade what lies between the lowest and the highest N*; return whether there are two."""
    if len(lines) < 2:
        return False
    every = pd.concat(lines.values()).groupby("flops")["params"].agg(["min", "max"])
    plotted_data.band(axes, every.index, every["min"], every["max"], series="compute-efficient region", kind="region",
               color=style.FAINT, alpha=0.22, zorder=0.5)  # fmt: skip
    return True


def _runs(axes, runs):
    for (reason, (what, look)), size in zip(_OUTSIDE.items(), _SIZES, strict=True):
        mine = runs[runs["outside"] == reason]
        plotted_data.points(axes, mine["flops"], mine["params"], series=what, label=mine["run"], color=look.colour,
                     marker=look.marker, markersize=size, markeredgecolor="white", markeredgewidth=0.7,
                     zorder=4)  # fmt: skip
    inside = runs[runs["outside"] == ""]
    plotted_data.points(axes, inside["flops"], inside["params"], series="runs", label=inside["run"], color=style.INK,
                 markerfacecolor="white", markersize=_INSIDE, markeredgewidth=0.8, zorder=4)  # fmt: skip


def _accuracies(runs):
    """Return (FLOPs, N, text) of the accuracies worth a label, the best first.

    Those of all runs outside the laws, and those under AutoAttack of the others; of runs in one place the best of
    either kind.
    """
    texts = {}
    labelled = runs[(runs["outside"] != "") | runs["autoattack_acc"].notna()]
    labelled = labelled.assign(text=[fitted_laws.accuracy_label(run) for _, run in labelled.iterrows()])
    labelled = labelled.dropna(subset="text").sort_values(["autoattack_acc", "adv_acc", "run"], ascending=False)
    for run in labelled.sort_values("outside", key=lambda why: why == "", kind="stable").itertuples():
        where = run.outside == "", round(np.log(run.flops), 1), round(np.log(run.params), 1)
        texts.setdefault(where, (run.flops, run.params, run.text))
    return list(texts.values())


def _handles(lines, laws, looks, region, runs):
    handles = [
        Line2D([], [], color=looks[law["law"]].colour, label=style.short(inputs.title(law), 44))
        for law in laws
        if law["law"] in lines
    ]
    if region:
        handles.append(Patch(color=style.FAINT, alpha=0.22, label="compute-efficient region: lowest to highest N*"))
    if any(not rows["measured"].all() for rows in lines.values()):
        handles.append(Line2D([], [], color=style.INK, linestyle=style.DASHES[1], label=style.BEYOND))
    if (runs["outside"] == "").any():
        handles.append(Line2D([], [], color=style.INK, marker="o", markerfacecolor="white", markersize=_INSIDE,
                            markeredgewidth=0.8, linestyle="", label="runs that laws may use"))  # fmt: skip
    handles += [
        Line2D([], [], color=look.colour, marker=look.marker, markersize=size, markeredgecolor="white", linestyle="",
               label=f"outside the laws: {what}")
        for (reason, (what, look)), size in zip(_OUTSIDE.items(), _SIZES, strict=True)
        if (runs["outside"] == reason).any()
    ]  # fmt: skip
    return handles


def _remarks(laws, unknown, texts):
    lines = [] if laws else ["No law was fitted."]
    lines += [f"{title}: {why}." for title, why in unknown.items()]
    if texts:
        lines.append("Percentages: accuracy under AutoAttack, or under PGD where it says so.")
    return lines
