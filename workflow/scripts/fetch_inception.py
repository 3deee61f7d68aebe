"""Bind rule fetch_inception to robustlaws.networks.inception.fetch."""

from robustlaws import joblog

with joblog.to(snakemake.log[0]):
    from robustlaws.networks import inception

    inception.fetch(snakemake.output.weights)
