"""Bind rule fetch_file to robustlaws.data.download.fetch."""

from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.data import download

    download.fetch(snakemake.output.path)
