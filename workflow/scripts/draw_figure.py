"""Bind rule draw_figure to the figure that its wildcard names."""

from robustlaws import joblog, named
from robustlaws.figures import FIGURES

with joblog.job(snakemake):
    named.load(snakemake.wildcards.figure, FIGURES)(
        paths=dict(snakemake.output.items()),
        **dict(snakemake.input.items()),
    )
