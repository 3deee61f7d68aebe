"""Bind rule draw_explorer to robustlaws.report.explorer.write."""

from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.fit_table import steps
    from robustlaws.report import explorer

    explorer.write(
        snakemake.output.page,
        **steps.DRAW_EXPLORER.arguments(dict(snakemake.input.items())),
        **snakemake.params.about,
    )
