"""The laws side by side (table 3 of the paper), and human level."""

from robustlaws.figures.drawing import inputs
from robustlaws.formatting import html_tables, numbers
from robustlaws.laws.limits import called
from robustlaws.storage import tables

HUMAN = "human"
UNCONVERGED = "not converged"
AT_ZERO = "At FID 0"
# In the order of the columns; those at a budget are said with the first one.
EXPONENTS = {"N_star": "a (exponent of\N{NO-BREAK SPACE}N*)", "D_star": "b (exponent of\N{NO-BREAK SPACE}D*)"}
_AT_BUDGET = {
    "params": ("N*", numbers.count),
    "images": ("D*", numbers.count),
    "loss": ("L* (nats)", numbers.number),
    "accuracy": ("accuracy", numbers.percent),
}


def read(path):
    """Return the rows of a table `tables.APPROACHES` as dicts; none where there is no table."""
    if path is None:
        return []
    return [html_tables.plain(row) for row in tables.read(path, tables.APPROACHES).to_dict("records")]


def human_level(limits):
    """Return (what it is called, accuracy under attack) of the human level; None where the study has none."""
    rows = [row for row in limits if row["law"] == HUMAN and row["quantity"] == "human_accuracy"]
    rows = [row for row in rows if row["value"] is not None]
    return (called(rows[0]["source"]), rows[0]["value"]) if rows else None


def places(limits):
    """Return dataset (None: FID 0) -> FID of the laws' rows: the best FID first, FID 0 second, then the others."""
    pairs = [(row["dataset"], row["fid"]) for row in limits if row["law"] != HUMAN]
    named = list(inputs.fid_order(pair for pair in pairs if pair[0] is not None).items())
    zero = [(None, 0.0)] if any(dataset is None for dataset, _ in pairs) else []
    return dict(named[:1] + zero + named[1:])


def at(limits, law, dataset, quantity, budget=None):
    """Return the row of one number, or None."""
    wanted = (law, dataset, quantity, budget)
    keys = ("law", "dataset", "quantity", "budget")
    return next((row for row in limits if tuple(row[key] for key in keys) == wanted), None)


def budgets(limits):
    """Return the budgets that the table holds, in its order."""
    return list(dict.fromkeys(row["budget"] for row in limits if row["budget"] is not None))


def table(limits, unconverged=()):
    """Return table 3 of the paper.

    Parameters
    ----------
    limits : list of dict
        Rows of `tables.APPROACHES`.
    unconverged : collection of str
        Laws whose fit has not converged.

    Returns
    -------
    dict or None
        {"main": table at the best FID and at FID 0, "others": table at the other FIDs or None, "budgets": table over
        all budgets, at the first two, or None}; None without rows.
    """
    where = places(limits)
    if not where:
        return None
    titles = {row["law"]: row["title"] for row in limits if row["law"] != HUMAN}
    names = {law: html_tables.Cell(title, badge=UNCONVERGED * (law in unconverged)) for law, title in titles.items()}
    first, every = {}, {}
    for index, (dataset, fid) in enumerate(where.items()):
        best = ", the best FID" if index == 0 and len(where) > 1 else ""
        heading = AT_ZERO if dataset is None else f"On {inputs.labelled(dataset, fid)}{best}"
        laws = [law for law in titles if any(row["law"] == law and row["dataset"] == dataset for row in limits)]
        rows = [{"approach": names[law]} | _row(limits, law, dataset) for law in laws]
        (first if dataset is None or index == 0 else every)[heading] = rows
    return {
        "main": html_tables.table("Approaches", first, texts=("approach",), notes=True),
        "others": html_tables.table("Approaches at other FIDs", every, texts=("approach",), notes=True),
        "budgets": _over_budgets(limits, where, titles),
    }


def _row(limits, law, dataset):
    cases = {label: at(limits, law, dataset, name) for name, label in EXPONENTS.items()}
    row = {label: _cell(case) for label, case in cases.items()}
    for budget in budgets(limits)[:1]:
        row[f"L* at {numbers.scientific(budget)} FLOPs"] = _cell(at(limits, law, dataset, "loss", budget))
    row["limit of L (nats)"] = _cell(at(limits, law, dataset, "asymptote"))
    row["limit of accuracy"] = _cell(at(limits, law, dataset, "accuracy_limit"), numbers.percent)
    if any(limit["quantity"] == "flops_to_human" for limit in limits):
        human = called(None)
        level = human if (human_level(limits) or (human,))[0] == human else "simulated level"  # a narrow column
        row[f"FLOPs to {level}"] = _cell(at(limits, law, dataset, "flops_to_human"), numbers.scientific, "never")
    return row


def _cell(case, *how):
    return html_tables.Cell("not modelled", known=False) if case is None else html_tables.value(case, *how)


def _over_budgets(limits, where, titles):
    groups = {}
    for dataset, fid in list(where.items())[:2]:
        heading = AT_ZERO if dataset is None else f"On {inputs.labelled(dataset, fid)}"
        groups[heading] = []
        for law, title in titles.items():
            for budget in budgets(limits):
                cells = {name: at(limits, law, dataset, name, budget) for name in _AT_BUDGET}
                if any(cells.values()):
                    row = {"approach": title, "FLOPs": numbers.scientific(budget)}
                    row |= {label: _cell(cells[name], text) for name, (label, text) in _AT_BUDGET.items()}
                    groups[heading].append(row)
    return html_tables.table("N*, D*, L* and accuracy at a budget", groups, texts=("approach",), notes=True)


def human_sentence(limits):
    """Return the human level; empty if the study names none."""
    human = human_level(limits)
    if human is None:
        return ""
    level, accuracy = human
    known = any(html_tables.value(row).known for row in limits if row["quantity"] == "flops_to_human")
    rest = "" if known else f" What it takes to reach it is {numbers.NOT_DETERMINED} by any law."
    return f"{numbers.sentence(level)} here is {numbers.percent(accuracy)} accuracy under attack.{rest}"


def to_human_level(limits, law):
    """Return a law's compute to reach human level, at the best FID and at FID 0, in words; empty without it."""
    never, parts = [], []
    for dataset, fid in list(places(limits).items())[:2]:
        row = at(limits, law, dataset, "flops_to_human")
        where = "at FID 0" if dataset is None else f"on {inputs.labelled(dataset, fid)}"
        cell = html_tables.value(row or {}, numbers.scientific, "never")
        if numbers.is_determined(row):
            parts.append(f"takes {cell.line} FLOPs {where}")
        elif cell.known:
            never.append(where)
    parts += [f"is never reached {' or '.join(never)}"] if never else []
    level = (human_level(limits) or (called(None),))[0]
    return f"{numbers.sentence(level)} {numbers.listed(parts)}." if parts else ""
