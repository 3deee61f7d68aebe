"""Bind rule plan to robustlaws.planning.page.write."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.planning import page

    page.write(
        page_path=snakemake.output.page,
        block_path=snakemake.output.block,
        runs_path=snakemake.input.runs,
        law_paths=snakemake.input.laws,
        refits_paths=snakemake.input.refits,
        prediction_paths=snakemake.input.predictions,
        accuracy_path=snakemake.input.accuracy,
        accuracy_refits_path=snakemake.input.accuracy_refits,
        folder=snakemake.params.folder,
        devices=settings.Compute(**snakemake.config["compute"]).ranks,
        settings=settings.Plan(**snakemake.params.settings),
    )
