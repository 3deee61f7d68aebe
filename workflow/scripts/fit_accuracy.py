"""Bind rule fit_accuracy to robustlaws.laws.fit_jobs.fit_accuracy."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.laws import fit_jobs

    fit_jobs.fit_accuracy(
        runs_path=snakemake.input.runs,
        accuracy_path=snakemake.output.accuracy,
        refits_path=snakemake.output.refits,
        settings=settings.LawFit(**snakemake.params.settings),
    )
