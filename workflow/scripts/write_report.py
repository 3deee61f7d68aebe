"""Bind rule write_report to robustlaws.report.write_files."""

from robustlaws import joblog

with joblog.job(snakemake):
    from robustlaws import report
    from robustlaws.finished import published

    report.write_files(
        snakemake.output.page,
        config=snakemake.params.config,
        benchmarks=snakemake.params.benchmarks,
        origin=published.ORIGIN,
        **dict(snakemake.input.items()),
    )
