"""Bind rule fetch_file to robustlaws.data.fetching.fetch."""

from robustlaws import joblog

with joblog.job(snakemake):
    from robustlaws.data import fetching

    fetching.fetch(snakemake.output.path)
