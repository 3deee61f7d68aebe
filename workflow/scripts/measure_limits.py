"""Bind rule measure_limits to robustlaws.laws.limits.measure_limits."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.fit_table import steps
    from robustlaws.laws import limits

    limits.measure_limits(
        **steps.MEASURE_LIMITS.arguments(dict(snakemake.input.items())),
        **steps.as_paths(dict(snakemake.output.items())),
        settings=settings.Limits(**snakemake.params.settings),
    )
