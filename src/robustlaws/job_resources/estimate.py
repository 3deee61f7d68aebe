"""The cost of a study and of its remaining jobs, by arithmetic. Imports no torch."""

import json
import re
import subprocess
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from robustlaws.job_resources.estimate_text import page
from robustlaws.job_resources.job_costs import STAGES, Costs, Known
from robustlaws.job_resources.throughput import of_run
from robustlaws.runtime.logger import log
from robustlaws.settings import Compute, Encoder, Network
from robustlaws.storage.atomic import read_json, write_json, write_text
from robustlaws.study import Study

_JOB = re.compile(r"(?:rule|localrule|checkpoint) (\w+):$")
_COUNT = re.compile(r"(\w+) +(\d+)$")


def write(*, folder, config, schema_path, snakemake, triggers, software, conda_prefix):
    """Write what the study costs and what of it is left, and return it as text.

    Parameters
    ----------
    folder : path
        Results of the study; `cost.json` and `cost.txt` are written there, imported images and networks and the
        times of finished runs are looked up there.
    config : dict
        As read from YAML.
    schema_path : path
    snakemake : list of str
        Command of the Snakemake that says what is stale, with the Snakefile.
    triggers, software : lists of str
        Rerun triggers and software deployment methods: `--rerun-triggers`, `--sdm`.
    conda_prefix : path or None
        Folder of conda environments, which is a part of their hashes.

    Raises
    ------
    ValueError
        If Snakemake cannot say which jobs there are: its own words.
    """
    study = Study(config, schema_path)
    command = [*snakemake, "--rerun-triggers", *triggers]
    command += ["--software-deployment-method", *software] if software else []
    command += ["--conda-prefix", str(conda_prefix)] if conda_prefix else []
    with ThreadPoolExecutor() as both:  # each waits for a process of its own
        asked = [both.submit(dry_run, config, [*command, *forced]) for forced in (["--forceall"], [])]
        wanted, left = (answer.result() for answer in asked)
    log.info("%s: %d of %d jobs are left", study.name, len(left), len(wanted))
    counting = Costs(study, known(study, folder, left))
    costs = {job: counting.of(job[0], dict(job[1])) for job in [*wanted, *left]}
    pace = speed(study, costs, set(wanted) - set(left), folder)
    estimate = summary(study.name, costs, wanted, left, pace)
    write_json(Path(folder) / "cost.json", estimate)
    text = page(estimate)
    write_text(Path(folder) / "cost.txt", text)
    return text


# the jobs


