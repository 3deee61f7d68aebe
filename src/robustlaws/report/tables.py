"""Datasets (table 1 of the paper), models (table 2), runs and attacks of a study."""

import pandas as pd

from robustlaws.figures.drawing import inputs
from robustlaws.formatting import html_tables, numbers

SHOWN = 8  # rows before the rest is folded away


def datasets(runs, quality):
    """Return the table of datasets, best FID first.

    Parameters
    ----------
    runs : data frame as `tables.RUNS`
    quality : list of dict
        FID files; a dataset without one has the FID of the runs' table.

    Returns
    -------
    table : html_tables.Table or None
    notes : list of str
        On the FIDs.
    """
    files = {entry["dataset"]: entry for entry in quality}
    named = [(name, entry["fid"]) for name, entry in files.items()] + list(
        zip(runs["dataset"], runs["fid"], strict=True)
    )
    rows = []
    for name, fid in inputs.fid_order(named).items():
        rows.append(_dataset(name, fid, runs[runs["dataset"] == name], files.get(name, {})))
    return html_tables.table("Datasets and their FIDs", rows, texts=("dataset", "generator")), _fid_notes(quality)


def _dataset(name, fid, runs, entry):
    first = runs.iloc[0] if len(runs) else {}
    cells = html_tables.plain({key: first.get(key) for key in ("generator", "steps", "real_fraction")})
    spread = f" ± {numbers.fid(entry['fid_sd'])}" if entry.get("fid_sd") is not None else ""
    return {
        "dataset": name,
        "generator": entry.get("generator") or cells["generator"] or "",
        "steps": entry.get("steps") or cells["steps"] or "",
        "FID": "" if fid is None else numbers.fid(fid) + spread,
        "images behind the FID": _behind(entry),
        "real images in a batch": numbers.percent(cells["real_fraction"]) if cells["real_fraction"] else "",
        "runs": f"{len(runs):,}",
        "largest D": numbers.count(runs["images"].max()) if len(runs) else "",
    }


def _behind(entry):
    if entry.get("images") is None:
        return ""
    times = f"{entry['subsets']} {numbers.TIMES} " if entry.get("subsets", 1) > 1 else ""
    real = f"against {entry['real_images']:,} real" if entry.get("real_images") is not None else ""
    return html_tables.Cell(f"{times}{entry['images']:,}", real)


def _fid_notes(quality):
    notes = {}
    for entry in quality:
        floor, features = entry.get("floor") or {}, entry.get("features") or {}
        if floor.get("fid") is not None:
            meaning = floor.get("meaning") or "FID of real images"
            images = f", {numbers.plural(floor['images'], 'image')}" if floor.get("images") else ""
            notes[f"Floor: {numbers.fid(floor['fid'])} ({meaning}{images})."] = None
        if features:
            dimensions = f", {features['dimensions']} dimensions" if features.get("dimensions") else ""
            name = features.get("name", "unnamed")
            notes[f"Features: {name}{dimensions}. FIDs in other features do not compare."] = None
    return list(notes)


def models(runs):
    """Return the networks that were trained, smallest first, as a table; None without runs."""
    rows = []
    shapes = runs.groupby(["params", "model"], sort=True)
    for (params, model), own in shapes:
        first = html_tables.plain(own.iloc[0].to_dict())
        rows.append({
            "model": model,
            "depth": first["depth"] or "",
            "width": first["width"] or "",
            "N": numbers.count(params),
            "forward FLOPs an image": numbers.scientific(first["forward_flops"]) if first["forward_flops"] else "",
            "runs": f"{len(own):,}",
        })  # fmt: skip
    return html_tables.table("Models", rows, texts=("model",))


def runs_by_robustness(runs):
    """Return the runs, the most robust first; those whose accuracy is not known come last, the lowest loss first."""
    return runs.sort_values(["adv_acc", "adv_loss", "run"], ascending=[False, True, True], kind="stable")


def runs_tables(runs):
    """Return two tables of runs, the most robust first: some, and all (None if these are all); None without runs."""
    several = runs["seed"].nunique() > 1
    rows = [_run(html_tables.plain(run), several) for run in runs_by_robustness(runs).to_dict("records")]
    return _some_and_all("runs", rows, texts=("model", "dataset"), marked=1)


def _run(run, several_seeds):
    def perhaps(name, text):
        return "" if run[name] is None else text(run[name])

    return {
        "model": run["model"] + (f"@{run['recipe']}" if run["recipe"] else ""),
        "N": numbers.count(run["params"]),
        "dataset": run["dataset"],
        "real": numbers.percent(run["real_fraction"]) if run["real_fraction"] else "",
        "FID": perhaps("fid", numbers.fid),
        "D": numbers.count(run["images"]),
        "FLOPs": numbers.scientific(run["flops"], 2),
        "adv. loss": perhaps("adv_loss", "{:.4f}".format),
        "PGD": perhaps("adv_acc", numbers.percent),
        # of how many: AutoAttack may have seen fewer images than PGD, and easier ones
        "AutoAttack": perhaps("autoattack_acc", lambda share: f"{numbers.percent(share)}{_of(run)}"),
        "clean": perhaps("clean_acc", numbers.percent),
        "seed": run["seed"] if several_seeds else "",
    }


def _of(run):
    return "" if run["autoattack_images"] is None else f" of {run['autoattack_images']:,}"


def _some_and_all(what, rows, texts, marked=0):
    some = html_tables.table(f"Most robust {what}", rows[:SHOWN], texts=texts, marked=marked)
    every = html_tables.table(f"All {what}", rows, texts=texts, marked=marked) if len(rows) > SHOWN else None
    return {"some": some, "all": every, "many": len(rows)} if some else None


def attacks(table):
    """Return the accuracies under whole attacks, a row for each victim, and those of every stage of a suite.

    Parameters
    ----------
    table : data frame as `tables.ATTACKS`

    Returns
    -------
    dict or None
        {"some", "all", "many"} as the runs, "stages" (a table or None) and "level" in words; None without attacks.
    """
    whole = list(dict.fromkeys(name for name in table["attack"] if "/" not in name))
    rows = []
    for victim, own in table.groupby("victim", sort=False):
        stages = {row["attack"]: row for row in own.to_dict("records")}
        # by the last attack, which is the strongest, then by the one before; where it was not run come last
        order = [-stages[name]["accuracy"] if name in stages else 1.0 for name in reversed(whole)]
        shares = {name: _share(stages[name]) if name in stages else "" for name in whole}
        rows.append((order, {"victim": victim} | shares))
    rows.sort(key=lambda row: row[0])
    tables_ = _some_and_all("victims", [cells_ for _, cells_ in rows], texts=("victim",))
    if tables_ is None:
        return None
    stages = [
        {"victim": row["victim"], "after": row["attack"], "accuracy": _share(row)}
        for row in table.to_dict("records")
        if "/" in row["attack"]
    ]
    return tables_ | {
        "stages": html_tables.table("Accuracy after each attack", stages, texts=("victim", "after")),
        "level": f"{100 * table['level'].iloc[0]:.3g}%",
    }


def _share(row):
    return html_tables.Cell(
        numbers.percent(row["accuracy"]),
        f"{numbers.bounds(row, numbers.percent, html_tables.ENDLESS)} of {row['images']:,}",
    )


def spent(runs):
    """Return the share of the charged FLOPs that was spent, in words; empty if unknown or all."""
    total, charged = runs["flops_spent"].sum(min_count=len(runs)), runs["flops"].sum()
    return numbers.percent(total / charged) if len(runs) and pd.notna(total) and total < charged else ""
