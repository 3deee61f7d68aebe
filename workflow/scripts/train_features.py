"""Bind rule train_features to robustlaws.generators.quality.train_features."""

from robustlaws import joblog, scheduler, settings

with joblog.job(snakemake):
    from robustlaws.generators import quality

    quality.train_features(
        train_path=snakemake.input.train,
        test_path=snakemake.input.test,
        weights_path=snakemake.output.weights,
        settings=settings.Features(**snakemake.params.settings),
        compute=settings.Compute.of_one(
            snakemake.config["compute"], snakemake.threads, snakemake.resources.gpu, scheduler.end()
        ),
    )
