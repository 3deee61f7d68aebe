"""Bind rule draw_figure to the figure that its wildcard names."""

from robustlaws import registry
from robustlaws.figures import FIGURES
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    registry.load(snakemake.wildcards.figure, FIGURES)(
        paths=dict(snakemake.output.items()),
        **dict(snakemake.input.items()),
    )
