"""Bind rule import_checkpoint to robustlaws.networks.foreign_checkpoint.import_checkpoint."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.networks import foreign_checkpoint

    foreign_checkpoint.import_checkpoint(
        checkpoint_path=snakemake.input.checkpoint,
        weights_path=snakemake.output.weights,
        settings=settings.Checkpoint(**snakemake.params.settings),
    )
