"""The study's laws beside those of the published study: its runs refitted, its own recipe, its printed constants."""

import math

from robustlaws import records
from robustlaws.figures import sources, words
from robustlaws.report import approaches, cells

CONVERGED, RECIPE, PRINTED, OWN = "its runs, converged", "its runs, its recipe", "as printed", "this study"
# What a comparison may call what the law files and `records.APPROACHES` call otherwise; small letters.
_SAME = {
    "N_star": ("n_star", "a", "a (exponent of n*)", "exponent a", "exponent of n*", "exponent of n* (a)"),
    "D_star": ("d_star", "b", "b (exponent of d*)", "exponent b", "exponent of d*", "exponent of d* (b)"),
    "r2": ("r2", "r²", "r^2"),
}


def read(path):
    """Return the rows of a table `records.COMPARISON` as dicts; none where there is no table."""
    if path is None:
        return []
    return [cells.plain(row) for row in records.read(path, records.COMPARISON).to_dict("records")]


def table(comparison, laws, limits):
    """Return the comparison, the rows of each law under its title, as a table; None without rows.

    Parameters
    ----------
    comparison : list of dict
        Rows of `records.COMPARISON`.
    laws : list of dict
        Law files of this study.
    limits : list of dict
        Rows of `records.APPROACHES` of this study.
    """
    groups, same = {}, True
    for row in comparison:
        own = _own(row, sources.law_named(laws, row["law"]), limits)
        same &= own is None or _is_same(own, row)
        at = "" if row["fid"] is None else f"FID {words.fid(row['fid'])}"
        groups.setdefault(row["title"], []).append({
            "quantity": row["quantity"],
            "at": f"{row['dataset']} ({at})" if row["dataset"] and at else row["dataset"] or at,
            CONVERGED: cells.value(row),
            RECIPE: _number(row["recipe"]),
            PRINTED: _number(row["printed"]),
            OWN: "" if own is None else cells.value(own),
        })  # fmt: skip
    if same:
        # the study is the published one: it would stand beside itself
        for rows in groups.values():
            for row in rows:
                del row[OWN]
    return cells.table("Beside the published study", groups, texts=("quantity", "at"), notes=True)


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
        found = ((entry.get("parameters") or {}) | (entry.get("exponents") or {})).get(name)
    return found
