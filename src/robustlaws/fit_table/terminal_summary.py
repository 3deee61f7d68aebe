"""The results of a fit as text for a terminal."""

from pathlib import Path

from robustlaws.figures.drawing import inputs
from robustlaws.fit_table import output_folder, paper_comparison
from robustlaws.formatting import numbers, terminal
from robustlaws.storage import tables

_AT_BUDGET = {"params": ("N*", numbers.count), "images": ("D*", numbers.count), "loss": ("L*", numbers.number)}
_ALWAYS = {"accuracy_limit": ("limit of accuracy", numbers.percent), "flops_to_human": ("FLOPs to human level", None)}


def text(folder):
    """Return the laws in a folder that `study` has filled: parameters, a, b, limits, with intervals where known.

    Raises
    ------
    ValueError
        If the folder is not one of those.
    """
    folder = Path(folder)
    laws = inputs.read_laws(
        [folder / "laws" / f"{name}.json" for name in output_folder.read_mark(folder)["choices"]["laws"]]
    )
    parts = [_law(law) for law in laws]
    limits, compared = folder / "laws/limits.parquet", folder / "comparison.parquet"
    if compared.is_file():
        parts.append(paper_comparison.text(tables.read(compared, tables.COMPARISON)))
    elif limits.is_file():
        parts.append(_limits(tables.read(limits, tables.APPROACHES)))
    reasons = any(numbers.NOT_DETERMINED in part for part in parts)
    pages = [name for name in ("report.html", "explorer.html") if (folder / name).is_file()]
    where = ", ".join(str(folder / name) for name in pages) or str(folder)
    return "\n\n".join(
        [*filter(None, parts), f"{'Why a number is not determined, and more' if reasons else 'More'}: {where}"]
    )


def _law(law):
    fit = law.get("fit") or {}
    parts = [numbers.plural(law.get("n_runs") or 0, "run") + " fitted"]
    parts += [] if law.get("r2") is None else [f"R2 {law['r2']:.3f}"]
    parts += [] if not fit else ["converged" if fit.get("converged") else "NOT converged"]
    interval = law.get("interval") or {}
    parts += [f"{100 * interval['level']:.3g}% intervals"] if interval.get("refits") and law.get("n_runs") else []
    lines = [inputs.title(law), f"  {law.get('form', '')}", f"  {', '.join(parts)}"]
    parameters = law.get("parameters") or {}
    known = [[name, numbers.interval(cell)] for name, cell in parameters.items() if numbers.is_determined(cell)]
    if known:
        lines.append(terminal.in_columns([["parameter", "value"], *known]))
    lines += _unknown(parameters)
    lines += _datasets(law.get("datasets") or [])
    return "\n".join([*lines, *(f"  note: {warning}" for warning in law.get("warnings") or [])])


def _datasets(entries):
    """Return the lines of a, b and the limit of each dataset of a law."""
    rows, unknown = [["dataset", "a (N*)", "b (D*)", "limit (nats)"]], {}
    for entry in entries:
        exponents = entry.get("exponents") or {}
        cells = [exponents.get("N_star"), exponents.get("D_star"), entry.get("asymptote")]
        if any(map(numbers.is_determined, cells)):
            named = inputs.labelled(entry["dataset"], entry.get("fid"))
            rows.append([named, *("" if cell is None else numbers.interval(cell) for cell in cells)])
        else:
            unknown[entry["dataset"]] = cells[0]
    if not any(row[3] for row in rows[1:]):
        rows = [row[:3] for row in rows]
    table = [terminal.in_columns(rows)] if len(rows) > 1 else []
    return table + _unknown(unknown, "a and b on ")


def _unknown(cells, head=""):
    """Return a line for each reason: which of the cells are not determined for it."""
    reasons = {}
    for name, cell in cells.items():
        if not numbers.is_determined(cell):
            reasons.setdefault((cell or {}).get("why") or "no reason given", []).append(name)
    return [f"  {numbers.NOT_DETERMINED}: {head}{numbers.listed(names)} ({why})" for why, names in reasons.items()]


def _limits(table):
    """Return the laws' numbers at budgets, at the best FID and at FID 0."""
    rows = [["law", "FID", "budget", *(label for label, _ in _AT_BUDGET.values()), "accuracy"]]
    ends = [["law", "FID", *(label for label, _ in _ALWAYS.values())]]
    for law, own in table.groupby("law", sort=False):
        best = own["fid"][own["dataset"].notna()].min()
        for fid, at in own[(own["fid"] == best) | own["dataset"].isna()].groupby("fid", sort=False):
            at = at[at["dataset"] == at["dataset"].iloc[0]] if at["dataset"].notna().any() else at
            for budget, of_budget in at[at["budget"].notna()].groupby("budget"):
                cells = {row["quantity"]: row for row in of_budget.to_dict("records")}
                shown = [terminal.cell(cells.get(name), form) for name, (_, form) in _AT_BUDGET.items()]
                shown.append(terminal.cell(cells.get("accuracy"), numbers.percent))
                if set(shown) != {numbers.NOT_DETERMINED}:
                    rows.append([law, numbers.fid(fid), numbers.scientific(budget), *shown])
            cells = {row["quantity"]: row for row in at[at["budget"].isna()].to_dict("records")}
            shown = [terminal.cell(cells.get(name), form) for name, (_, form) in _ALWAYS.items()]
            if not set(shown) <= {"", numbers.NOT_DETERMINED}:
                ends.append([law, numbers.fid(fid), *shown])
    parts = [("Best that a budget (FLOPs) can buy", rows), ("Limits", ends)]
    return "\n".join(f"{title}\n{terminal.in_columns(lines)}" for title, lines in parts if len(lines) > 1)
