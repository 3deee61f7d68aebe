"""Figure: adversarial loss against training FLOPs, its lower envelope and the law fitted to it."""

import math

import numpy as np

from robustlaws.figures.drawing import inputs, plotted_data, style
from robustlaws.formatting import numbers
from robustlaws.storage import tables

_LAW = "law of the envelope"


def draw(*, paths, curves, laws, allocations):
    """Draw one panel of learning curves per dataset.

    Runs of another recipe are left out, as in the laws: neither their curves are drawn nor are they in the envelope.

    Parameters
    ----------
    curves : path
        Table `tables.CURVES`.
    laws : list of paths
        Law files; the one named "envelope" is written beside the curves.
    allocations : list of paths
        Tables `tables.ALLOCATIONS`; the envelope's L* is drawn.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    every = tables.read(curves, tables.CURVES)
    table = inputs.of_the_study(every)
    laws = inputs.read_laws(laws)
    envelope = inputs.law_named(laws, "envelope")
    budgets = inputs.read_tables(allocations, tables.ALLOCATIONS)
    budgets = budgets[(budgets["law"] == "envelope") & budgets["loss"].notna() & budgets["measured"]]
    table = table[(table["flops"] > 0) & (table["adv_loss"] > 0)]

    known = dict(inputs.fids_of_laws(laws))
    order = inputs.fid_order((name, known.get(name)) for name in table["dataset"].unique())
    cost = (table["flops"] / table["images"]).groupby(table["model"]).median().sort_values(kind="stable")
    looks = style.model_looks(list(cost.index))

    rows = math.ceil(max(len(order), 1) / 3) if len(order) != 4 else 2
    with style.drawing(paths, (2.6 if rows > 1 else 3.4) * rows + 0.5) as figure:
        figure.suptitle("Learning curves and their lower envelope")
        if table.empty:
            why = "no curves of the study's own recipe" if len(every) else "the study's runs have no learning curves"
            style.nothing(figure.subplots(), why)
            return
        grid = style.panels(figure, len(order), sharex=True, sharey=True)
        unknown, fitted = {}, False
        for axes, (dataset, fid) in zip(grid, order.items(), strict=True):
            _curves(axes, table[table["dataset"] == dataset], looks)
            # only the laws tell FIDs here
            title = style.dataset_label(dataset, fid, 18) if known else style.short(dataset, 28)
            axes.set_title(title, fontsize=9.5)
            plotted_data.name(axes, dataset)
            rows = budgets[budgets["dataset"] == dataset]
            determined, why = _law(axes, rows, inputs.dataset_entry(envelope, dataset))
            fitted |= determined and len(rows) > 0
            if why:
                unknown[dataset] = why
        _scales(grid, table, len(order))
        style.outer_labels(grid, "training FLOPs", "adversarial loss (nats)")
        remarks = [numbers.not_determined("Law of the envelope", unknown)] if unknown else []
        several = (table.groupby("dataset")["run"].nunique() > 1).any()
        style.below(figure, _handles(looks, several, fitted), remarks, columns=4)


def _curves(axes, table, looks):
    for run, curve in table.sort_values("images", kind="stable").groupby("run"):
        model = curve["model"].iloc[0]
        look = looks[model]
        plotted_data.line(axes, curve["flops"], curve["adv_loss"], series=model, label=run,
                   color=look.colour, linestyle=look.dash, linewidth=1.1, alpha=0.85)  # fmt: skip
        plotted_data.points(axes, curve["flops"].iloc[-1:], curve["adv_loss"].iloc[-1:], series=model, label=run,
                     color=look.colour, markersize=3)  # fmt: skip
    if table["run"].nunique() > 1:
        plotted_data.line(axes, *_lower_envelope(table), series="lower envelope", color="black", linewidth=1.3)


def _lower_envelope(table):
    """Return FLOPs and the lowest loss within them; between its observations a curve is straight as drawn."""
    ends = np.log(table["flops"]).agg(["min", "max"])
    flops = np.unique(np.concatenate([np.linspace(*ends, 500), np.log(table["flops"])]))
    lowest = np.full(len(flops), np.inf)
    for _, curve in table.sort_values("flops", kind="stable").groupby("run"):
        loss = np.interp(flops, np.log(curve["flops"]), np.log(curve["adv_loss"]), left=np.inf)
        lowest = np.fmin(lowest, loss)
    return np.exp(flops), np.exp(np.minimum.accumulate(lowest))


def _law(axes, budgets, entry):
    """Draw the law of one dataset where its exponent is determined, and write it; return whether it is, and why not."""
    parameters = entry.get("parameters") or {}
    exponent = parameters.get("exponent")
    determined = numbers.is_determined(exponent)
    if determined:
        text = numbers.power_law("L*", parameters.get("coefficient"), numbers.number(exponent["value"]))
        budgets = budgets.sort_values("flops")
        band = budgets.dropna(subset=["loss_low", "loss_high"])
        plotted_data.band(
            axes, band["flops"], band["loss_low"], band["loss_high"], series=_LAW, color=style.RED, alpha=0.15
        )
        plotted_data.line(axes, budgets["flops"], budgets["loss"], series=_LAW, color=style.RED, linewidth=1.8)
    else:
        text = f"law {numbers.NOT_DETERMINED}" if entry else "no law fitted"
    axes.text(0.03, 0.04, text, transform=axes.transAxes, fontsize=8.5, color=style.RED if determined else style.INK,
              bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5})  # fmt: skip
    return determined, "" if determined else (exponent or {}).get("why") or ""


def _scales(grid, table, count):
    # the first losses of a run are far above the rest and would press everything else together
    top = max(table["adv_loss"].quantile(0.97), table.groupby("run")["adv_loss"].last().max())
    flops = style.padded(table["flops"], least=1.5)
    losses = style.padded([table["adv_loss"].min(), top])
    for axes in grid:
        style.log_axis(axes, "x", flops, numbers.scientific, most=5 if count < 3 else 4)
        style.log_axis(axes, "y", losses, lambda value: f"{value:.3g}", most=6)


def _handles(looks, several, fitted):
    handles = style.model_handles(looks)
    if several:
        handles.append(style.handle("lower envelope", "black", linestyle="-"))
    return [*handles, style.handle(_LAW, style.RED, linestyle="-", linewidth=1.8)] if fitted else handles
