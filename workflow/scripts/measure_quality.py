"""Bind rule measure_quality to robustlaws.quality.fid.measure."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.quality import fid

    fid.measure(
        moments_paths=snakemake.input.moments,
        real_path=snakemake.input.real,
        test_moments_path=snakemake.input.test,
        quality_path=snakemake.output.quality,
        settings=settings.Quality(**snakemake.params.settings),
    )
