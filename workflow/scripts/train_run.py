"""Bind rule train_run to robustlaws.training.loop.train."""

from robustlaws import settings
from robustlaws.runtime import job_log, slurm

with job_log.job(snakemake):
    from robustlaws.training import loop

    loop.train(
        real_path=snakemake.input.real,
        test_path=snakemake.input.test,
        shard_paths=snakemake.input.shards,
        weights_path=snakemake.output.weights,
        best_path=snakemake.output.best,
        curve_path=snakemake.output.curve,
        state_path=f"{snakemake.output.weights}.partial",  # undeclared: survives a failed job
        settings=settings.Training(**snakemake.params.settings),
        revision=snakemake.params.revision,
        compute=settings.Compute(
            **snakemake.config["compute"],
            threads=snakemake.resources.cpus_per_task,
            ends=slurm.end(),
        ),
    )
