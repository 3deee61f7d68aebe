"""The study's laws beside the published ones: refitted, by the published recipe, and as printed."""

import math
import re

from robustlaws.figures.drawing import inputs
from robustlaws.formatting import html_tables, numbers
from robustlaws.report import approaches
from robustlaws.storage import tables

CONVERGED, RECIPE, PRINTED, OWN = "its runs, converged", "its runs, its recipe", "as printed", "this study"
# Names in a comparison for numbers of the law files and `tables.APPROACHES`. These make the short table.
_NAMED = {
    "a (exponent of N*)": "N_star",
    "b (exponent of D*)": "D_star",
    "limit of the loss": "asymptote",
    "limit of accuracy": "accuracy_limit",
    "FLOPs to human level": "flops_to_human",
    "R²": "r2",
}
_AT_BUDGET = {"N*": "params", "D*": "images", "L*": "loss", "accuracy": "accuracy"}


def read(path):
    """Return the rows of a table `tables.COMPARISON` as dicts; none where there is no table."""
    if path is None:
        return []
    return [html_tables.plain(row) for row in tables.read(path, tables.COMPARISON).to_dict("records")]


def form(quantity):
    """Return the number format of a quantity, and the text for an endless one."""
    if quantity.startswith(("N* at", "D* at")):
        return numbers.count, "\N{INFINITY}"
    if quantity.startswith("accuracy at") or quantity == "limit of accuracy":
        return numbers.percent, "\N{INFINITY}"
    if quantity == "FLOPs to human level" or quantity.startswith("mean Huber loss"):
        return numbers.scientific, "never"
    return numbers.number, "\N{INFINITY}"


def table(comparison, laws, limits):
    """Return the comparison, the rows of each law under its title.

    Parameters
    ----------
    comparison : list of dict
        Rows of `tables.COMPARISON`.
    laws : list of dict
        Law files of this study.
    limits : list of dict
        Rows of `tables.APPROACHES` of this study.

    Returns
    -------
    dict or None
        {"main": a table of what the laws conclude, "all": one of everything that was compared, or None if that is no
        more, "many": rows of that, "beside": whether this study is another than the published one, "own": whether it
        has a column}; None without rows.
    """
    if not comparison:
        return None
    own_rows = [_own(row, inputs.law_named(laws, row["law"]), limits, _best(row, comparison)) for row in comparison]
    known = [_is_same(own, row) for own, row in zip(own_rows, comparison, strict=True) if own is not None]
    # a fit of the published runs would stand beside itself
    beside = not (known and all(known))
    pairs = [(row, own if beside else None) for row, own in zip(comparison, own_rows, strict=True)]
    concluded = [
        (row, own) for row, own in pairs if row["quantity"] in _NAMED and _is_printed(row, comparison)
    ] or pairs
    main, every = _table("Beside the published study", concluded), _table("Everything compared", pairs)
    return {
        "main": main,
        "all": every if len(pairs) > len(concluded) else None,
        "many": len(pairs),
        "beside": beside,
        "own": OWN in every.head,
    }


def _is_printed(row, comparison):
    """Return whether the paper prints a number, or none of that law."""
    same = [other for other in comparison if (other["law"], other["quantity"]) == (row["law"], row["quantity"])]
    return row["printed"] is not None or all(other["printed"] is None for other in same)


def _table(label, pairs):
    groups = {}
    for row, own in pairs:
        how = form(row["quantity"])
        at = "" if row["fid"] is None else f"FID {numbers.fid(row['fid'])}"
        groups.setdefault(row["title"], []).append({
            "quantity": row["quantity"],
            "at": f"{row['dataset']} ({at})" if row["dataset"] and at else row["dataset"] or at,
            CONVERGED: html_tables.value(row, *how),
            RECIPE: "" if row["recipe"] is None else how[0](row["recipe"]),
            PRINTED: "" if row["printed"] is None else how[0](row["printed"]),
            OWN: "" if own is None else html_tables.value(own, *how),
        })  # fmt: skip
    return html_tables.table(label, groups, texts=("quantity", "at"), notes=True)


def _is_same(own, row):
    if own.get("value") is None or row["value"] is None:
        return own.get("value") is None and row["value"] is None
    return math.isclose(own["value"], row["value"], rel_tol=1e-6)


def _best(row, comparison):
    """Return the best FID's dataset among the rows of a quantity: that which the paper prints a number of, if any."""
    rows = [other for other in comparison if (other["law"], other["quantity"]) == (row["law"], row["quantity"])]
    printed = [other for other in rows if other["printed"] is not None and other["dataset"] is not None] or rows
    return next(
        iter(inputs.fid_order((other["dataset"], other["fid"]) for other in printed if other["dataset"] is not None)),
        "",
    )


def _own(row, law, limits, best):
    """Return this study's entry of the quantity that a row compares, or None if it has none.

    The level of simulated participants is not compared: the paper's level is that of people.

    The paper's best FID (the dataset `best`) stands beside this study's best, FID 0 beside FID 0, and a dataset that
    both have beside itself.
    """
    if law is None:
        return None
    itself = row["dataset"] is not None and inputs.dataset_entry(law, row["dataset"]).get("fid") == row["fid"]
    if row["dataset"] not in (None, best) and not itself:
        return None
    name, budget = _NAMED.get(row["quantity"], row["quantity"]), None
    if name == "r2":
        return {"value": law["r2"], "determined": True} if law.get("r2") is not None else None
    if name in (law.get("parameters") or {}):
        return law["parameters"][name]
    of_budget = re.fullmatch(r"(N\*|D\*|L\*|accuracy) at (\S+) FLOPs", name)
    if of_budget:
        name = _AT_BUDGET[of_budget[1]]
        budget = next(
            (candidate for candidate in approaches.budgets(limits) if numbers.scientific(candidate) == of_budget[2]),
            0.0,
        )
    dataset = None
    if row["dataset"] is not None or row["fid"] != 0:
        order = inputs.fid_order(inputs.fids_of_laws([law]))
        dataset = row["dataset"] if itself else next(iter(order), None)
    cell = approaches.at(limits, law["law"], dataset, name, budget)
    if cell is None and dataset is not None and not of_budget:
        entry = inputs.dataset_entry(law, dataset)
        entries = (entry.get("parameters") or {}) | (entry.get("exponents") or {})
        cell = (entries | {"asymptote": entry.get("asymptote")}).get(name)
    return None if cell and cell.get("source") == "simulated" else cell
