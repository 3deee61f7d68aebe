"""Bind rule cost to robustlaws.costing.write."""

from robustlaws import joblog

with joblog.to(snakemake.log[0]):
    from robustlaws import costing

    text = costing.write(
        folder=snakemake.params.folder,
        config=snakemake.config,
        schema_path=snakemake.params.schema,
        snakefile=snakemake.params.snakefile,
        options=snakemake.params.options,
    )
print(text)
