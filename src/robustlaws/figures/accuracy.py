"""Figure: adversarial accuracy against training FLOPs, and the best that the law expects of a budget."""

from matplotlib.lines import Line2D

from robustlaws import records
from robustlaws.figures import sources, style, words
from robustlaws.laws.accuracy import of_loss

_LAW = "additive"
_FID_ONLY = style.Look(style.INK, "")


def draw(*, paths, runs, allocations, laws, accuracy):
    """Draw the runs' adversarial accuracies and the best-at-budget curve per FID.

    Runs of another recipe are left out, as in the laws.

    Parameters
    ----------
    runs : path
        Table `records.RUNS`.
    allocations : list of paths
        Tables `records.ALLOCATIONS`; the additive law's L* is drawn.
    laws : list of paths
        Law files; the additive one gives the limits ("asymptote", nats).
    accuracy : path
        JSON of the line: accuracy = intercept + slope x loss.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    runs = sources.of_the_study(records.read(runs, records.RUNS))
    law = sources.law_named(sources.read_laws(laws), _LAW)
    line = sources.read_json(accuracy)
    table = sources.read_tables(allocations, records.ALLOCATIONS)
    table = table[(table["law"] == _LAW) & table["loss"].notna()]
    order = sources.fid_order(zip(runs["dataset"], runs["fid"], strict=True))
    looks = style.dataset_looks(order)

    with style.drawing(paths, 4.5) as figure:
        figure.suptitle("Adversarial accuracy against training compute")
        axes = figure.subplots()
        if runs.empty:
            style.nothing(axes, "no runs of the study's own recipe")
            return
        _runs(axes, runs, looks)
        remarks, alone, limits, flops = [], [], 0, list(runs["flops"])
        if not (words.is_determined(line.get("intercept")) and words.is_determined(line.get("slope"))):
            reason = next((c["why"] for c in (line.get("slope"), line.get("intercept")) if c and c.get("why")), "")
            remarks.append(
                f"No curves: the line from loss to accuracy is {words.NOT_DETERMINED}{reason and ': '}{reason}."
            )
        elif table.empty:
            remarks.append(f"No curves: the {_LAW} law gives no loss for any budget.")
        else:
            table, unplaced = _placed(table, law, order)
            remarks += unplaced
            alone = _curves(axes, table, line, order, looks)
            flops += list(table["flops"])
            limits, unknown = _limits(axes, law, line, order, looks)
            remarks += unknown
        _scales(axes, flops)
        style.below(figure, _handles(runs, order, looks, alone, limits), remarks)


def _runs(axes, runs, looks):
    for dataset, look in looks.items():
        mine = runs[runs["dataset"] == dataset]
        axes.plot(
            mine["flops"], mine["adv_acc"], look.marker, color=look.colour, linestyle="", markeredgewidth=0, alpha=0.85
        )
        attacked = mine[mine["autoattack_acc"].notna()]
        axes.plot(attacked["flops"], attacked["autoattack_acc"], "*", markerfacecolor=look.colour,
                  markeredgecolor="black", markeredgewidth=0.8, markersize=11, linestyle="")  # fmt: skip


def _placed(table, law, order):
    """Return the rows of datasets whose N* the data determine, and a remark on the others.

    A curve at an optimum that is not known would hang somewhere above the runs and look like a finding.
    """
    unknown = {}
    for dataset in order:
        entry = sources.dataset_entry(law, dataset)
        cell = (entry.get("exponents") or {}).get("N_star")
        if entry and not words.is_determined(cell):
            unknown[dataset] = (cell or {}).get("why") or "no reason given"
    known = set(order) - set(unknown)
    table = table[table["dataset"].isin(known) | (table["dataset"].isna() & bool(not unknown))]
    return table, [words.not_determined("Curves not drawn: N*", unknown)] if unknown else []


def _curves(axes, table, line, order, looks):
    """Draw one curve per FID; return the FIDs that belong to no dataset."""
    alone = []
    for (fid, dataset), rows in table.groupby(["fid", "dataset"], dropna=False):
        look = looks.get(dataset, _FID_ONLY)
        if dataset not in order:
            alone.append(fid)
        rows = rows.sort_values("flops")
        band = rows.dropna(subset=["loss_low", "loss_high"])
        axes.fill_between(band["flops"], of_loss(line, band["loss_high"]), of_loss(line, band["loss_low"]),
                          color=look.colour, alpha=0.1, linewidth=0)  # fmt: skip
        style.known_and_beyond(axes, rows["flops"], of_loss(line, rows["loss"]), rows["measured"],
                               series=str(dataset), color=look.colour)  # fmt: skip
    return alone


def _limits(axes, law, line, order, looks):
    """Draw the accuracies at infinite compute that are determined; return how many, and remarks on the rest."""
    unknown, drawn = {}, 0
    for dataset in order:
        cell = sources.dataset_entry(law, dataset).get("asymptote")
        if words.is_determined(cell):
            axes.axhline(of_loss(line, cell["value"]), color=looks[dataset].colour, linestyle=style.DASHES[2])
            drawn += 1
        elif cell is not None:
            unknown[dataset] = cell.get("why") or "no reason given"
    return drawn, [words.not_determined("Limit at infinite compute", unknown)] if unknown else []


def _scales(axes, flops):
    style.log_axis(axes, "x", style.padded(flops, 0.03, least=1.5), words.scientific, most=7)
    low, high = axes.get_ylim()
    # ten points at least, so that two equal runs do not look far apart
    axes.set_ylim(max(min(low, high - 0.1), -0.02), min(max(high, low + 0.1), 1.02))
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
    axes.set_xlabel("training FLOPs")
    axes.set_ylabel("adversarial accuracy")


def _handles(runs, order, looks, alone, limits):
    handles = [
        Line2D(
            [], [], color=look.colour, marker=look.marker, linestyle="-", label=style.dataset_label(name, order[name])
        )
        for name, look in looks.items()
    ]
    handles += [Line2D([], [], color=_FID_ONLY.colour, label=style.dataset_label(None, fid)) for fid in alone]
    if runs["autoattack_acc"].notna().any():
        handles.append(Line2D([], [], color="black", marker="*", markerfacecolor="white", markersize=10, linestyle="",
                              label="under AutoAttack"))  # fmt: skip
    if limits:
        handles.append(Line2D([], [], color=style.INK, linestyle=style.DASHES[2], label="limit at infinite compute"))
    return handles
