"""Bind rule published to robustlaws.fit_table.pipeline.fit_published."""

from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.fit_table import pipeline

    pipeline.fit_published(folder=snakemake.output.folder)
