"""Bind rule cost to robustlaws.job_resources.estimate.write."""

from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.job_resources import estimate

    text = estimate.write(
        folder=snakemake.params.folder,
        config=snakemake.config,
        schema_path=snakemake.params.schema,
        snakemake=snakemake.params.snakemake,
        triggers=snakemake.params.triggers,
        software=snakemake.params.software,
        conda_prefix=snakemake.params.conda_prefix,
    )
print(text)
