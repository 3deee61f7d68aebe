"""What the graph of a study costs: a dry run with nothing there, a run with nothing to do, and the start of one job.

    python benchmarks/graph.py                            # the paper's study
    python benchmarks/graph.py --datasets 3 --seeds 6     # 10,000 jobs: three times its datasets, six seeds of each run
    python benchmarks/graph.py --tree ../other --rounds 3 # of another checkout

Each number is of a process of Snakemake's own, from its start to its end, in a checkout in a temporary folder. The
study is done without computing it: its files are made, empty, and Snakemake records that it made them (`--touch
--forceall`, without its pause of 0.1 s a job). That the records count is checked: there is nothing to do, and another
setting of an attack makes that attack stale, and no training. A job of a cluster starts Snakemake twice, with the
arguments that the executor of SLURM gives it; here it ends where the job itself would start.
"""

import argparse
import copy
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import yaml
from machine import processor

ROOT = Path(__file__).parents[1]
PARTS = ("Snakefile", "workflow", "envs", "profiles", "config", "slurm")  # the last is a link to a profile
CONFIG = "study.yaml"
SNAKEMAKE = [sys.executable, "-m", "snakemake", "--nocolor"]
# all jobs that are ready are touched together: one round of the scheduler for each, and 10,000 would take an hour
TOUCH = """
import sys
from snakemake.cli import main
from snakemake.executors import touch
touch.Executor.SLEEPING_TIME = 0
main(["--touch", "--forceall", "--scheduler", "greedy", "--cores", "1000000", *sys.argv[1:]])
"""
STUDY = """
import sys, time, yaml
config = yaml.safe_load(open(sys.argv[1]))
begun = time.process_time()
from robustlaws.study import Study
imported = time.process_time()
Study(config, "workflow/schemas/config.yaml")
print(imported - begun, time.process_time() - imported)
"""


DRY, DONE, START = "dry run, nothing there", "run, all done", "start of one job"
CHANGED = "dry run, all done but for another setting of PGD"


class Cost(NamedTuple):
    """What a process cost: wall and CPU seconds, bytes resident at its peak; and what it printed."""

    wall: float
    cpu: float
    peak: float
    text: str


class Checkout:
    """A folder with the workflow of `tree` and one config."""

    def __init__(self, tree, folder, config):
        self.tree, self.folder = tree, folder
        folder.mkdir()
        for source in filter(Path.exists, map(tree.joinpath, PARTS)):
            part = source.name
            shutil.copytree(source, folder / part) if source.is_dir() else shutil.copy2(source, folder / part)
        self.configure(config)

    def configure(self, config):
        """Write the config."""
        (self.folder / CONFIG).write_text(yaml.safe_dump(config, sort_keys=False))

    def run(self, *command):
        """Run a command here and return its :class:`Cost`; RuntimeError with what it printed if it fails."""
        environment = os.environ | {"PYTHONPATH": str(self.tree / "src")}
        with tempfile.TemporaryFile("w+") as printed:
            begun = time.perf_counter()
            process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=printed, stderr=printed)
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - begun
            process.returncode = os.waitstatus_to_exitcode(status)
            printed.seek(0)
            text = printed.read()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit status {process.returncode}\n{text}")
        return Cost(wall, used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss, text)

    def snakemake(self, *arguments):
        """Return the :class:`Cost` of Snakemake with these arguments and the config."""
        return self.run(*SNAKEMAKE, *arguments, "--configfile", CONFIG)

    def finish(self):
        """Make all files of the study, empty, and let Snakemake record them; return its :class:`Cost`."""
        rules = "".join(path.read_text() for path in self.folder.glob("workflow/rules/*.smk"))
        folders = tuple(re.findall(r'directory\("<results>([^"]+)"\)', rules))
        for name in set().union(*files(self.snakemake("--dry-run").text)):
            path = self.folder / name
            (path if name.endswith(folders) else path.parent).mkdir(parents=True, exist_ok=True)
            if not path.is_dir():
                path.touch()
        return self.run(sys.executable, "-c", TOUCH, "--quiet", "all", "--configfile", CONFIG)


def files(listing):
    """Return the inputs of all jobs that a dry run lists, one list, and their outputs, another."""
    return [
        [path for line in re.findall(rf"^ +{kind}: (.*)$", listing, re.MULTILINE) for path in line.split(", ")]
        for kind in ("input", "output")
    ]


def counts(listing):
    """Return {rule: jobs} of a dry run, with their sum as "total"."""
    return {rule: int(jobs) for rule, jobs in re.findall(r"^(\w+) +(\d+)$", listing, re.MULTILINE)}


def grown(config, datasets, seeds):
    """Return the config with so many times the datasets of its laws, and seeds of each run."""
    config = copy.deepcopy(config)
    for block in config["grid"]:
        block["seeds"] = list(range(1, seeds + 1))
        if block.get("part") == "laws":
            more = {f"{name}-{k}": (name, k) for k in range(1, datasets) for name in block["datasets"]}
            for new, (name, k) in more.items():
                own = config["datasets"][name]
                config["datasets"][new] = own | {"steps": own["steps"] + 100 * k}
            block["datasets"] = [*block["datasets"], *more]
    return config


