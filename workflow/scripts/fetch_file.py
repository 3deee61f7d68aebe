"""Bind rule fetch_file to robustlaws.data.fetching.fetch."""

from robustlaws import joblog

with joblog.to(snakemake.log[0]):
    from robustlaws.data import fetching

    fetching.fetch(snakemake.output.path)
