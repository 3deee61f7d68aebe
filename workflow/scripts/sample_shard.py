"""Bind rule sample_shard to the sampler that the generator's kind names."""

from robustlaws import joblog, named, settings
from robustlaws.generators import SAMPLERS

with joblog.to(snakemake.log[0]):
    told = settings.Sampling(**snakemake.params.settings)
    named.load(told.sampler, SAMPLERS)(
        config_path=snakemake.input.config[0],
        weights_path=snakemake.input.weights[0],
        shard_path=snakemake.output.shard,
        settings=told,
        n_threads=snakemake.threads,
        n_gpus=snakemake.resources.gpu,
    )
