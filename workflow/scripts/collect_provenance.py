"""Bind rule collect_provenance to robustlaws.origins.collect."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws import origins

    origins.collect(
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
