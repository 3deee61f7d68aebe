"""Bind rule sample_shard to robustlaws.generators.sampling.sample_shard."""

from robustlaws import joblog, scheduler, settings

with joblog.job(snakemake):
    from robustlaws.generators import sampling

    sampling.sample_shard(
        files=dict(snakemake.input.items()),
        shard_path=snakemake.output.shard,
        state_path=f"{snakemake.output.shard}.partial",  # undeclared: survives a failed job
        settings=settings.Sampling(**snakemake.params.settings),
        revision=snakemake.params.revision,
        compute=settings.Compute.of_one(
            snakemake.config["compute"], snakemake.threads, snakemake.resources.gpu, scheduler.end()
        ),
    )
