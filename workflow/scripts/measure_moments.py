"""Bind rules measure_split and measure_shard to robustlaws.quality.moments.measure_moments."""

from robustlaws import settings
from robustlaws.runtime import job_log, slurm

with job_log.job(snakemake):
    from robustlaws.quality import moments

    moments.measure_moments(
        images_path=snakemake.input.images,
        features_path=snakemake.input.features,
        moments_path=snakemake.output.moments,
        settings=settings.Moments(**snakemake.params.settings),
        compute=settings.Compute.of_one(
            snakemake.config["compute"], snakemake.threads, snakemake.resources.gpu, slurm.end()
        ),
    )
