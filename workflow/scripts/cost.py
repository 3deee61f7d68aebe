"""Bind rule cost to robustlaws.costing.write."""

from robustlaws import joblog

with joblog.to(snakemake.log[0]):
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
