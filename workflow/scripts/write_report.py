"""Bind rule write_report to robustlaws.report.write_files."""

from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws import report
    from robustlaws.fit_table import paper_runs, steps

    report.write_files(
        snakemake.output.page,
        config=snakemake.params.config,
        benchmarks=snakemake.params.benchmarks,
        origin=paper_runs.ORIGIN,
        **steps.WRITE_REPORT.arguments(dict(snakemake.input.items())),
    )
