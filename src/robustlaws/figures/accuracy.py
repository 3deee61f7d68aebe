"""Figure: adversarial accuracy against training FLOPs, and the best accuracy expected for a budget."""

import pandas as pd
from matplotlib.patches import Patch

from robustlaws.figures.drawing import fitted_laws, inputs, plotted_data, style
from robustlaws.formatting import numbers
from robustlaws.laws.accuracy import of_loss
from robustlaws.laws.limits import called
from robustlaws.storage import tables
from robustlaws.storage.atomic import read_json

_LAWS = ("additive", "additive_two_stage", "bottleneck")  # the first of them whose N* the data determine
_FID_0 = style.Look(style.INK, "")
_BEST = "FIDs between the best dataset's and 0"
_HOLLOW = {"markerfacecolor": "none", "markeredgewidth": 1, "markersize": 4.5}  # a number that was not measured
_ROOM = 0.1  # of the width, in which the limits are drawn


def draw(*, paths, runs, allocations, laws, accuracy, limits):
    """Draw the runs' adversarial accuracies, the best-at-budget curve per FID, its limit, and the human level.

    Runs of another recipe are left out, as in the laws. The accuracy of a run that has none is computed from its loss.

    Parameters
    ----------
    runs : path
        Table `tables.RUNS`.
    allocations : list of paths
        Tables `tables.ALLOCATIONS`; L* of an approach that models FID is drawn.
    laws : list of paths
        Law files: which N* are determined.
    accuracy : path
        JSON of the line: accuracy = intercept + slope x loss; "source" (optional) says where a line of others is from.
    limits : path
        Table `tables.APPROACHES`: accuracy at infinite compute, human accuracy, FLOPs to reach it.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    runs = inputs.of_the_study(tables.read(runs, tables.RUNS))
    laws = inputs.read_laws(laws)
    table = inputs.read_tables(allocations, tables.ALLOCATIONS)
    table = table[table["loss"].notna()]
    line = read_json(accuracy)
    limits = tables.read(limits, tables.APPROACHES)
    known = numbers.is_determined(line.get("intercept")) and numbers.is_determined(line.get("slope"))
    groups = _accuracies(runs, line if known else None)
    order = inputs.fid_order(zip(runs["dataset"], runs["fid"], strict=True))
    looks = style.dataset_looks(order)

    with style.drawing(paths, 4.6) as figure:
        figure.suptitle("Adversarial accuracy against training compute")
        axes = figure.subplots()
        if all(group.empty for group in groups):
            _nothing(axes, runs)
            return
        _runs(axes, *groups, looks)
        law, curves, remarks = _one_law(laws, table, order, limits)
        if not known:
            curves, remarks = table.iloc[:0], [_no_line(line)]
        _curves(axes, curves, line, order, looks)
        ends, unknown = _ends(limits, law, order) if known else ({}, {})
        human = _human_level(limits)
        levels = [row["value"] for row in ends.values()] + ([] if human is None else [human["value"]])
        _scales(axes, *_extent(groups, curves, line, levels), _ROOM if ends else 0)
        _limits(axes, ends, looks)
        if unknown:
            remarks.append(numbers.not_determined("Limit at infinite compute", unknown))
        if human is not None:
            _human(axes, human)
            remarks += [*_who(human), *_to_human(limits, law, called(human["source"]))]
        if line.get("source"):
            remarks.append(f"Line from loss to accuracy: {line['source']}.")
        style.below(figure, _handles(groups, order, looks, curves, law, ends), remarks)


def _accuracies(runs, line):
    """Return the runs with an accuracy, those whose accuracy `line` (None: no line) gives, and those under AutoAttack.

    One run may be in the last and in another: AutoAttack is an accuracy of its own.
    """
    measured = runs[runs["adv_acc"].notna()]
    computed = runs[runs["adv_acc"].isna() & runs["adv_loss"].notna()].iloc[: None if line else 0]
    if len(computed):
        computed = computed.assign(adv_acc=of_loss(line, computed["adv_loss"].to_numpy()))
    return measured, computed, runs[runs["autoattack_acc"].notna()]


def _nothing(axes, runs):
    if runs.empty:
        style.nothing(axes, "no runs of the study's own recipe")
    else:
        style.nothing(axes, "no run has an adversarial accuracy, and no line from loss to accuracy is determined")


def _no_line(line):
    why = next((c["why"] for c in (line.get("slope"), line.get("intercept")) if c and c.get("why")), "")
    return f"No curves: the line from loss to accuracy is {numbers.NOT_DETERMINED}{why and ': '}{why}."


def _runs(axes, measured, computed, attacked, looks):
    for dataset, look in looks.items():
        for table, filled in ((measured, True), (computed, False)):
            mine = table[table["dataset"] == dataset]
            face = {} if filled else _HOLLOW
            series = dataset if filled else f"{dataset}, from loss"
            plotted_data.points(
                axes,
                mine["flops"],
                mine["adv_acc"],
                series=series,
                label=mine["run"],
                marker=look.marker,
                color=look.colour,
                **{"alpha": 0.8} | face,
            )
        mine = attacked[attacked["dataset"] == dataset]
        plotted_data.points(axes, mine["flops"], mine["autoattack_acc"], series=f"{dataset}, under AutoAttack",
                     label=mine["run"], marker="*", markerfacecolor=look.colour, markeredgecolor="black",
                     markeredgewidth=0.8, markersize=11)  # fmt: skip


def _one_law(laws, table, order, limits):
    """Return the law that is drawn (None: there is none), the rows of its curves, and remarks on what is missing."""
    drawn = [law for law in (inputs.law_named(laws, name) for name in _LAWS) if law]
    each = [(law, *_placed(table[table["law"] == law["law"]], law, order, limits)) for law in drawn]
    if not each:
        return None, table.iloc[:0], ["No curves: no law was fitted that gives a loss for a budget."]
    number = next((i for i, (_, rows, _) in enumerate(each) if len(rows)), 0)
    law, rows, remarks = each[number]
    # a reader looks for the first of them
    before = [f"{_called(other)}: {remark}" for other, _, remarks_before in each[:number] for remark in remarks_before]
    return law, rows, before + remarks


def _placed(table, law, order, limits):
    """Return the rows of datasets whose N* the data determine, and remarks on the others.

    A curve at an optimum that is not known would hang somewhere above the runs and look like a finding.
    """
    if table.empty:
        return table, [f"No curves: {inputs.title(law)} gives no loss for any budget."]
    unknown = {}
    for dataset in order:
        entry = inputs.dataset_entry(law, dataset)
        cell = (entry.get("exponents") or {}).get("N_star")
        if entry and not numbers.is_determined(cell):
            unknown[dataset] = (cell or {}).get("why") or "no reason given"
    known = set(order) - set(unknown)
    here = limits[(limits["law"] == law["law"]) & limits["dataset"].isna() & (limits["quantity"] == "N_star")]
    somewhere = any(inputs.dataset_entry(law, dataset) for dataset in known)
    at_0 = somewhere and (bool(here["determined"].all()) if len(here) else not unknown)
    table = table[table["dataset"].isin(known) | (table["dataset"].isna() & at_0)]
    return table, [numbers.not_determined("Curves not drawn: N*", unknown)] if unknown else []


def _curves(axes, table, line, order, looks):
    """Draw one curve per FID with its interval, and fill from the best dataset's to that of FID 0."""
    best = next((name for name in order if (table["dataset"] == name).any()), None)
    top, lower = (table[which].sort_values("flops") for which in (table["dataset"].isna(), table["dataset"] == best))
    if len(top) and len(top) == len(lower):
        plotted_data.band(axes, top["flops"], of_loss(line, lower["loss"]), of_loss(line, top["loss"]), series=_BEST,
                   kind="region", color=looks[best].colour, alpha=0.16)  # fmt: skip
    for dataset in [*order, None]:
        rows = table[table["dataset"].isna() if dataset is None else table["dataset"] == dataset].sort_values("flops")
        if rows.empty:
            continue
        look, series = (_FID_0, "FID 0") if dataset is None else (looks[dataset], dataset)
        band = rows.dropna(subset=["loss_low", "loss_high"])
        plotted_data.band(axes, band["flops"], of_loss(line, band["loss_high"]), of_loss(line, band["loss_low"]),
                   series=series, color=look.colour, alpha=0.1)  # fmt: skip
        style.known_and_beyond(axes, rows["flops"], of_loss(line, rows["loss"]), rows["measured"], series=series,
                               color=look.colour)  # fmt: skip


