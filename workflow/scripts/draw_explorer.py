"""Bind rule draw_explorer to robustlaws.explorer.write."""

from robustlaws import joblog

with joblog.job(snakemake):
    from robustlaws import explorer

    explorer.write(
        snakemake.output.page,
        runs=snakemake.input.runs,
        predictions=snakemake.input.predictions,
        allocations=snakemake.input.allocations,
        laws=snakemake.input.laws,
        accuracy=snakemake.input.accuracy,
        **snakemake.params.about,
    )
