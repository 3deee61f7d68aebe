"""Durations of jobs, from Snakemake's benchmark files."""

import csv
from pathlib import Path

from robustlaws.formatting import html_tables, numbers


def table(paths):
    """Return jobs, seconds and peak memory per stage, the longest stage first; None without jobs.

    Parameters
    ----------
    paths : list of paths
        Benchmark files, each below a folder `benchmarks/<stage>`.

    Raises
    ------
    ValueError
        If a file is not one of Snakemake's.
    """
    jobs_of = {}
    for path in map(Path, paths):
        parents = path.parts[:-1]
        after = parents[len(parents) - parents[::-1].index("benchmarks") :] if "benchmarks" in parents else parents[-1:]
        jobs_of.setdefault(after[0] if after else path.stem, []).extend(_benchmark(path))
    longest = sorted(jobs_of.items(), key=lambda item: (-sum(job[0] for job in item[1]), item[0]))
    rows = [_row(stage, jobs) for stage, jobs in longest if jobs]
    if rows:
        rows.append(_row("all", [job for jobs in jobs_of.values() for job in jobs]))
    return html_tables.table("Time per stage", rows, texts=("stage",))


def _row(stage, jobs):
    seconds, memory = [job[0] for job in jobs], [job[1] for job in jobs if job[1] is not None]
    return {
        "stage": stage,
        "jobs": f"{len(jobs):,}",
        "all jobs together": numbers.duration(sum(seconds)),
        "longest job": numbers.duration(max(seconds)),
        "peak memory of a job": numbers.size(1e6 * max(memory)) if memory else "not measured",
    }


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