def one_job(checkout):
    """Return how the executor of SLURM starts Snakemake for one job: the largest training of the first model."""
    config = yaml.safe_load((checkout.folder / CONFIG).read_text())
    block = config["grid"][0]
    names = {"model": block["models"][0], "dataset": block["datasets"][0], "size": max(block["sizes"]), "seed": 1}
    target = "train_run:" + ",".join(f"{name}={value}" for name, value in names.items())
    return (
        *("--snakefile", str(checkout.folder / "Snakefile"), "--target-jobs", target, "--allowed-rules", "train_run"),
        *("--cores", "1", "--attempt", "1", "--force-use-threads", "--force", "--target-files-omit-workdir-adjustment"),
        *("--max-inventory-time", "0", "--retries", "0", "--no-hooks", "--nolock", "--ignore-incomplete"),
        *("--scheduler", "greedy", "--mode", "remote", "--dry-run"),
    )


def measure(tree, folder, config, rounds):
    """Return ({what: list of Cost}, what was measured, Cost of making it done)."""
    empty, done = (Checkout(tree, folder / name, config) for name in ("empty", "done"))
    made = done.finish()
    wanted = {DRY: (empty, ["--dry-run"])}
    if (empty.folder / "slurm").exists():
        wanted[f"{DRY}, --profile slurm"] = (empty, ["--profile", "slurm", "--dry-run"])
    wanted |= {
        DONE: (done, ["--cores", "1"]),
        START: (empty, one_job(empty)),
        "of it: reading the Snakefile": (empty, ["--list-rules"]),
    }
    results = {}
    for _ in range(rounds):
        for what, (checkout, arguments) in wanted.items():
            results.setdefault(what, []).append(checkout.snakemake(*arguments))
        results.setdefault("of that: Snakemake itself", []).append(empty.run(*SNAKEMAKE, "--version"))
        seconds = map(float, empty.run(sys.executable, "-c", STUDY, CONFIG).text.split())
        for what, cpu in zip(("of that: import of the study", "of that: its tables"), seconds, strict=True):
            results.setdefault(what, []).append(Cost(None, cpu, None, ""))
    config = copy.deepcopy(config)
    config["attacks"]["pgd_cw"]["steps"] += 1
    done.configure(config)
    results[CHANGED] = [done.snakemake("--dry-run")]
    return results, checked({what: costs[-1].text for what, costs in results.items()}), made


def checked(printed):
    """Return what was measured, by what each command printed; RuntimeError if one did not do what it should."""
    if "Nothing to be done" not in printed[DONE]:
        raise RuntimeError(f"there was something to do:\n{printed[DONE]}")
    if "rule train_run" not in printed[START]:
        raise RuntimeError(f"one job is not planned:\n{printed[START]}")
    jobs, stale = counts(printed[DRY]), counts(printed[CHANGED])
    if "train_run" in stale or stale.get("attack_run") != jobs["attack_run"]:
        raise RuntimeError(f"another setting of PGD made stale: {stale}; of {jobs}")
    return {
        "jobs": jobs["total"],
        "runs": jobs["train_run"],
        "inputs of jobs": len(files(printed[DRY])[0]),
        "lines that the dry run printed": printed[DRY].count("\n"),
        "jobs stale after another setting of PGD": stale["total"],
    }


def show(result, about, made):
    """Print the costs as a table."""
    print("\n" + "; ".join(f"{name}: {value:,}" for name, value in about.items()))
    print(f"to record all as done: {made.wall:.0f} s, once\n")
    print("| | wall, s | CPU, s | peak, MB | n |\n| --- | --- | --- | --- | --- |")
    for what, costs in result.items():
        peak = f"{max(cost.peak for cost in costs) / 1e6:,.0f}" if costs[0].peak else "-"
        print(f"| {what} | {_spread(costs, 'wall')} | {_spread(costs, 'cpu')} | {peak} | {len(costs)} |")


def _spread(costs, what):
    values = [getattr(cost, what) for cost in costs]
    if values[0] is None:
        return "-"
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main():
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="config/paper.yaml", help="in the tree")
    parser.add_argument("--datasets", type=int, default=1, help="times those of the laws")
    parser.add_argument("--seeds", type=int, default=1, help="of each run")
    parser.add_argument("--shard-images", type=int, help="images of a shard; as the config has it if not given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tree", type=Path, default=ROOT, help="checkout that is measured")
    parser.add_argument("--out", help="JSON file to write")
    settings = parser.parse_args()
    tree = settings.tree.resolve()
    config = grown(yaml.safe_load((tree / settings.config).read_text()), settings.datasets, settings.seeds)
    if settings.shard_images:
        config["sampling"]["shard_images"] = settings.shard_images
    versions = ", ".join(f"{name} {version(name)}" for name in ("snakemake", "snakemake-executor-plugin-slurm"))
    print(f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    print(f"load before: {_load()}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            result, about, made = measure(tree, Path(folder), config, settings.rounds)
        except RuntimeError as error:
            sys.exit(f"graph.py: {error}")
    print(f"load after: {_load()}")
    show(result, about, made)
    if settings.out:
        rows = {what: [cost._asdict() | {"text": ""} for cost in costs] for what, costs in result.items()}
        Path(settings.out).write_text(json.dumps({"about": about, "costs": rows}, indent=2) + "\n")


def _load():
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


if __name__ == "__main__":
    main()
