"""Bind rule measure_quality to robustlaws.generators.quality.measure."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws.generators import quality

    quality.measure(
        moments_paths=snakemake.input.moments,
        real_path=snakemake.input.real,
        test_moments_path=snakemake.input.test,
        quality_path=snakemake.output.quality,
        settings=settings.Quality(**snakemake.params.settings),
    )