def _ends(limits, law, order):
    """Return the limits at infinite compute, {dataset or None: row}, and why others are not determined."""
    mine = limits[(limits["law"] == (law or {}).get("law")) & (limits["quantity"] == "accuracy_limit")]
    rows = {None if pd.isna(row["dataset"]) else row["dataset"]: row for row in mine.to_dict("records")}
    known, unknown = {}, {}
    for dataset in [*order, None]:
        row = rows.get(dataset)
        if row is None:
            continue
        determined = numbers.is_determined(row) and pd.notna(row["value"])
        if determined and 0 <= row["value"] <= 1:
            known[dataset] = row
        else:
            why = "the line from loss to accuracy ends before it" if determined else row["why"]
            unknown[dataset or "FID 0"] = why or "no reason given"
    return known, unknown


def _limits(axes, ends, looks):
    """Draw the accuracies at infinite compute at the right edge."""
    marks = []
    for dataset, row in ends.items():
        colour = looks[dataset].colour if dataset else _FID_0.colour
        plotted_data.keep(
            axes, "level", f"{dataset or 'FID 0'}, limit", y=row["value"], low=row["low"], high=row["high"]
        )
        axes.plot([1 - _ROOM, 1], [row["value"]] * 2, color=colour, linestyle=style.DASHES[2], linewidth=1.8,
                  transform=axes.get_yaxis_transform())  # fmt: skip
        marks.append((row["value"], colour))
    _beside(axes, marks)


