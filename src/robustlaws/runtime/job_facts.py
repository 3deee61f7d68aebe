"""Facts of a job from Snakemake, git and SLURM, for the provenance of its files."""

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path

from robustlaws.runtime import slurm
from robustlaws.storage import provenance

_GIT_SECONDS = 10.0  # a file system that hangs must not hold up a job
# Of the workflow's folder, what decides what a job does; configs and profiles are each user's own.
_CODE = ("Snakefile", "workflow", "src", "envs", "pyproject.toml")


@contextmanager
def of_job(snakemake):
    """Let files written in the block carry the provenance of this job.

    Parameters
    ----------
    snakemake : the object that Snakemake gives to a script
    """
    with provenance.of(_of_job(snakemake)):
        yield


def _of_job(snakemake):
    facts = {
        "study": snakemake.config.get("study"),
        "rule": snakemake.rule,
        "wildcards": dict(snakemake.wildcards.items()),
        "outputs": list(map(str, snakemake.output)),
        "inputs": list(map(str, snakemake.input)),
        "revision": snakemake.params.get("revision"),
        "settings": snakemake.params.get("settings") or {},
        "config": snakemake.config,
        "commit": _commit(snakemake.scriptdir),
        "threads": snakemake.threads,
        "gpus": _gpus_given(snakemake),
        "scheduler": _scheduler(slurm.job()),
        "earlier_starts": [],
        "start": provenance.now(),
    }
    # through JSON: YAML may hold more, a date or an infinite number
    return json.loads(json.dumps(facts, default=str), parse_constant=str)


def _gpus_given(snakemake):
    """Return the number of GPUs of this machine that the job has."""
    given = snakemake.resources.get("gpu")
    if given is None and snakemake.rule == "train_run":  # on several nodes it asks for them without that resource
        given = (snakemake.config.get("compute") or {}).get("gpus")
    return given or 0


def _commit(folder):
    """Return the commit of the scripts in `folder`, "+changes" after it if code of the workflow differs from it."""

    def git(*arguments):
        # without locks: many jobs may ask at once
        command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_GIT_SECONDS)
        return done.stdout.split()

    failures = (OSError, subprocess.SubprocessError, ValueError)
    try:
        commit, _ = git("rev-parse", "HEAD", "HEAD:./")  # the second fails where the repository is one around ours
    except failures:
        return None
    code = [str(Path(folder).parents[1] / name) for name in _CODE]
    try:
        return f"{commit}+changes" if git("status", "--porcelain", "--untracked-files=no", "--", *code) else commit
    except failures:  # slow on a large disk, say: the commit is known all the same
        return commit


def _scheduler(number):
    """Return the batch system that this job runs under, and its number there."""
    return {"name": "slurm", "job": number} if number else None
