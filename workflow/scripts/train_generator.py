"""Bind rule train_generator to the trainer that the generator's kind names."""

from robustlaws import joblog, named, settings
from robustlaws.generators import GENERATORS

with joblog.to(snakemake.log[0]):
    told = settings.GeneratorTraining(**snakemake.params.settings)
    named.load(told.kind, GENERATORS)(
        train_path=snakemake.input.train,
        config_path=snakemake.output.config,
        weights_path=snakemake.output.weights,
        settings=told,
        n_threads=snakemake.threads,
        n_gpus=snakemake.resources.gpu,
    )