def _beside(axes, marks):
    """Write percentages right of the panel, moved apart where they would lie on each other."""
    low, high = axes.get_ylim()
    marks = sorted(marks)
    for place, (value, colour) in zip(style.apart([v for v, _ in marks], 0.042 * (high - low)), marks, strict=True):
        axes.annotate(numbers.percent(value), (1.0, place), (4, 0), xycoords=axes.get_yaxis_transform(),
                      textcoords="offset points", va="center", color=colour, fontsize=8.5,
                      annotation_clip=False)  # fmt: skip


def _human_level(limits):
    """Return the row of the accuracy that counts as human level, or None."""
    rows = limits[(limits["quantity"] == "human_accuracy") & limits["value"].notna()]
    return None if rows.empty else rows.iloc[0]


def _human(axes, row):
    """Draw the human level; one that no person has reached is not called so."""
    series = called(row["source"])
    if pd.notna(row["low"]):
        plotted_data.keep(axes, "level", f"{series}, interval", y=row["value"], low=row["low"], high=row["high"])
        axes.axhspan(row["low"], row["high"], color=style.RED, alpha=0.08, linewidth=0, zorder=1)
    dash = {"linestyle": style.DASHES[3]} if row["source"] == "simulated" else {}
    plotted_data.level(axes, row["value"], series=series, color=style.RED, linewidth=1.6, zorder=1.5, **dash)
    axes.annotate(f"{series} {numbers.percent(row['value'])}", (0.01, row["value"]), (0, 3), color=style.RED,
                  fontsize=8.5, xycoords=axes.get_yaxis_transform(), textcoords="offset points")  # fmt: skip


