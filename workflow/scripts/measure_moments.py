"""Bind rules measure_split and measure_shard to robustlaws.generators.moments.measure_moments."""

from robustlaws import joblog, scheduler, settings

with joblog.job(snakemake):
    from robustlaws.generators import moments

    moments.measure_moments(
        images_path=snakemake.input.images,
        features_path=snakemake.input.features,
        moments_path=snakemake.output.moments,
        settings=settings.Moments(**snakemake.params.settings),
        compute=settings.Compute.of_one(
            snakemake.config["compute"], snakemake.threads, snakemake.resources.gpu, scheduler.end()
        ),
    )
