"""Bind rule measure_quality to robustlaws.generators.quality.measure."""

from robustlaws import joblog, settings

with joblog.to(snakemake.log[0]):
    from robustlaws.generators import quality

    quality.measure(
        train_path=snakemake.input.train,
        test_path=snakemake.input.test,
        shard_paths=snakemake.input.shards,
        features_path=snakemake.input.features,
        quality_path=snakemake.output.quality,
        settings=settings.Quality(**snakemake.params.settings),
        n_threads=snakemake.threads,
        n_gpus=snakemake.resources.gpu,
    )
