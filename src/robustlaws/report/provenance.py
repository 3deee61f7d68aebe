"""Provenance in the report: jobs and code behind the files of a study, by stage."""

import json
import shlex
from collections import Counter, defaultdict
from pathlib import Path

from robustlaws.formatting import html_tables, numbers
from robustlaws.report import pictures
from robustlaws.runtime import shell_commands
from robustlaws.stages import ANALYSIS, RULES
from robustlaws.storage import tables

_ORDER = tuple(dict.fromkeys(rule.stage for rule in RULES.values()))
_SHOWN = 3  # of several in one cell
_CHANGED = "+changes"
_TEXTS = ("stage", "code", "commit", "machine", "when (UTC)")


def section(path, page):
    """Return the page's section on provenance; None without a table.

    Parameters
    ----------
    path : path or None
        Table `tables.PROVENANCE`, in a folder within that of the study.
    page : path
        That links it, and the RO-Crate of the study if there is one.

    Returns
    -------
    dict or None
        `files`, `jobs`: how many; `table`: a row for each stage; `software`: packages that all jobs had in one version;
        `remarks`: sentences on what differs and what is not known; `command`: what shows the provenance of one file,
        to be pasted in the workflow's folder; `links`: text -> address.
    """
    if path is None:
        return None
    study = Path(path).parent.parent
    rows = [html_tables.plain(row) for row in tables.read(path, tables.PROVENANCE).to_dict("records")]
    with_rule = [row for row in rows if row["rule"]]
    jobs = _jobs(with_rule)
    stages = {stage: some for stage in _ORDER if (some := [job for job in jobs if job["stage"] == stage])}
    same, differing = _software(jobs)
    return {
        "files": len(with_rule),
        "jobs": len(jobs),
        "table": html_tables.table(
            "Provenance by stage", [_row(*row_parts) for row_parts in stages.items()], texts=_TEXTS
        ),
        "software": same,
        "remarks": differing + _on_code(stages) + _on_silence(rows),
        "command": f"{shell_commands.call('robustlaws')} show {shlex.quote(str(study / _example(with_rule)))}"
        if with_rule
        else "",
        "links": {text: pictures.link(file, page) for text, file in _files(study, path).items() if file.is_file()},
    }


def _files(study, table):
    return {"the table of files": Path(table), "the RO-Crate of the study": study / "ro-crate-metadata.json"}


def _jobs(rows):
    """Return one row for each job: that of its last file."""
    last = {}
    for row in sorted(rows, key=lambda row: row["seconds"]):
        last[row["rule"], row["wildcards"]] = row
    return [row | {"stage": _stage(row["rule"]), "versions": json.loads(row["versions"])} for row in last.values()]


def _stage(rule):
    return RULES[rule].stage if rule in RULES else ANALYSIS  # a file may be older than the name of its rule


def _row(stage, jobs):
    return {
        "stage": stage,
        "jobs": f"{len(jobs):,}",
        "code": _several(job["revision"] for job in jobs),
        "commit": _several(_short(job["commit"]) for job in jobs),
        "machine": _several(_machine(job) for job in jobs),
        "when (UTC)": _span(min(job["start"] for job in jobs), max(job["end"] for job in jobs)),
        "all jobs together": numbers.duration(sum(job["seconds"] for job in jobs)),
    }


def _counted(values):
    """Return (value, how many) of what is known, the most frequent first."""
    return sorted(Counter(value for value in values if value).items(), key=lambda item: (-item[1], item[0]))


def _several(values):
    distinct = [value for value, _ in _counted(values)]
    if not distinct:
        return html_tables.Cell("not known", known=False)
    more = [f"{len(distinct) - _SHOWN} more"] if len(distinct) > _SHOWN else []
    return html_tables.Cell("; ".join(distinct[:_SHOWN] + more))


def _short(commit):
    return commit and commit.removesuffix(_CHANGED)[:7] + (_CHANGED if commit.endswith(_CHANGED) else "")


def _machine(job):
    if job["gpus"]:
        counted = _counted(job["gpus"].split("; "))
        return " + ".join(name if many == 1 else f"{many} {numbers.TIMES} {name}" for name, many in counted)
    return f"{job['processor']}, {numbers.plural(int(job['cores']), 'core')}"


def _span(start, end):
    """Return two ISO times as 2026-11-26 11:02 to 11:40, to the minute."""
    (day, start), (last, end) = (time[:16].split("T") for time in (start, end))
    ending = end if last == day else f"{last} {end}"
    return f"{day} {start}" if ending == start else f"{day} {start} to {ending}"


def _example(rows):
    """Return a file that a reader may ask about: a law, if there is one."""
    return next((row["file"] for row in rows if row["rule"] == "fit_law"), rows[-1]["file"])


def _software(jobs):
    """Return the packages with one version, in words, and a sentence for each with several."""
    versions = defaultdict(list)
    for job in jobs:
        for name, version in job["versions"].items():
            versions[name].append((version, job["stage"]))
    same, remarks = [], []
    for name, uses in sorted(versions.items()):
        counted = _counted(version for version, _ in uses)
        if len(counted) == 1:
            same.append(f"{name} {counted[0][0]}")
            continue
        counts = [
            f"{version} in {numbers.plural(many, 'job')}"
            f" ({_of_stages(stage for used_version, stage in uses if used_version == version)})"
            for version, many in counted
        ]
        remarks.append(f"{len(counted)} versions of {name}: {numbers.listed(counts)}.")
    return ", ".join(same), remarks


def _of_stages(stages):
    return numbers.listed(sorted(set(stages), key=_ORDER.index))


def _on_code(stages):
    """Return sentences on stages whose jobs ran different code, or code that no commit has."""
    remarks = []
    for stage, jobs in stages.items():
        commits = _counted(_short(job["commit"]) for job in jobs)
        if len(commits) > 1:
            counts = [f"{commit} ({numbers.plural(many, 'job')})" for commit, many in commits]
            remarks.append(f"The jobs of {stage} ran {len(commits)} states of the code: {numbers.listed(counts)}.")
        revisions = defaultdict(set)
        for job in jobs:
            revisions[(job["revision"] or "").rpartition("-r")[0]].add(job["revision"])
        remarks += [
            f"The jobs of {stage} ran {numbers.listed(sorted(several))}: results of different revisions of the code."
            for several in revisions.values()
            if len(several) > 1
        ]
    changed = [(stage, job) for stage, jobs in stages.items() for job in jobs if _CHANGED in (job["commit"] or "")]
    if changed:
        where = _of_stages(stage for stage, _ in changed)
        remarks.append(f"{numbers.plural(len(changed), 'job')} of {where} ran code with changes that no commit has.")
    return remarks


def _on_silence(rows):
    """Return a sentence on files that do not say where they come from."""
    silent = [row["file"] for row in rows if not row["rule"]]
    if not silent:
        return []
    were, such = ("was", "") if len(silent) == 1 else ("were", "such as ")
    many = numbers.plural(len(silent), "file")
    return [f"{many} {were} made before files said where they come from: {such}{silent[0]}."]
