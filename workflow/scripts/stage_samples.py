"""Bind rule stage_samples to robustlaws.generators.sampled_files.sampler.stage."""

from robustlaws import settings
from robustlaws.runtime import job_log, slurm

with job_log.job(snakemake):
    from robustlaws.generators.sampled_files import sampler

    sampler.stage(
        sample_paths=snakemake.input.files,
        samples_path=snakemake.output.samples,
        state_path=f"{snakemake.output.samples}.partial",  # undeclared: survives a failed job
        settings=settings.Staging(**snakemake.params.settings),
        compute=settings.Compute.of_one(snakemake.config["compute"], snakemake.threads, 0, slurm.end()),
    )
