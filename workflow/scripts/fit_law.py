"""Bind rule fit_law to robustlaws.laws.fit_jobs.fit_law."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.laws import fit_jobs

    fit_jobs.fit_law(
        runs_path=snakemake.input.runs,
        curves_path=snakemake.input.curves,
        law_path=snakemake.output.law,
        allocations_path=snakemake.output.allocations,
        predictions_path=snakemake.output.predictions,
        refits_path=snakemake.output.refits,
        held_out_path=snakemake.output.held_out,
        settings=settings.LawFit(**snakemake.params.settings),
    )
