"""Fresh checkouts of the repository and Snakemake in them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


TINY = ROOT / "tests/workflow/tiny.yaml"


PARTS = ("Snakefile", "workflow", "envs", "profiles", "config")


CONFIGURED = ("--configfile", "study.yaml", "--nocolor")


SNAKEMAKE = (str(Path(sys.executable).with_name("snakemake")), *CONFIGURED)


class Checkout:
    """A working folder with the workflow and a config of its own."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def configure(self, change=None):
        """Write the tiny config, changed by the function `change`."""
        config = yaml.safe_load(TINY.read_text())
        if change:
            change(config)
        (self.folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def snakemake(self, *arguments, **environment):
        """Run Snakemake here to its end, with more variables in its environment; return the finished process."""
        command, variables = [*SNAKEMAKE, "--cores", "2", *arguments], os.environ | environment
        settings = {"cwd": self.folder, "env": variables, "capture_output": True, "text": True, "timeout": 600}
        return subprocess.run(command, check=False, **settings)

    def planned(self, *arguments):
        """Return what a dry run lists (see :func:`jobs_in`)."""
        done = self.snakemake(*arguments, "--dry-run", "--quiet", "host")
        assert done.returncode == 0, done.stdout + done.stderr
        return jobs_in(done.stdout + done.stderr)


def without_humans(config):
    """Take the human study out of the tiny config, with all that shows it."""
    config.pop("humans")
    config["laws"].pop("human_accuracy")
    shown = ("human_accuracy", "invalid_images", "training_attack")
    config["figures"] = [figure for figure in config["figures"] if figure not in shown]


def jobs_in(output):
    """Return the jobs that a dry run lists, as {rule: set of their first outputs}, without those of no output."""
    jobs = {}
    for rule, outputs in listed(output):
        jobs.setdefault(rule, set()).add(outputs[0])
    return jobs


def listed(output):
    """Yield each job that a dry run lists: its rule and its outputs, below the results of the study."""
    rule = None
    for line in map(str.strip, output.splitlines()):  # jobs of a group are indented
        if line.startswith(("rule ", "localrule ")):
            rule = line.split()[1].rstrip(":")
        elif line.startswith("output: ") and rule:
            names = line.removeprefix("output: ").split(", ")
            yield rule, [re.sub("^results/[^/]+/", "", name) for name in names]


def fresh_checkout(folder):
    """Return a Checkout of the workflow at `folder`, without results."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        shutil.copytree(source, folder / part) if source.is_dir() else shutil.copy(source, folder / part)
    made = Checkout(folder)
    made.configure()
    return made
