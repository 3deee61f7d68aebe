"""Bind rule export_run to robustlaws.archive.robustbench.export."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.archive import robustbench

    robustbench.export(
        weights_path=snakemake.input.weights,
        record_paths=snakemake.input.records,
        test_path=snakemake.input.test,
        checkpoint_path=snakemake.output.checkpoint,
        info_path=snakemake.output.info,
        settings=settings.Export(**snakemake.params.settings),
    )
