"""Bind rule train_features to robustlaws.quality.fid.train_features."""

from robustlaws import settings
from robustlaws.runtime import job_log, slurm

with job_log.job(snakemake):
    from robustlaws.quality import fid

    fid.train_features(
        train_path=snakemake.input.train,
        test_path=snakemake.input.test,
        weights_path=snakemake.output.weights,
        settings=settings.Features(**snakemake.params.settings),
        compute=settings.Compute.of_one(
            snakemake.config["compute"], snakemake.threads, snakemake.resources.gpu, slurm.end()
        ),
    )
