"""Bind rule sample_shard to robustlaws.generators.sample_shard.sample_shard."""

from robustlaws import settings
from robustlaws.runtime import job_log, slurm

with job_log.job(snakemake):
    from robustlaws.generators import sample_shard

    sample_shard.sample_shard(
        files=dict(snakemake.input.items()),
        shard_path=snakemake.output.shard,
        state_path=f"{snakemake.output.shard}.partial",  # undeclared: survives a failed job
        settings=settings.Sampling(**snakemake.params.settings),
        revision=snakemake.params.revision,
        compute=settings.Compute.of_one(
            snakemake.config["compute"], snakemake.threads, snakemake.resources.gpu, slurm.end()
        ),
    )
