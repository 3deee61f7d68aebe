# Requests of the jobs, computed from their settings: memory, time, processors. They make no
# output stale, and mean nothing where a resource has no limit, as on a laptop. And the checks before the first job.
from functools import cache

from snakemake.logging import logger

from robustlaws.job_resources.job_requests import Needs

COMPUTE = study.config["compute"]
GPUS = COMPUTE["gpus"]  # of each node of a job that trains
ONE_GPU = min(1, GPUS)  # of a job of one process
NODES = COMPUTE.get("nodes", 1)


@cache
def needs():
    """Return the Needs of the study; a job itself looks at no results, for nobody asks it what it needs."""
    results = Path(rules.train_run.benchmark.partition("/benchmarks/")[0])
    return Needs(study, results if workflow.is_main_process else None)


def memory(rule):
    """Return the resource mem_mb of a rule."""
    return lambda wildcards, attempt: needs().memory_mb(rule, dict(wildcards.items()), attempt)


def minutes(rule):
    """Return the resource runtime of a rule."""
    return lambda wildcards, attempt: needs().minutes(rule, dict(wildcards.items()), attempt)


def minutes_for_files(rule):
    """Return the resource runtime of a rule whose input files are read whole, which the study has no size of."""
    return lambda wildcards, input, attempt: needs().minutes(rule, dict(wildcards.items()), attempt, input)


def check_nodes():
    """End with one line where nothing would start a run on several nodes."""
    if workflow.local_exec and NODES > 1 and not COMPUTE.get("node_command"):
        raise ValueError(
            f"compute.nodes: {NODES}, and this is no cluster; run it with --profile slurm, or give"
            " compute.node_command, what starts the command after it once on every node"
        )


def warn_of_few_retries():
    """Say, before a cluster gets to work, which jobs are likely to be given up before they are done."""
    if not workflow.local_exec:
        asked = [(job.rule.name, dict(job.wildcards_dict), job.restart_times) for job in workflow.dag.needrun_jobs()]
        for line in needs().too_few_retries(asked):
            logger.warning(line)


onstart:
    in_one_line(check_nodes)
    in_one_line(workflow_lock.register, study.name, log)
    warn_of_few_retries()
