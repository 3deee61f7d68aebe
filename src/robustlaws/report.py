"""One study as one HTML page that needs nothing beside itself: no script, no network, no clock."""

import base64
import csv
import json
import platform
import struct
from contextlib import suppress
from importlib import metadata
from importlib.resources import files
from pathlib import Path

import jinja2
import pandas as pd

from robustlaws import records, report_findings
from robustlaws.figures import sources, words
from robustlaws.figures.captions import CAPTIONS
from robustlaws.files import write_text

_RUNS_SHOWN = 8
_PACKAGES = ("robustlaws", "snakemake", "torch", "numpy", "scipy", "pandas", "pyarrow", "h5py", "matplotlib")


def write(
    path, *, study, description, runs, curves, attacks, laws, accuracy, quality, figures, timings, settings, versions
):  # fmt: skip
    """Write the report of a study.

    Parameters
    ----------
    path : path
        The HTML page to write, whole or not at all.
    study, description : str
        Name of the study, and what it is for.
    runs, curves, attacks : paths
        Tables `records.RUNS`, `records.CURVES` and `records.ATTACKS`.
    laws, quality : lists of paths
        Law files, and FID files of the datasets.
    accuracy : path
        JSON of the line from adversarial loss to adversarial accuracy.
    figures : list of paths
        PNG files in the order of the page; captions go by their names.
    timings : list of paths
        Snakemake benchmark files, each below a folder `benchmarks/<stage>`.
    settings : dict
        The checked config.
    versions : dict of str to str
        Software -> version.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    runs, attacks = records.read(runs, records.RUNS), records.read(attacks, records.ATTACKS)
    laws = sources.read_laws(laws)
    page = _template().render(
        study=study,
        description=description,
        **_findings(runs, attacks, laws),
        datasets=_datasets(quality),
        runs=_runs(runs),
        columns=_run_columns(runs),
        attacks=_attacks(attacks),
        runs_shown=_RUNS_SHOWN,
        observations=len(records.read(curves, records.CURVES)),
        spent=_spent(runs),
        laws=[_law(law) for law in laws],
        accuracy=_accuracy(sources.read_json(accuracy)),
        figures=[_figure(figure) for figure in figures],
        stages=_stages(timings),
        versions=versions,
        seeds=sorted(int(seed) for seed in runs["seed"].unique()),
        settings=json.dumps(settings, indent=2, ensure_ascii=False, default=str),
    )
    write_text(path, page)


def _spent(runs):
    """Return how much of the FLOPs charged was really spent, in words; empty where it is not known or all."""
    spent, charged = runs["flops_spent"].sum(min_count=len(runs)), runs["flops"].sum()
    return words.percent(spent / charged) if pd.notna(spent) and spent < charged else ""


def _findings(runs, attacks, laws):
    images_sentence, exceptions = report_findings.more_images(runs)
    fid_sentence, fid_details = report_findings.better_fid(runs)
    runs_sentences = [report_findings.what_was_run(runs), report_findings.best_in_words(runs, attacks)]
    return {
        "sentences": [*runs_sentences, images_sentence, fid_sentence],
        "exceptions": exceptions,
        "fid_details": fid_details,
        "exponents": report_findings.exponents(laws),
    }


def write_files(path, *, config, runs, curves, attacks, laws, accuracy, quality, figures, benchmarks):
    """Write the report of a study from its checked config and the folder of its Snakemake benchmarks.

    The other parameters are those of :func:`write`; versions are those of the running Python's packages.
    """
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    write(
        path,
        study=config["study"],
        description=config.get("description", ""),
        runs=runs,
        curves=curves,
        attacks=attacks,
        laws=laws,
        accuracy=accuracy,
        quality=quality,
        figures=figures,
        timings=sorted(Path(benchmarks).rglob("*.tsv")),
        settings=config,
        versions=versions,
    )


def _template():
    # StrictUndefined: a name that the page misses is an error here, not a gap there
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(files("robustlaws").joinpath("report.html.j2").read_text(encoding="utf-8"))


def _datasets(paths):
    entries = [sources.read_json(path) for path in paths]
    entries.sort(key=lambda entry: (entry["fid"], entry["dataset"]))
    notes = {}
    for entry in entries:
        floor, features = entry.get("floor") or {}, entry.get("features") or {}
        if floor.get("fid") is not None:
            meaning = floor.get("meaning") or "FID of real images"
            images = f", {words.plural(floor['images'], 'image')}" if floor.get("images") else ""
            notes[f"Floor: {words.fid(floor['fid'])} ({meaning}{images})."] = None
        if features:
            dimensions = f", {features['dimensions']} dimensions" if features.get("dimensions") else ""
            notes[
                f"Features: {features.get('name', 'unnamed')}{dimensions}. FIDs in other features do not compare."
            ] = None
    rows = [
        (
            entry["dataset"],
            entry.get("generator") or "",
            entry.get("steps") or "",
            words.fid(entry["fid"]) + (f" ± {words.fid(entry['fid_sd'])}" if entry.get("fid_sd") is not None else ""),
            _subsets(entry),
            f"{entry['real_images']:,}" if entry.get("real_images") is not None else "",
        )
        for entry in entries
    ]
    return {"rows": rows, "notes": list(notes)}


def _subsets(entry):
    if entry.get("images") is None:
        return ""
    times = f"{entry['subsets']} \N{MULTIPLICATION SIGN} " if entry.get("subsets", 1) > 1 else ""
    return f"{times}{entry['images']:,}"


def _run_columns(runs):
    columns = ["model", "N", "dataset", "FID", "D", "FLOPs", "adv. loss", "PGD", "AutoAttack", "clean"]
    if (runs["real_fraction"] > 0).any():
        columns.insert(4, "real")
    if runs["seed"].nunique() > 1:
        columns.append("seed")
    return columns


def _runs(runs):
    """Return the runs' cells, most robust first, in the columns of :func:`_run_columns`."""
    columns = _run_columns(runs)
    ordered = runs.sort_values(["adv_acc", "adv_loss", "run"], ascending=[False, True, True], kind="stable")
    rows = []
    for run in ordered.to_dict("records"):
        cells = {
            "model": run["run"].split("/")[0],
            "N": words.count(run["params"]),
            "dataset": run["dataset"],
            "real": words.percent(run["real_fraction"]) if run["real_fraction"] else "",
            "FID": words.fid(run["fid"]) if pd.notna(run["fid"]) else "",
            "D": words.count(run["images"]),
            "FLOPs": words.scientific(run["flops"], 2),
            "adv. loss": f"{run['adv_loss']:.4f}",
            "PGD": words.percent(run["adv_acc"]),
            # of how many: AutoAttack may have seen fewer images than PGD, and easier ones
            "AutoAttack": f"{words.percent(run['autoattack_acc'])} of {run['autoattack_images']:,}"
            if pd.notna(run["autoattack_acc"])
            else "",
            "clean": words.percent(run["clean_acc"]),
            "seed": run["seed"],
        }
        rows.append([cells[column] for column in columns])
    return rows


