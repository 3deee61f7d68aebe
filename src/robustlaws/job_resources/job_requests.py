"""Memory and time requests of each job. Imports no torch.

A batch system kills a job that takes more than it asked for, and lets one wait that asks for more than it needs. So
both are computed from the job's settings, with head room, and raised when it is tried again.
"""

import math
import os
from functools import cache, cached_property

from robustlaws.job_resources.job_costs import Costs
from robustlaws.job_resources.job_memory import Memory
from robustlaws.settings import GRACE, Compute
from robustlaws.stages import RULES

# MB of a process that has loaded what a job loads, measured on finished jobs (tests/unit/job_resources)
# and, for CUDA 13 with torch 2.11, on an H200 (1,700); the workers of torch.compile there had 0.5 GB each, most of it
# shared
_SNAKEMAKE = 400  # two that carry a job of a cluster, 160 each
_LOADED = {"tables": 350, "torch": 450, "gpu": 2500}
_COMPILER = 3000
_LEAST = 600  # below, a job of a cluster is killed before it begins
_ROOM = 1.25  # for what an allocator does not give back
# Times what is asked first. A second attempt may have been killed for what it asked; the tenth is most likely the tenth
# slice of one long run, and needs no more than the first.
_GROWTH = (1.0, 1.5, 2.0, 4.0)
_SLICED = 2.0  # at most, of a job that is known to be cut into slices

# Where no speed was measured and none is given: seconds of a pass whatever it computes, and FLOPs a second of a device
# beside. An H200 takes 0.005 s for a pass of WRN-10-1 on 32 images and does 1.7e14 FLOPs/s with WRN-28-10; one core of
# a CPU, half taken by others, does 1.5e9 to 1.3e10. Older ones are slower.
_CPU, _GPU = (0.005, 3e9), (0.01, 2e13)
_TIMED = 120.0  # seconds; shorter runs tell of their start
_SLACK = 2.0  # jobs of other kinds and sizes than those that were timed
_BYTES = 20e6  # a second, to and from a shared disk, hashed or unpacked
_START = 5.0  # minutes until a job works: two Snakemakes, an environment, torch, a GPU; and to write what it made
_UNCOUNTED = 240.0  # minutes, where FLOPs cannot be counted beforehand


class Needs:
    """The requests of the jobs of a study.

    Parameters
    ----------
    study : study.Study
    folder : path or None
        Results of the study, where finished runs left how long they took. None: they are not looked at.
    """

    def __init__(self, study, folder=None):
        self.study, self.folder = study, folder
        self.compute = Compute(**study.config["compute"])
        self._costs = Costs(study)
        self._memory = Memory(self._costs, self.compute)

    # memory

    def memory_mb(self, rule, wildcards, attempt=1):
        """Return the main memory of a job, on each of its nodes, in MB.

        Parameters
        ----------
        rule : str
        wildcards : dict of str
        attempt : int
            Of the job, from 1 on; later ones ask for more, up to four times as much, or twice in a job of many slices.
        """
        memory = self._memory_need(rule, _key(rule, wildcards))
        interpreter = _LOADED[memory.loads] if self.compute.gpus or memory.loads != "gpu" else _LOADED["torch"]
        interpreter += _COMPILER if self.compute.compile and RULES[rule].compiled else 0
        own = memory.processes * _ROOM * (interpreter + memory.values / 1e6)
        # the job itself and torch's launcher wait beside those that share its work
        launchers = 2 * _LOADED["torch"] if rule == "train_run" and self.compute.ranks > 1 else 0
        most = _SLICED if self.slices(rule, wildcards) > 1 else _GROWTH[-1]
        asked = max(_LEAST, _SNAKEMAKE + launchers + own) * min(most, _grown(attempt))
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
        read = sum(os.path.getsize(path) for path in paths if os.path.isfile(path))
        working = self._working(rule, _key(rule, wildcards)) + _SLACK * read / _BYTES / 60
        asked = (_START + working) * _grown(attempt)
        if budget := self.compute.budget_minutes:
            asked = min(asked, _START + budget + GRACE / 60)
        return math.ceil(asked)

    def slices(self, rule, wildcards):
        """Return the number of starts until a job is done: 1 unless its time is sliced."""
        if not self.compute.budget_minutes or not RULES[rule].resumed:
            return 1
        return max(1, math.ceil(self._working(rule, _key(rule, wildcards)) / _SLACK / self.compute.budget_minutes))

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
        needed = [(self.slices(rule, wildcards), rule, wildcards, retries) for rule, wildcards, retries in jobs]
        short = [job for job in needed if job[0] > job[3] + 1]
        if not short:
            return []
        slices, rule, wildcards, retries = max(short, key=lambda job: job[0])
        name, speed = " ".join([rule, *wildcards.values()]), self.speed
        how = f"at {speed:.2g} FLOPs/s" if speed else "at a speed that is assumed, plan.speed gives a better one"
        return [
            f"{len(short)} of the jobs will hardly be done after {retries} retries: {name} needs {slices} times"
            f" compute.budget_minutes = {self.compute.budget_minutes:g}, {how}. Give --retries {slices}, or start"
            " again what is left then"
        ]

    @cache  # noqa: B019 - as long as the study
    def _memory_need(self, rule, key):
        return self._memory.of(rule, dict(key))

    @cache  # noqa: B019
    def _working(self, rule, key):
        """Return the minutes that a job works, with head room."""
        costs = self._costs.of(rule, dict(key))
        minutes = _SLACK * sum(cost.bytes or 0 for cost in costs) / _BYTES / 60
        if any(cost.flops is None for cost in costs):
            return minutes + _UNCOUNTED
        flops = sum(cost.flops for cost in costs)
        if not flops:
            return minutes + RULES[rule].minutes
        devices = self.compute.ranks if rule == "train_run" else 1
        speed = self.speed or self._assumed(self._memory_need(rule, key).pass_flops)
        return minutes + _SLACK * flops / (speed * devices) / 60

    def _assumed(self, flops):
        """Return FLOPs a second of a device that passes of so many FLOPs keep busy."""
        idle, speed = _GPU if self.compute.gpus else _CPU
        return flops / (idle + flops / speed)

    @cached_property
    def speed(self):
        """FLOPs a second of one device: given in the config or measured on the study's finished runs, or None."""
        given = self.study.config.get("plan", {}).get("speed")
        return float(given) if given else self._measured()

    def _measured(self):
        if self.folder is None:
            return None
        from robustlaws.job_resources.throughput import of_run  # numpy, which no job needs to be started

        rates = []
        for run in self.study.runs.values():
            try:
                timed = of_run(self.folder, run.name)
            except ValueError:  # a damaged file of times is no reason not to run
                continue
            if timed and timed.seconds >= _TIMED:
                wildcards = {"model": run.label, "dataset": run.dataset, "size": str(run.size), "seed": str(run.seed)}
                flops = sum(cost.flops for cost in self._costs.of("train_run", wildcards))
                rates.append(timed.share * flops / timed.seconds / (timed.devices or self.compute.ranks))
        return min(rates, default=None)


def _key(rule, wildcards):
    """Return the wildcards of a job, of the first shard or chunk for all: none is larger."""
    first = {"shard": "00000"} if rule == "sample_shard" else {"chunk": "00000"} if rule == "attack_chunk" else {}
    return tuple(sorted({**wildcards, **first}.items()))


def _grown(attempt):
    return _GROWTH[min(attempt, len(_GROWTH)) - 1]
