"""Bind rule fit_law to robustlaws.laws.tables.fit_law."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws.laws import tables

    tables.fit_law(
        runs_path=snakemake.input.runs,
        curves_path=snakemake.input.curves,
        law_path=snakemake.output.law,
        allocations_path=snakemake.output.allocations,
        predictions_path=snakemake.output.predictions,
        refits_path=snakemake.output.refits,
        held_out_path=snakemake.output.held_out,
        settings=settings.LawFit(**snakemake.params.settings),
    )
