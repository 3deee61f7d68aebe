"""Measured training FLOPs per second of a study's runs, from Snakemake's benchmark files."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from robustlaws.settings import Compute
from robustlaws.storage import embedded

# what training.loop says, but not what it says again of attempts before
_GOING_ON = re.compile(r"^(?!.*\bearlier: ).*going on at step (\d+) of (\d+)", re.MULTILINE)
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


class Timed(NamedTuple):
    """Seconds that the last start of a run's training took."""

    seconds: float
    share: float  # of the run that it did
    devices: int | None  # that shared it; None where the run does not say


def given(flops_per_second):
    """Return a speed that is known already."""
    return Speed(flops_per_second, flops_per_second, flops_per_second, 0)


def of_run(folder, run):
    """Return the :class:`Timed` of a run.

    Parameters
    ----------
    folder : path
        Results of the study: the time stands in `benchmarks/train/<run>.tsv`, where it went on in
        `logs/train/<run>.log`, on how many devices in `runs/<run>/weights.safetensors`.
    run : str

    Returns
    -------
    Timed or None
        None where no time was kept.

    Raises
    ------
    ValueError
        If the file is not one of Snakemake's benchmarks.
    """
    path = Path(folder) / "benchmarks" / "train" / f"{run}.tsv"
    if not path.is_file():
        return None
    try:
        with open(path, encoding="utf-8", newline="") as file:
            last = list(csv.DictReader(file, delimiter="\t"))[-1]["s"]
        seconds = 0.0 if last in ("-", "") else float(last)  # a job that was too short for Snakemake
    except (OSError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a Snakemake benchmark file ({error!r})") from None
    log = Path(folder) / "logs" / "train" / f"{run}.log"
    went_on = _GOING_ON.search(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else None
    share = 1 - int(went_on[1]) / int(went_on[2]) if went_on else 1.0
    return Timed(seconds, share, _devices(Path(folder) / "runs" / run)) if seconds > 0 and share > 0 else None


def _devices(folder):
    try:
        return Compute(**embedded.read(folder / "weights.safetensors")["config"]["compute"]).ranks
    except (OSError, ValueError, TypeError, KeyError):  # none, damaged, without provenance, or of another version
        return None


def measured(runs, folder, devices=1):
    """Return the median speed of the larger runs that were timed: what a long run would be trained with.

    Parameters
    ----------
    runs : data frame
        As `tables.RUNS`.
    folder : path or None
        Results of the study; see `of_run`.
    devices : int
        Devices of such a job, for runs that do not say what they had.

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
    known_runs = [(float(flops), of_run(folder, run)) for run, flops in zip(runs["run"], runs["flops"], strict=True)]
    timed = [
        (flops, flops * known.share / known.seconds / (known.devices or devices))
        for flops, known in known_runs
        if known
    ]
    if not timed:
        return None
    largest = max(flops for flops, _ in timed)
    speeds = np.array([speed for flops, speed in timed if flops >= _LARGE * largest])
    return Speed(float(np.median(speeds)), float(speeds.min()), float(speeds.max()), len(speeds))
