"""Queries about this process's SLURM job."""

import os
import subprocess
from datetime import datetime

from robustlaws.runtime.logger import log

_ASKED = 30.0  # seconds to wait for an answer


def job():
    """Return the number of the SLURM job that this process is a part of, or None outside one."""
    return os.environ.get("SLURM_JOB_ID")


def end():
    """Return the time at which the batch system will end this job.

    Returns
    -------
    float or None
        Seconds since the epoch; None outside a batch system, for a job without a limit, and, with a warning, where the
        batch system does not say.
    """
    number = job()
    if number is None:
        return None
    given = os.environ.get("SLURM_JOB_END_TIME", "")
    if given.isdigit():
        return float(given)
    try:
        return _time(_squeue(number, "%e"))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        output = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        log.warning(
            "the end of SLURM job %s is not known (%s); it is not stopped before",
            number,
            output[0] if output else error,
        )
        return None


def ending():
    """Return whether the batch system has begun to end this job, and so throws away what it writes now.

    SLURM leaves a job some time after its limit or `scancel`; False where it does not answer, and outside a job.
    """
    number = job()
    if number is None:
        return False
    try:
        return not set(_squeue(number, "%T")) <= {"RUNNING"}
    except (OSError, subprocess.SubprocessError):
        return False


def _squeue(number, form):
    """Return the words that squeue prints of a job; OSError or subprocess.SubprocessError if it does not answer."""
    # not the format that a user may have chosen for times
    environment = {**os.environ, "SLURM_TIME_FORMAT": "standard"}
    command = ["squeue", "--noheader", "--jobs", number, "--format", form]
    asked = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=_ASKED, stdin=subprocess.DEVNULL
    )
    return asked.stdout.split()


def on_each_node(nodes, threads):
    """Return the command line that starts a command once on each node of this job.

    Parameters
    ----------
    nodes : int
    threads : int
        Processors for the command, on each.

    Returns
    -------
    list of str
        Command that the other one is put behind.

    Raises
    ------
    ValueError
        Outside a job of SLURM.
    """
    if job() is None:
        raise ValueError(
            f"compute.nodes: {nodes} asked for, and this is no job of SLURM; give compute.node_command, what starts the"
            " command after it once on every node, or leave nodes out"
        )
    # overlap: the step that this process is in has all that the job was given
    return ["srun", "--overlap", f"--nodes={nodes}", "--ntasks-per-node=1", f"--cpus-per-task={threads}"]


def of_job():
    """Return the environment of a process that shall see the whole job and not only the step that this one is in.

    Snakemake's plugin for SLURM runs each job in a step on one node, and a step within it would take that for all.
    """
    kept = ("SLURM_JOB_ID", "SLURM_CONF", "SLURM_CLUSTER_NAME")
    own = ("SLURM_", "SRUN_", "SBATCH_")
    return {name: value for name, value in os.environ.items() if name in kept or not name.startswith(own)}


def _time(words):
    """Return the time that squeue printed, in this machine's time zone; None for a job that has no end."""
    if len(set(words)) != 1:
        raise ValueError(f"squeue says {' '.join(words) or 'nothing'}")
    if words[0] in ("N/A", "NONE", "None", "Unknown"):
        return None
    return datetime.fromisoformat(words[0]).timestamp()
