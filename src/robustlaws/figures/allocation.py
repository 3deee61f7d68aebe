"""Figure: compute-optimal model size and number of images against the budget, law beside law, per FID."""

import pandas as pd
from matplotlib.patches import Patch

from robustlaws.figures.drawing import fitted_laws, inputs, plotted_data, style
from robustlaws.formatting import numbers
from robustlaws.storage import tables

_QUANTITIES = (
    ("params", "N_star", "N* (parameters)"),
    ("images", "D_star", "D* (images)"),
)
_NO_DATASET = "FID 0"


def draw(*, paths, runs, allocations, laws, limits):
    """Draw N* (top) and D* (bottom) against FLOPs: one column per dataset from the worst FID to the best, then FID 0.

    Parameters
    ----------
    runs : path
        Table `tables.RUNS`.
    allocations : list of paths
        Tables `tables.ALLOCATIONS`, one per law; rows without a dataset are those of FID 0.
    laws : list of paths
        Law files: titles, and which exponents of the datasets are determined.
    limits : path
        Table `tables.APPROACHES`: which exponents at FID 0 are determined.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    runs = tables.read(runs, tables.RUNS)
    runs = inputs.of_the_study(runs[runs["fid"].notna()])
    laws = inputs.read_laws(laws)
    table = inputs.read_tables(allocations, tables.ALLOCATIONS)
    limits = tables.read(limits, tables.APPROACHES)
    named = table[table["dataset"].notna()]
    pairs = [*zip(runs["dataset"], runs["fid"], strict=True), *zip(named["dataset"], named["fid"], strict=True)]
    order = inputs.fid_order(pairs)
    shown = inputs.spread(list(order))[::-1]
    at_0 = [_known(table, limits, law, None, *which[:2])[0] for law in laws for which in _QUANTITIES]
    columns = shown + ([None] if any(len(rows) for rows in at_0) else [])
    with style.drawing(paths, 5.4) as figure:
        figure.suptitle("Compute-optimal model size and training images")
        if not columns:
            style.nothing(figure.subplots(), "there are no runs on a dataset with a FID, and no law")
            return
        grid = figure.subplots(2, len(columns), sharex=True, sharey="row", squeeze=False)
        looks = style.law_looks(laws)
        remarks, lines = {}, []
        for row, (quantity, exponent, label) in zip(grid, _QUANTITIES, strict=True):
            of_laws = {
                dataset: {law["law"]: _known(table, limits, law, dataset, quantity, exponent) for law in laws}
                for dataset in columns
            }
            lines += _row(row, runs, of_laws, looks, quantity, label)
            for dataset, law, why in _missing(of_laws):
                remarks.setdefault(law, []).append((label.split()[0], dataset, why))
        flops = style.padded([*runs["flops"], *(v for rows in lines for v in rows["flops"])], 0.03, least=2)
        for column, dataset in zip(grid.T, columns, strict=True):
            style.log_axis(column[0], "x", flops or (1, 10), numbers.scientific, most=5 if len(columns) < 3 else 3)
            column[0].set_title(_title(dataset, order, 60 // len(columns)), fontsize=9.5)
        grid[1][(len(columns) - 1) // 2].set_xlabel("training FLOPs")
        texts = _remarks(remarks, laws, order, shown)
        if None not in columns and laws:
            texts.append("FID 0 is not shown: no law tells N* or D* there.")
        style.below(figure, _handles(laws, looks, lines), texts)


def _row(row, runs, of_laws, looks, quantity, label):
    """Draw one quantity, a panel for each dataset of `of_laws` {dataset: {law: (rows, why)}}; return the lines."""
    lines = []
    for axes, (dataset, panels) in zip(row, of_laws.items(), strict=True):
        plotted_data.name(axes, f"{label.split()[0]}, {_NO_DATASET if dataset is None else dataset}")
        _runs(axes, runs[runs["dataset"] == dataset], quantity)
        for law, (rows, _) in panels.items():
            if len(rows):
                _line(axes, rows, quantity, looks[law])
                lines.append(rows)
    # intervals may span many decades: the runs and the lines decide what is seen
    seen = style.padded([*runs[quantity], *(v for rows in lines for v in rows[quantity])], 0.12, least=2)
    style.log_axis(row[0], "y", seen or (1, 10), numbers.count, most=6)
    row[0].set_ylabel(label)
    return lines


def _missing(of_laws):
    """Return (dataset, law, why) of what is not drawn."""
    return [(where, law, why) for where, panels in of_laws.items() for law, (rows, why) in panels.items() if rows.empty]


def _title(dataset, order, room):
    if dataset is None:
        return f"{_NO_DATASET}\n(no dataset)"
    return f"{style.short(dataset, room)}\nFID {numbers.fid(order[dataset])}"


def _runs(axes, runs, quantity):
    plotted_data.points(
        axes,
        runs["flops"],
        runs[quantity],
        series="runs of the study",
        label=runs["run"],
        markersize=4,
        color=style.FAINT,
        markerfacecolor="none",
        markeredgewidth=1,
    )


def _verdict(limits, law, dataset, exponent):
    """Return why one law's exponent is not determined; "" if it is."""
    if dataset is not None:
        cell = (inputs.dataset_entry(law, dataset).get("exponents") or {}).get(exponent)
        return "" if cell is None or numbers.is_determined(cell) else cell.get("why") or "no reason given"
    rows = limits[(limits["law"] == law["law"]) & limits["dataset"].isna() & (limits["quantity"] == exponent)]
    if len(rows):
        return "" if rows["determined"].iloc[0] else rows["why"].iloc[0] or "no reason given"
    # not determined for the datasets themselves: nor for an imagined one
    unknown = (_verdict(limits, law, entry["dataset"], exponent) for entry in law.get("datasets") or [])
    return next(filter(None, unknown), "")


