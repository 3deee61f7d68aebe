"""Bind rule train_generator to the trainer that the generator's kind names."""

from robustlaws import registry, settings
from robustlaws.generators import GENERATORS
from robustlaws.runtime import job_log, slurm

with job_log.job(snakemake):
    own = settings.GeneratorTraining(**snakemake.params.settings)
    registry.load(own.kind, GENERATORS)(
        train_path=snakemake.input.train,
        config_path=snakemake.output.network,
        weights_path=snakemake.output.weights,
        grid_path=snakemake.output.grid,
        state_path=f"{snakemake.output.weights}.partial",  # undeclared: survives a failed job
        settings=own,
        revision=snakemake.params.revision,
        compute=settings.Compute.of_one(
            snakemake.config["compute"], snakemake.threads, snakemake.resources.gpu, slurm.end()
        ),
    )
