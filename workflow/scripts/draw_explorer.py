"""Bind rule draw_explorer to robustlaws.report.explorer.write."""

from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.report import explorer

    explorer.write(
        snakemake.output.page,
        runs=snakemake.input.runs,
        predictions=snakemake.input.predictions,
        allocations=snakemake.input.allocations,
        laws=snakemake.input.laws,
        accuracy=snakemake.input.accuracy,
        **snakemake.params.about,
    )