def _attacks(attacks):
    """Return the accuracies under whole attacks, a row for each victim, and those of every stage of a suite."""
    whole = list(dict.fromkeys(name for name in attacks["attack"] if "/" not in name))
    rows = []
    for victim, own in attacks.groupby("victim", sort=False):
        stages = {row["attack"]: row for row in own.to_dict("records")}
        # by the last attack, which is the strongest, then by the one before; where it was not run come last
        order = [-stages[name]["accuracy"] if name in stages else 1.0 for name in reversed(whole)]
        rows.append((order, [victim, *(_share(stages[name]) if name in stages else "" for name in whole)]))
    rows.sort(key=lambda row: row[0])
    return {
        "columns": ["victim", *whole],
        "rows": [cells for _, cells in rows],
        "stages": [(r["victim"], r["attack"], _share(r)) for r in attacks.to_dict("records") if "/" in r["attack"]],
        "level": f"{100 * attacks['level'].iloc[0]:.3g}%" if len(attacks) else "",
    }


def _share(row):
    span = f"{words.percent(row['low'])}, {words.percent(row['high'])}"
    return f"{words.percent(row['accuracy'])} [{span}] of {row['images']:,}"


def _cell(cell):
    known = words.is_determined(cell)
    return {"known": known, "text": words.interval(cell), "why": "" if known else (cell or {}).get("why") or ""}


def _law(law):
    datasets = [_law_dataset(law, entry) for entry in law.get("datasets") or []]
    names = list(dict.fromkeys(name for dataset in datasets for name in dataset["cells"]))
    return {
        "title": sources.title(law),
        "form": law.get("form", ""),
        "warnings": law.get("warnings") or [],
        "parameters": {name: _cell(cell) for name, cell in (law.get("parameters") or {}).items()},
        "names": names,
        "datasets": [{**dataset, "cells": [dataset["cells"].get(name) for name in names]} for dataset in datasets],
        "notes": _law_notes(law),
    }