def dry_run(config, command):
    """Return the jobs that a dry run of the whole study lists, each as (rule, ((wildcard, value), ...)).

    Staleness is Snakemake's own judgement, outputs of killed jobs included. A dry run waits for no lock and leaves all
    as they are, so this works inside a job too.

    Parameters
    ----------
    config : dict
    command : list of str
        Snakemake and all else that it is told.

    Raises
    ------
    ValueError
        If it fails, or its list is not understood.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "config.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        options = ["--configfile", str(path), "--dry-run", "--rerun-incomplete", "--nocolor", "--", "all"]
        done = subprocess.run(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
    if done.returncode:
        output = done.stdout.partition("Building DAG of jobs...")[2] or done.stdout
        raise ValueError(f"Snakemake cannot plan this study: {' '.join(output.split())}")
    return planned(done.stdout)


def planned(text):
    """Return the jobs in what a dry run printed, as :func:`dry_run`; ValueError if they are not those it counted."""
    lines = [line.strip() for line in text.splitlines()]
    jobs: list[tuple] = []
    rule, wildcards = None, ()
    for line in lines:
        if match := _JOB.match(line):
            jobs += [(rule, wildcards)] if rule else []
            rule, wildcards = match[1], ()
        elif line.startswith("wildcards: ") and rule:
            wildcards = _wildcards(line.removeprefix("wildcards: "))
        elif line == "Job stats:" and rule:
            break  # said again at the end
    jobs += [(rule, wildcards)] if rule else []
    counted = _counted(lines)
    if counted != dict(Counter(rule for rule, _ in jobs)):
        raise ValueError(
            f"Snakemake lists {len(jobs)} jobs and counts {sum(counted.values())}; the workflow is made for 9.27"
        )
    return jobs


def _wildcards(text):
    """Return ((name, value), ...) of "dataset=edm-5, shard=00000"."""
    parts = re.split(r"(?:^|, )(\w+)=", text)[1:]
    return tuple(zip(parts[::2], parts[1::2], strict=True))


def _counted(lines):
    """Return {rule: jobs} of the table that a dry run prints first."""
    counted = {}
    for line in lines[lines.index("Job stats:") + 3 :] if "Job stats:" in lines else []:
        match = _COUNT.match(line)
        if not match or match[1] == "total":
            break
        counted[match[1]] = int(match[2])
    return counted


# what they cost


@dataclass
class Sum:
    """The sum of what some jobs cost."""

    jobs: int = 0
    images: int = 0
    flops: int = 0
    charged: int = 0  # of them, training as the paper charges it
    bytes: int = 0
    at_most: bool = False  # whether the FLOPs are an upper bound
    unknown: bool = False  # whether some FLOPs are not counted
    unknown_disk: bool = False  # whether some bytes are not counted

    def add(self, cost, jobs):
        """Add a :class:`robustlaws.job_resources.job_costs.Cost` that stands for so many jobs."""
        self.jobs += jobs
        self.images += cost.images
        self.flops += cost.flops or 0
        self.charged += cost.charged
        self.bytes += cost.bytes or 0
        self.at_most |= cost.at_most
        self.unknown |= cost.flops is None
        self.unknown_disk |= cost.bytes is None

    def as_dict(self, speed):
        """Return the sum as JSON values, with the device-hours at a speed (FLOPs/s or None)."""
        numbers = {"flops": float(self.flops), "charged": float(self.charged)}
        return vars(self) | numbers | {"device_hours": self.flops / speed / 3600 if speed else None}


def summary(name, costs, wanted, left, pace):
    """Return the cost of all jobs of a study and of the remaining ones, as JSON values.

    Parameters
    ----------
    name : str
        Of the study.
    costs : dict
        Job -> list of :class:`robustlaws.job_resources.job_costs.Cost`.
    wanted, left : lists of jobs, see :func:`dry_run`
    pace : dict
        Of :func:`speed`.

    Returns
    -------
    dict
        `study`; `stages`: a list of {stage, left, all}, the last two as of :meth:`Sum.as_dict`; `total`: {left, all};
        `kept`: the most bytes that a job of those left keeps beside its outputs while it runs; `missing`: what is not
        counted, in words; `speed`: `pace`.
    """
    sums = {stage: {"left": Sum(), "all": Sum()} for stage in (*STAGES, "total")}
    for which, jobs in (("left", left), ("all", wanted)):
        for job in jobs:
            for index, cost in enumerate(costs[job]):
                for stage in (cost.stage, "total"):
                    sums[stage][which].add(cost, int(index == 0))
    costs_of = {
        stage: {which: pair_sum.as_dict(pace["value"]) for which, pair_sum in pair.items()}
        for stage, pair in sums.items()
    }
    each = [cost for job in wanted for cost in costs[job]]
    return {
        "study": name,
        "stages": [
            {"stage": stage, **costs_of[stage]} for stage in STAGES if any(cost.stage == stage for cost in each)
        ],
        "total": costs_of["total"],
        "kept": max((cost.kept for job in left for cost in costs[job]), default=0),
        "missing": sorted({cost.missing for cost in each if cost.missing}),  # the order of jobs is no one's
        "speed": pace,
    }


def known(study, folder, left=()):
    """Return the :class:`job_costs.Known` of a study: what files in `folder` say that are not `left`."""
    folder, left, lengths, networks = Path(folder), set(left), {}, {}
    for split in ("train", "test"):
        path = folder / "data" / f"{split}.h5"
        if path.exists() and ("import_data", ()) not in left:
            from robustlaws.data import shards

            lengths[f"{split}_images"] = shards.length(path)
    for generator in study.made_by("edm", "pfgmpp", "dg", imported=True):
        guided = study.kind(generator) == "dg"
        rule, kind = ("import_pair", Encoder) if guided else ("import_generator", Network)
        names = ("extractor", "discriminator") if guided else ("network",)
        paths = [folder / "generators" / generator / f"{name}.json" for name in names]
        if all(path.exists() for path in paths) and (rule, (("generator", generator),)) not in left:
            made = tuple(kind(**read_json(path)["network"]) for path in paths)
            networks[generator] = made if len(made) > 1 else made[0]
    return Known(**lengths, networks=networks)


# how long it takes


def speed(study, costs, finished, folder):
    """Return the FLOPs per second of one device.

    Parameters
    ----------
    study : study.Study
    costs : dict
        Job -> list of :class:`robustlaws.job_resources.job_costs.Cost`.
    finished : iterable of jobs
    folder : path
        Results of the study, with the times that Snakemake took and the logs of the runs.

    Returns
    -------
    dict
        `value`: FLOPs per second, or None; `source`: "given" (plan.speed of the config), "measured" or "unknown";
        `runs`: how many it was measured on: all FLOPs of the finished runs over all their time.
    """
    given = study.config.get("plan", {}).get("speed")
    if given:
        return {"value": float(given), "source": "given", "runs": 0}
    flops, seconds, runs = 0.0, 0.0, 0  # seconds of one device
    devices = Compute(**study.config["compute"]).ranks
    for rule, wildcards in sorted(finished):
        if rule == "train_run":
            run = "/".join(value for _, value in wildcards)
            if timed := of_run(folder, run):
                flops += timed.share * sum(cost.flops for cost in costs[rule, wildcards])
                seconds, runs = seconds + timed.seconds * (timed.devices or devices), runs + 1
    if not flops:
        return {"value": None, "source": "unknown", "runs": 0}
    return {"value": flops / seconds, "source": "measured", "runs": runs}
