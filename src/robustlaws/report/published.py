"""The study's laws beside those of the published study: its runs refitted, its own recipe, its printed constants."""

import math

from robustlaws import records
from robustlaws.figures import sources, words
from robustlaws.report import approaches, cells

CONVERGED, RECIPE, PRINTED, OWN = "its runs, converged", "its runs, its recipe", "as printed", "this study"
# What a comparison may call what the law files and `records.APPROACHES` call otherwise; small letters.
_SAME = {
    "N_star": ("n_star", "a", "exponent a", "exponent of n*", "exponent a of n*", "a (exponent of n*)"),
    "D_star": ("d_star", "b", "exponent b", "exponent of d*", "exponent b of d*", "b (exponent of d*)"),
    "asymptote": ("asymptote", "limit of l", "limit of the loss", "limit of l (nats)", "loss at infinite compute"),
    "accuracy_limit": ("accuracy_limit", "limit of accuracy", "limit of the accuracy"),
    "flops_to_human": ("flops_to_human", "flops to human level"),
    "r2": ("r2", "r²", "r^2"),
}


def read(path):
    """Return the rows of a table `records.COMPARISON` as dicts; none where there is no table."""
    if path is None:
        return []
    return [cells.plain(row) for row in records.read(path, records.COMPARISON).to_dict("records")]


def table(comparison, laws, limits):
    """Return the comparison, the rows of each law under its title.

    Parameters
    ----------
    comparison : list of dict
        Rows of `records.COMPARISON`.
    laws : list of dict
        Law files of this study.
    limits : list of dict
        Rows of `records.APPROACHES` of this study.

    Returns
    -------
    dict or None
        {"table": a `cells.Table`, "beside": whether this study is another than the published one, "own":
        whether it has a column}; None without rows.
    """
    groups, known = {}, []
    for row in comparison:
        own = _own(row, sources.law_named(laws, row["law"]), limits)
        known += [] if own is None else [_is_same(own, row)]
        at = "" if row["fid"] is None else f"FID {words.fid(row['fid'])}"
        groups.setdefault(row["title"], []).append({
            "quantity": row["quantity"],
            "at": f"{row['dataset']} ({at})" if row["dataset"] and at else row["dataset"] or at,
            CONVERGED: cells.value(row),
            RECIPE: _number(row["recipe"]),
            PRINTED: _number(row["printed"]),
            OWN: "" if own is None else cells.value(own),
        })  # fmt: skip
    # a fit of the published runs would stand beside itself
    beside = not (known and all(known))
    if not beside:
        groups = {title: [row | {OWN: ""} for row in rows] for title, rows in groups.items()}
    made = cells.table("Beside the published study", groups, texts=("quantity", "at"), notes=True)
    return made and {"table": made, "beside": beside, "own": OWN in made.head}


def _number(value):
    return "" if value is None else words.number(value)


def _is_same(own, row):
    if own.get("value") is None or row["value"] is None:
        return own.get("value") is None and row["value"] is None
    return math.isclose(own["value"], row["value"], rel_tol=1e-6)


def _own(row, law, limits):
    """Return this study's entry of the quantity that a row compares, or None if it has none.

    What the paper gives at one of its FIDs stands beside this study's best FID; what holds at FID 0 beside FID 0.
    """
    if law is None:
        return None
    quantity = row["quantity"].casefold()
    name = next((name for name, names in _SAME.items() if quantity in names), row["quantity"])
    if name == "r2":
        known = law.get("r2") is not None and row["dataset"] is None
        return {"value": law["r2"], "determined": True} if known else None
    if name in (law.get("parameters") or {}):
        return law["parameters"][name]
    best = next(iter(sources.fid_order(sources.fids_of_laws([law]))), None)
    dataset = None if row["dataset"] is None and row["fid"] == 0 else best
    found = approaches.at(limits, law["law"], dataset, name)
    if found is None and dataset is not None:
        entry = sources.dataset_entry(law, dataset)
        numbers = (entry.get("parameters") or {}) | (entry.get("exponents") or {})
        found = (numbers | {"asymptote": entry.get("asymptote")}).get(name)
    return found