def _law_notes(law):
    """Return what stands below a law's tables: what it was fitted to, and how well and how surely."""
    notes = [f"Fitted to {words.plural(law.get('n_runs') or 0, 'run')}{_left_out(law)}."]
    if law.get("r2") is not None:
        notes.append(f"R² {law['r2']:.3f}.")
    interval, fit = law.get("interval"), _fit(law.get("fit") or {})
    if interval:
        notes.append(f"{100 * interval['level']:.3g}% intervals by {interval['method']}, {interval['refits']} refits.")
    if fit:
        notes.append(f"Fit: {fit}.")
    if law.get("flops_per_parameter_image"):
        notes.append(f"{words.number(law['flops_per_parameter_image'], 4)} training FLOPs per parameter and image.")
    return notes


def _left_out(fitted):
    return "".join(f"; {count} left out: {why}" for why, count in (fitted.get("n_runs_left_out") or {}).items())


def _law_dataset(law, entry):
    cells = dict(entry.get("parameters") or {})
    for name, label in (("N_star", "exponent of N*"), ("D_star", "exponent of D*")):
        if name in (entry.get("exponents") or {}):
            cells[label] = entry["exponents"][name]
    if entry.get("asymptote") is not None:
        cells["loss at infinite compute"] = entry["asymptote"]
    r2 = (law.get("r2_by_dataset") or {}).get(entry["dataset"])
    return {
        "name": sources.labelled(entry["dataset"], entry.get("fid")),
        "cells": {name: _cell(cell) for name, cell in cells.items()},
        "r2": "" if r2 is None else f"{r2:.3f}",
    }


def _fit(fit):
    if not fit:
        return ""
    parts = ["converged" if fit.get("converged") else "NOT converged"]
    for key, label in (("objective", "objective"), ("gradient_norm", "gradient norm")):
        if fit.get(key) is not None:
            parts.append(f"{label} {words.scientific(fit[key])}")
    if fit.get("starts") is not None:
        parts.append(f"{fit.get('starts_agreeing', '?')} of {fit['starts']} starts agree")
    if fit.get("hessian_condition") is not None:
        parts.append(f"condition of the Hessian {words.scientific(fit['hessian_condition'], 2)}")
    return ", ".join(parts)


def _accuracy(line):
    r2 = "" if line.get("r2") is None else f"R² {line['r2']:.3f}, "
    return {
        "cells": {name: _cell(line.get(name)) for name in ("intercept", "slope")},
        "note": f"{r2}{words.plural(line.get('n_runs') or 0, 'run')}{_left_out(line)}",
    }


def _figure(path):
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: not a readable figure ({error})") from None
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError(f"{path}: not a PNG file")
    width, height = struct.unpack(">II", content[16:24])
    name = Path(path).stem
    lead, _, rest = CAPTIONS.get(name, name.replace("_", " ")).partition(". ")
    source = f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
    return {"name": name, "source": source, "width": width, "height": height, "lead": lead, "rest": rest}


def _stages(paths):
    """Return jobs, seconds and peak memory per stage, the longest stage first."""
    stages = {}
    for path in map(Path, paths):
        parents = path.parts[:-1]
        after = parents[len(parents) - parents[::-1].index("benchmarks") :] if "benchmarks" in parents else parents[-1:]
        stages.setdefault(after[0] if after else path.stem, []).extend(_benchmark(path))
    longest = sorted(stages.items(), key=lambda item: (-sum(job[0] for job in item[1]), item[0]))
    rows = [(stage, *_stage_cells(jobs)) for stage, jobs in longest if jobs]
    everything = [job for jobs in stages.values() for job in jobs]
    return {"rows": rows, "total": _stage_cells(everything) if everything else None}


def _stage_cells(jobs):
    seconds, memory = [job[0] for job in jobs], [job[1] for job in jobs if job[1] is not None]
    return (
        len(jobs),
        words.duration(sum(seconds)),
        words.duration(max(seconds)),
        words.memory(max(memory)) if memory else "not measured",
    )


def _benchmark(path):
    """Return (seconds, peak memory in MB or None) of each job in a Snakemake benchmark file."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return [(float(row["s"]), _number(row["max_rss"])) for row in csv.DictReader(file, delimiter="\t")]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a Snakemake benchmark file ({error!r})") from None


def _number(text):
    # a job that ended before Snakemake looked at it has "-" or "NA"
    return None if text in (None, "", "-", "NA", "None", "nan") else float(text)