def _who(row):
    """Return the source of the human level, if this study measured it."""
    if row["source"] == "simulated":
        return ["The red line is of simulated participants: no person has answered."]
    if row["source"] == "person":
        return ["Human level: the network, and the mean of this study's participants on what fooled it."]
    return []


def _to_human(limits, law, level):
    """Return the compute to reach the human level (`level`): a sentence for FID 0 and one for the best dataset."""
    mine = limits[(limits["law"] == (law or {}).get("law")) & (limits["quantity"] == "flops_to_human")]
    remarks = []
    for row in mine.sort_values("fid", kind="stable").head(2).to_dict("records"):
        where = "at FID 0" if pd.isna(row["dataset"]) else f"on {row['dataset']}"
        cell = row | {name: None for name in ("value", "low", "high") if pd.isna(row[name])}
        if numbers.is_determined(cell):
            remarks.append(f"{numbers.sentence(level)} {where}: {numbers.interval(cell)} FLOPs.")
        elif row["why"].startswith("never"):
            remarks.append(f"{numbers.sentence(level)} {where}: {row['why']}.")
        else:
            why = row["why"] or "no reason given"
            remarks.append(f"FLOPs to {level} {where} {numbers.NOT_DETERMINED}: {why}.")
    return remarks


def _extent(groups, curves, line, levels):
    """Return all budgets and all accuracies that are drawn; `levels` are accuracies of no budget."""
    measured, computed, attacked = groups
    flops = [budget for table in (*groups, curves) for budget in table["flops"]]
    shares = [*measured["adv_acc"], *computed["adv_acc"], *attacked["autoattack_acc"], *levels]
    return flops, [*shares, *(of_loss(line, curves["loss"]) if len(curves) else [])]


def _scales(axes, flops, shares, room):
    """Scale the axes to budgets and accuracies, with the share `room` of the width left free on the right."""
    low, high = style.padded(flops, 0.03, least=1.5)
    style.log_axis(axes, "x", (low, high * (high / low) ** room), numbers.scientific, most=7)
    low, high = min(shares), max(shares)
    room = 0.05 * (high - low)
    # ten points at least, so that two equal runs do not look far apart
    low, high = min(low - room, high - 0.1), max(high + room, low + 0.1)
    axes.set_ylim(max(low, -0.02), min(high, 1.02))
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
    axes.set_xlabel("training FLOPs")
    axes.set_ylabel("adversarial accuracy")


def _handles(groups, order, looks, curves, law, ends):
    measured, computed, attacked = groups
    handles = style.dataset_handles(looks, order, **({} if len(measured) else _HOLLOW))
    if len(measured) and len(computed):
        handles.append(style.handle("measured", style.FAINT, marker="o"))
    if len(computed):
        handles.append(style.handle("accuracy from loss", style.FAINT, marker="o", **_HOLLOW))
    if len(attacked):
        handles.append(style.handle("under AutoAttack", "black", marker="*", markerfacecolor="white", markersize=10,
                                    markeredgewidth=1))  # fmt: skip
    if len(curves):
        handles.append(style.handle(f"best for the budget ({_called(law)})", style.FAINT, linestyle="-"))
        if not curves["measured"].all():
            handles.append(style.handle(style.BEYOND, style.FAINT, linestyle=style.DASHES[1]))
        if curves["dataset"].isna().any():
            handles.append(style.handle("FID 0 (no dataset)", _FID_0.colour, linestyle="-"))
            handles.append(Patch(color=style.COLOURS[0], alpha=0.25, label=_BEST))
        if curves["loss_low"].notna().any():
            handles.append(Patch(color=style.FAINT, alpha=0.2, label=fitted_laws.interval_label([law])))
    if ends:
        handles.append(style.handle("limit at infinite compute", style.FAINT, linestyle=style.DASHES[2]))
    return handles


def _called(law):
    return style.short(inputs.title(law).partition(":")[0], 30)
