"""Bind rule collect_provenance to robustlaws.archive.lineage.collect."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.archive import lineage

    lineage.collect(
        concluded=snakemake.input.concluded,
        drawn=snakemake.input.drawn,
        table_path=snakemake.output.table,
        crate_path=snakemake.output.crate,
        workflow_path=snakemake.output.workflow,
        config_path=snakemake.output.config,
        snakefile=snakemake.params.snakefile,
        report=snakemake.params.report,
        config=snakemake.config,
        settings=settings.Crate(**snakemake.params.settings),
    )
