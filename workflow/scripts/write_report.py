"""Bind rule write_report to robustlaws.report.write_files."""

from robustlaws import joblog

with joblog.job(snakemake):
    from robustlaws import report
    from robustlaws.finished import published

    report.write_files(
        snakemake.output.page,
        config=snakemake.params.config,
        runs=snakemake.input.runs,
        curves=snakemake.input.curves,
        attacks=snakemake.input.attacks,
        laws=snakemake.input.laws,
        accuracy=snakemake.input.accuracy,
        limits=snakemake.input.limits,
        quality=snakemake.input.quality,
        figures=snakemake.input.figures,
        benchmarks=snakemake.params.benchmarks,
        explorer=snakemake.input.explorer,
        plan=snakemake.input.plan,
        published_folders=snakemake.input.published,
        origin=published.ORIGIN,
    )
