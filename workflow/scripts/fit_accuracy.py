"""Bind rule fit_accuracy to robustlaws.laws.tables.fit_accuracy."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws.laws import tables

    tables.fit_accuracy(
        runs_path=snakemake.input.runs,
        accuracy_path=snakemake.output.accuracy,
        refits_path=snakemake.output.refits,
        settings=settings.LawFit(**snakemake.params.settings),
    )
