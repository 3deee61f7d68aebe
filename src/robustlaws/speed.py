"""How fast a study's own runs were trained: training FLOPs a second, from the times that Snakemake kept."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_LARGE = 0.3  # of the dearest timed run: below, start-up and evaluation weigh too much


@dataclass(frozen=True)
class Speed:
    """Training FLOPs a second and device: `value`, and the `slowest` and `fastest` of the `runs` it was measured on.

    `runs` is 0 where the speed was given.
    """

    value: float
    slowest: float
    fastest: float
    runs: int


def given(flops_per_second):
    """Return a speed that is known already."""
    return Speed(flops_per_second, flops_per_second, flops_per_second, 0)


def measured(runs, folder, devices=1):
    """Return the median speed of the larger runs that were timed.

    Parameters
    ----------
    runs : data frame
        As `records.RUNS`.
    folder : path or None
        Of the benchmarks of the jobs that train, `<run>.tsv` each; the time is that of a job's last start.
    devices : int
        Devices of such a job.

    Returns
    -------
    Speed or None
        None where no run was timed.

    Raises
    ------
    ValueError
        If a file is not one of Snakemake's benchmarks.
    """
    if folder is None:
        return None
    timed = []
    for run, flops in zip(runs["run"], runs["flops"], strict=True):
        path = Path(folder) / f"{run}.tsv"
        if path.is_file():
            timed += [(float(flops), seconds) for seconds in _seconds(path) if seconds > 0]
    if not timed:
        return None
    largest = max(flops for flops, _ in timed)
    speeds = np.array([flops / seconds / devices for flops, seconds in timed if flops >= _LARGE * largest])
    return Speed(float(np.median(speeds)), float(speeds.min()), float(speeds.max()), len(speeds))


def _seconds(path):
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return [float(row["s"]) for row in csv.DictReader(file, delimiter="\t")]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a Snakemake benchmark file ({error!r})") from None
