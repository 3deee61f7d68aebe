"""What each job of a study asks of the machine that it is given: memory and time. Imports no torch.

A batch system kills a job that takes more than it asked for, and lets one wait that asks for more than it needs. So
both are computed from what the job is told, with head room, and raised when it is tried again.
"""

import math
import os
from functools import cached_property

from robustlaws import settings as told
from robustlaws.study.costs import Costs
from robustlaws.study.memory import Memory

# jobs that save their state, stop before their time is over, and go on when they are started again
RESUMED = (
    "stage_samples", "train_generator", "train_extractor", "train_discriminator", "sample_shard", "train_run",
    "attack_chunk",
)  # fmt: skip

# MB, measured: resident sizes of a process that has loaded what a job loads (see tests/unit/test_needs.py)
_SNAKEMAKE = 400  # two that carry a job of a cluster, 160 each
_TABLES, _TORCH, _CUDA = 250, 400, 4000  # pandas and matplotlib; torch; torch and what a GPU has it map
_LEAST = 600  # below, a job is killed before it begins
_ROOM = 1.25  # for what an allocator does not give back
# A second attempt may need more; the tenth is most likely the tenth slice of one long run.
_GROWTH = (1.0, 1.5, 2.0, 4.0)

# FLOPs a second of one device where nothing was measured and nothing is given: those of small networks
_CPU, _GPU = 1.5e9, 1e12
_TIMED = 120.0  # seconds; shorter runs tell of their start
_SLACK = 2.0  # jobs of other kinds and sizes than those that were timed
_BYTES = 20e6  # a second, to and from a shared disk, hashed or unpacked
_START = 5.0  # minutes until a job works: two Snakemakes, an environment, torch, a GPU; and to write what it made
_UNCOUNTED = 240.0  # minutes, where FLOPs cannot be counted beforehand
# minutes of jobs that compute no FLOPs that are counted
_ALLOWED = {"fit_law": 60.0, "published": 60.0, "fetch_file": 240.0}
_OTHERWISE = 15.0


class Needs:
    """What the jobs of a study ask for.

    Parameters
    ----------
    study : study.Study
    folder : path or None
        Results of the study, where finished runs left how long they took. None: they are not looked at.
    """

    def __init__(self, study, folder=None):
        self.study, self.folder = study, folder
        self.compute = told.Compute(**study.config["compute"])
        self._known = {}

    # memory

    def memory_mb(self, rule, wildcards, attempt=1):
        """Return the main memory of a job, on each of its nodes, in MB.

        Parameters
        ----------
        rule : str
        wildcards : dict of str
        attempt : int
            Of the job, from 1 on; later ones ask for more, up to four times as much.
        """
        held = self.memory.of(rule, wildcards)
        interpreter = (_CUDA if self.compute.gpus else _TORCH) if held.torch else _TABLES
        own = held.processes * _ROOM * (interpreter + held.values / 1e6)
        launcher = _TORCH if held.processes > 1 else 0
        asked = max(_LEAST, _SNAKEMAKE + launcher + own) * _grown(attempt)
        return 100 * math.ceil(asked / 100)

    # time

    def minutes(self, rule, wildcards, attempt=1, paths=()):
        """Return the time of a job, in minutes: of a slice of it where `compute.budget_minutes` cuts it into slices.

        Parameters
        ----------
        rule, wildcards, attempt
            As for :meth:`memory_mb`.
        paths : iterable of path
            Files that are read whole and of which the study does not know the size.
        """
        asked = (_START + self._working(rule, wildcards, paths)) * _grown(attempt)
        if self.compute.budget_minutes:
            asked = min(asked, self._slice)
        return math.ceil(asked)

    def slices(self, rule, wildcards):
        """Return how often a job has to be started until it is done, 1 where nothing cuts it into slices."""
        if not self.compute.budget_minutes or rule not in RESUMED:
            return 1
        return max(1, math.ceil(self._working(rule, wildcards) / _SLACK / self.compute.budget_minutes))

    def too_few_retries(self, jobs):
        """Say which jobs are likely to be given up before they are done: a line, or none.

        Parameters
        ----------
        jobs : iterable of (rule, wildcards, retries)
            Jobs that are to be run, and how often each is tried again.

        Returns
        -------
        list of str
        """
        found = [(self.slices(rule, wildcards), retries, rule, wildcards) for rule, wildcards, retries in jobs]
        short = [
            (slices, retries, rule, wildcards) for slices, retries, rule, wildcards in found if slices > retries + 1
        ]
        if not short:
            return []
        slices, retries, rule, wildcards = max(short, key=lambda job: job[0])
        name = " ".join([rule, *wildcards.values()])
        return [
            f"{len(short)} jobs need more slices of compute.budget_minutes = {self.compute.budget_minutes:g} than"
            f" {retries} retries allow, {name} about {slices}: give --retries {slices}, or run again what is left"
        ]

    @property
    def _slice(self):
        return _START + self.compute.budget_minutes + told.GRACE / 60

    def _working(self, rule, wildcards, paths=()):
        """Return the minutes that a job works, with head room."""
        costs = self.costs.of(rule, wildcards)
        moved = sum(cost.bytes or 0 for cost in costs) + sum(os.path.getsize(p) for p in paths if os.path.isfile(p))
        minutes = _SLACK * moved / _BYTES / 60
        if any(cost.flops is None for cost in costs):
            return minutes + _UNCOUNTED
        flops = sum(cost.flops for cost in costs)
        if not flops:
            return minutes + _ALLOWED.get(rule, _OTHERWISE)
        devices = self.compute.ranks if rule == "train_run" else 1
        return minutes + _SLACK * flops / (self.speed * devices) / 60

    @cached_property
    def speed(self):
        """FLOPs a second of one device: given in the config, measured on the study's finished runs, or assumed."""
        given = self.study.config.get("plan", {}).get("speed")
        if given:
            return float(given)
        return self._measured() or (_GPU if self.compute.gpus else _CPU)

    def _measured(self):
        if self.folder is None:
            return None
        from robustlaws.speed import of_run  # numpy, which no job needs to be started

        found = []
        for run in self.study.runs.values():
            try:
                timed = of_run(self.folder, run.name)
            except ValueError:  # a damaged file of times is no reason not to run
                continue
            if timed and timed[0] >= _TIMED:
                wildcards = {"model": run.label, "dataset": run.dataset, "size": str(run.size), "seed": str(run.seed)}
                flops = sum(cost.flops for cost in self.costs.of("train_run", wildcards))
                found.append(timed[1] * flops / timed[0] / self.compute.ranks)
        return min(found, default=None)

    # what is asked

    @cached_property
    def costs(self):
        """Of the study, a :class:`robustlaws.study.costs.Costs`."""
        return Costs(self.study)

    @cached_property
    def memory(self):
        """Of the study, a :class:`robustlaws.study.memory.Memory`."""
        return Memory(self.costs, self.compute)


def _grown(attempt):
    return _GROWTH[min(attempt, len(_GROWTH)) - 1]
