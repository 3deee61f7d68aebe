"""Bind rule train_features to robustlaws.generators.quality.train_features."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws.generators import quality

    quality.train_features(
        train_path=snakemake.input.train,
        test_path=snakemake.input.test,
        weights_path=snakemake.output.weights,
        settings=settings.Features(**snakemake.params.settings),
        n_threads=snakemake.threads,
        n_gpus=snakemake.resources.gpu,
    )
