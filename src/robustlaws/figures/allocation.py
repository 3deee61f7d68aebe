"""Figure: compute-optimal model size and number of images against the budget, law beside law."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from robustlaws import records
from robustlaws.figures import sources, style, words

_MOST_DATASETS = 4
_QUANTITIES = (
    ("params", "N_star", "N* (parameters)"),
    ("images", "D_star", "D* (images)"),
)


def draw(*, paths, runs, allocations, laws):
    """Draw N* (top) and D* (bottom) against FLOPs, one column per dataset.

    Parameters
    ----------
    runs : path
        Table `records.RUNS`.
    allocations : list of paths
        Tables `records.ALLOCATIONS`, one per law.
    laws : list of paths
        Law files: titles, and which exponents are determined.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    runs = records.read(runs, records.RUNS)
    runs = runs[runs["fid"].notna()]
    laws = sources.read_laws(laws)
    table = sources.read_tables(allocations, records.ALLOCATIONS)
    table = table[table["dataset"].notna()]
    pairs = [*zip(runs["dataset"], runs["fid"], strict=True), *zip(table["dataset"], table["fid"], strict=True)]
    order = sources.fid_order(pairs)
    shown = _spread(list(order))
    with style.drawing(paths, 5.4) as figure:
        figure.suptitle("Compute-optimal model size and training images")
        if not shown:
            style.nothing(figure.subplots(), "there are no runs on a dataset with a FID, and no law")
            return
        grid = figure.subplots(2, len(shown), sharex=True, sharey="row", squeeze=False)
        looks = style.law_looks(laws)
        remarks, drawn = {}, []
        for row, (quantity, exponent, label) in zip(grid, _QUANTITIES, strict=True):
            lines = []
            for axes, dataset in zip(row, shown, strict=True):
                mine = runs[runs["dataset"] == dataset]
                axes.plot(mine["flops"], mine[quantity], "o", color=style.FAINT, markersize=4, markerfacecolor="none")
                for law in laws:
                    rows, why = _known(table, law, dataset, quantity, exponent)
                    if rows.empty:
                        remarks.setdefault(law["law"], []).append((label.split()[0], dataset, why))
                        continue
                    _line(axes, rows, quantity, looks[law["law"]].colour)
                    lines.append(rows)
            # intervals may span many decades: the runs and the lines decide what is seen
            limits = style.padded([*runs[quantity], *(v for rows in lines for v in rows[quantity])], 0.12, least=2)
            style.log_axis(row[0], "y", limits, words.count, most=6)
            row[0].set_ylabel(label)
            drawn += lines
        flops = style.padded([*runs["flops"], *(v for rows in drawn for v in rows["flops"])], 0.03, least=2)
        for column, dataset in zip(grid.T, shown, strict=True):
            style.log_axis(column[0], "x", flops, words.scientific, most=5 if len(shown) < 3 else 3)
            column[0].set_title(style.dataset_label(dataset, order[dataset], 34 // len(shown) + 6), fontsize=9.5)
            column[1].set_xlabel("training FLOPs")
        style.below(figure, _handles(laws, looks, drawn), _remarks(remarks, laws, order, shown))


def _spread(names):
    """Return at most four of the names, the first and the last among them."""
    if len(names) <= _MOST_DATASETS:
        return names
    return [names[i] for i in np.linspace(0, len(names) - 1, _MOST_DATASETS).round().astype(int)]


def _known(table, law, dataset, quantity, exponent):
    """Return one law's rows of a dataset, none if they are not to be shown, and why."""
    rows = table[(table["law"] == law["law"]) & (table["dataset"] == dataset)]
    rows = rows.dropna(subset=["flops", quantity]).sort_values("flops")
    cell = (sources.dataset_entry(law, dataset).get("exponents") or {}).get(exponent)
    if cell is not None and not words.is_determined(cell):
        return rows.iloc[:0], cell.get("why") or "no reason given"
    return rows, "the law gives no allocation"


def _line(axes, rows, quantity, colour):
    low, high = f"{quantity}_low", f"{quantity}_high"
    band = rows.dropna(subset=[low, high])
    axes.fill_between(band["flops"], band[low], band[high], color=colour, alpha=0.16, linewidth=0)
    style.known_and_beyond(axes, rows["flops"], rows[quantity], rows["measured"],
                           series=rows["law"].iloc[0], color=colour, linewidth=1.9)  # fmt: skip


def _handles(laws, looks, drawn):
    names = {rows["law"].iloc[0] for rows in drawn}
    handles = [
        Line2D([], [], color=looks[law["law"]].colour, label=style.short(sources.title(law), 44))
        for law in laws
        if law["law"] in names
    ]
    handles.append(
        Line2D([], [], color=style.FAINT, marker="o", markerfacecolor="none", linestyle="", label="runs of the study")
    )
    if any(not rows["measured"].all() for rows in drawn):
        handles.append(Line2D([], [], color=style.INK, linestyle=style.DASHES[1], label="beyond the study's budgets"))
    if any(rows.filter(like="_low").notna().any(axis=None) for rows in drawn):
        handles.append(Patch(color=style.INK, alpha=0.16, label="interval"))
    return handles


def _remarks(remarks, laws, order, shown):
    titles = {law["law"]: sources.title(law) for law in laws}
    lines = [] if laws else ["No law was fitted."]
    for law, missing in sorted(remarks.items(), key=lambda item: list(titles).index(item[0])):
        symbols = dict.fromkeys(symbol for symbol, _, _ in missing)
        reasons = {}
        for dataset in dict.fromkeys(dataset for _, dataset, _ in missing):
            whys = {symbol: why for symbol, where, why in missing if where == dataset}
            alike = len(set(whys.values())) == 1
            reasons[dataset] = "; ".join(set(whys.values()) if alike else [f"{s}: {w}" for s, w in whys.items()])
        lines.append(words.not_determined(f"{titles[law]}: {words.listed(symbols)}", reasons, shown))
    if len(shown) < len(order):
        lines.append(f"{len(shown)} of {len(order)} datasets are shown, from the best FID to the worst.")
    return lines
