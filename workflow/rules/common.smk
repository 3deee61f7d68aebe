# Functions of several stages. Nothing here imports torch: every job parses this again.
import re
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

from robustlaws import errors
from robustlaws.runtime import workflow_lock
from robustlaws.study.validate import typed


def in_one_line(work, *arguments):
    """Return what `work` returns; let Snakemake end with the line of an error that a user can do something about."""
    try:
        return work(*arguments)
    except (ValueError, OSError) as error:
        raise WorkflowError(errors.line(error)) from None


def checked_study():
    """Return the Study of the config; end with its one-line error before any job."""
    in_one_line(workflow_lock.check_writable, ".", "results")
    origin = workflow.configfiles[-1] if workflow.configfiles else "config"
    if overrides := typed(dict(workflow.config_settings.config)):
        update_config(config, overrides)
        origin = f"{origin} with --config"
    return in_one_line(Study, config, Path(workflow.basedir, "workflow/schemas/config.yaml"), origin)


def of_run(wildcards):
    """Return the study's run that the wildcards name."""
    return study.run(f"{wildcards.model}/{wildcards.dataset}/{wildcards.size}/{wildcards.seed}")


def any_of(names):
    """Return the regular expression of a wildcard that is one of `names`, and of none if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


@cache
def first_shards(dataset, images):
    """Return the shards that hold the first `images` images of a dataset."""
    return expand(rules.sample_shard.output.shard, dataset=dataset, shard=study.shards(dataset, images))


def of_each_run(pattern, runs, **fixed):
    """Return `pattern` for each of the named runs."""
    files = []
    for name in runs:
        run = study.run(name)
        files += expand(pattern, model=run.label, dataset=run.dataset, size=run.size, seed=run.seed, **fixed)
    return files


def run_shards(wildcards):
    """Return the shards of one run: those that its size needs and no others."""
    run = of_run(wildcards)
    parts = zip(study.ingredients(run.dataset)[0], study.training(run).parts, strict=True)
    return [shard for dataset, (images, _) in parts for shard in first_shards(dataset, images)]


def run_real(wildcards):
    """Return the real training images if the run mixes them in or holds some out."""
    training = study.training(of_run(wildcards))
    return rules.import_data.output.train if training.real_fraction or training.validation_images else []
