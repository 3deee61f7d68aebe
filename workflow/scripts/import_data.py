"""Bind rule import_data to robustlaws.data.sources.import_source."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.data import sources

    sources.import_source(
        train_path=snakemake.output.train,
        test_path=snakemake.output.test,
        train_files=snakemake.input.train_files,
        test_files=snakemake.input.test_files,
        settings=settings.Import(**snakemake.params.settings),
    )
