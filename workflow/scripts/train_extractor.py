"""Bind rule train_extractor to robustlaws.generators.training.guidance.train_extractor."""

from robustlaws import settings
from robustlaws.runtime import job_log, slurm

with job_log.job(snakemake):
    from robustlaws.generators.training import guidance

    guidance.train_extractor(
        train_path=snakemake.input.train,
        config_path=snakemake.output.extractor,
        weights_path=snakemake.output.extractor_weights,
        state_path=f"{snakemake.output.extractor_weights}.partial",  # undeclared: survives a failed job
        settings=settings.EncoderTraining(**snakemake.params.settings),
        revision=snakemake.params.revision,
        compute=settings.Compute.of_one(
            snakemake.config["compute"], snakemake.threads, snakemake.resources.gpu, slurm.end()
        ),
    )
