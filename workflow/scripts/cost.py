"""Bind rule cost to robustlaws.costing.write."""

from robustlaws import joblog

with joblog.job(snakemake):
    from robustlaws import costing

    text = costing.write(
        folder=snakemake.params.folder,
        config=snakemake.config,
        schema_path=snakemake.params.schema,
        snakemake=snakemake.params.snakemake,
        triggers=snakemake.params.triggers,
        software=snakemake.params.software,
        conda_prefix=snakemake.params.conda_prefix,
    )
print(text)
