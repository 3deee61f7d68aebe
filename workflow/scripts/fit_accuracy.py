"""Bind rule fit_accuracy to robustlaws.laws.fit_jobs.fit_accuracy."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.fit_table import steps
    from robustlaws.laws import fit_jobs

    fit_jobs.fit_accuracy(
        **steps.FIT_ACCURACY.arguments(dict(snakemake.input.items())),
        **steps.as_paths(dict(snakemake.output.items())),
        settings=settings.LawFit(**snakemake.params.settings),
    )
