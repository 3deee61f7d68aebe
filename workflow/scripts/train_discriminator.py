"""Bind rule train_discriminator to robustlaws.generators.training.guidance.train_discriminator."""

from robustlaws import settings
from robustlaws.runtime import job_log, slurm

with job_log.job(snakemake):
    from robustlaws.generators.training import guidance

    guidance.train_discriminator(
        train_path=snakemake.input.train,
        fake_paths=snakemake.input.fakes,
        extractor_config_path=snakemake.input.extractor,
        extractor_weights_path=snakemake.input.extractor_weights,
        config_path=snakemake.output.discriminator,
        weights_path=snakemake.output.discriminator_weights,
        state_path=f"{snakemake.output.discriminator_weights}.partial",  # undeclared: survives a failed job
        settings=settings.EncoderTraining(**snakemake.params.settings),
        revision=snakemake.params.revision,
        compute=settings.Compute.of_one(
            snakemake.config["compute"], snakemake.threads, snakemake.resources.gpu, slurm.end()
        ),
    )