def _known(table, limits, law, dataset, quantity, exponent):
    """Return one law's rows of a dataset or of FID 0 (None), none if they are not to be shown, and why."""
    here = table["dataset"].isna() & (table["fid"] == 0) if dataset is None else table["dataset"] == dataset
    rows = table[(table["law"] == law["law"]) & here]
    if dataset is None and rows.empty:
        # not a failure: the law has no FID, or the study has too few
        return rows, None
    rows = rows.dropna(subset=["flops", quantity]).sort_values("flops")
    why = _verdict(limits, law, dataset, exponent)
    return (rows.iloc[:0], why) if why else (rows, "the law gives no allocation")


def _line(axes, rows, quantity, look):
    low, high = f"{quantity}_low", f"{quantity}_high"
    name = rows["law"].iloc[0]
    band = rows.dropna(subset=[low, high])
    plotted_data.band(axes, band["flops"], band[low], band[high], series=name, color=look.colour, alpha=0.16)
    style.known_and_beyond(axes, rows["flops"], rows[quantity], rows["measured"], series=name, color=look.colour,
                           linewidth=1.9)  # fmt: skip
    # a second cue beside the colour; where two laws agree the markers do not lie on each other
    some = rows.iloc[1 + style.MARKERS.index(look.marker) :: max(1, len(rows) // 4)]
    axes.plot(some["flops"], some[quantity], look.marker, color=look.colour, markersize=4.5, markeredgewidth=0)


def _handles(laws, looks, lines):
    names = {rows["law"].iloc[0] for rows in lines}
    handles = [
        style.handle(style.short(inputs.title(law), 44), looks[law["law"]].colour, linestyle="-",
                     marker=looks[law["law"]].marker)
        for law in laws
        if law["law"] in names
    ]  # fmt: skip
    handles.append(
        style.handle("runs of the study", style.FAINT, marker="o", markerfacecolor="none", markeredgewidth=1)
    )
    if any(not rows["measured"].all() for rows in lines):
        handles.append(style.handle(style.BEYOND, linestyle=style.DASHES[1]))
    if any(rows.filter(like="_low").notna().any(axis=None) for rows in lines):
        shown = [law for law in laws if law["law"] in names]
        handles.append(Patch(color=style.INK, alpha=0.16, label=fitted_laws.interval_label(shown)))
    return handles


def _remarks(remarks, laws, order, shown):
    titles = {law["law"]: inputs.title(law) for law in laws}
    lines = [] if laws else ["No law was fitted."]
    for law, missing in sorted(remarks.items(), key=lambda item: list(titles).index(item[0])):
        missing = [entry for entry in missing if entry[2] is not None]
        reasons = {}
        for dataset in dict.fromkeys(dataset for _, dataset, _ in missing):
            whys = {symbol: why for symbol, where, why in missing if where == dataset}
            texts = whys.values() if len(set(whys.values())) == 1 else (f"{s}: {w}" for s, w in whys.items())
            reasons[_NO_DATASET if pd.isna(dataset) else dataset] = "; ".join(dict.fromkeys(texts))
        if reasons:
            symbols = dict.fromkeys(symbol for symbol, _, _ in missing)
            everything = [*shown, _NO_DATASET] if _NO_DATASET in reasons else shown
            lines.append(numbers.not_determined(f"{titles[law]}: {numbers.listed(symbols)}", reasons, everything))
    unable = [titles[law] for law, missing in remarks.items() if any(why is None for _, _, why in missing)]
    if unable:
        lines.append(f"Without a line at FID 0: {'; '.join(unable)}.")
    if len(shown) < len(order):
        lines.append(f"{len(shown)} of {len(order)} datasets are shown, from the worst FID to the best.")
    return lines
