"""Bind rule measure_limits to robustlaws.laws.limits.measure_limits."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.laws import limits

    limits.measure_limits(
        runs_path=snakemake.input.runs,
        law_paths=snakemake.input.laws,
        refits_paths=snakemake.input.refits,
        accuracy_path=snakemake.input.accuracy,
        accuracy_refits_path=snakemake.input.accuracy_refits,
        allocation_paths=snakemake.input.allocations,
        benchmark_paths=snakemake.input.benchmark,
        limits_path=snakemake.output.limits,
        settings=settings.Limits(**snakemake.params.settings),
    )
