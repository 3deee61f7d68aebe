"""Bind rule collect_runs to robustlaws.collect.runs.collect."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.collect import runs

    runs.collect(
        curve_paths=snakemake.input.curves,
        pgd_paths=snakemake.input.pgd,
        autoattack_paths=snakemake.input.autoattack,
        quality_paths=snakemake.input.quality,
        runs_path=snakemake.output.runs,
        curves_path=snakemake.output.curves,
        settings=settings.Collect(**snakemake.params.settings),
    )
