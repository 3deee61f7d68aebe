"""Bind rule collect_runs to robustlaws.collecting.collect."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws import collecting

    collecting.collect(
        curve_paths=snakemake.input.curves,
        pgd_paths=snakemake.input.pgd,
        autoattack_paths=snakemake.input.autoattack,
        quality_paths=snakemake.input.quality,
        runs_path=snakemake.output.runs,
        curves_path=snakemake.output.curves,
        settings=settings.Collect(**snakemake.params.settings),
    )
