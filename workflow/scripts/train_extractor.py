"""Bind rule train_extractor to robustlaws.generators.guidance_fitting.train_extractor."""

from robustlaws import joblog, scheduler, settings

with joblog.job(snakemake):
    from robustlaws.generators import guidance_fitting

    guidance_fitting.train_extractor(
        train_path=snakemake.input.train,
        config_path=snakemake.output.extractor,
        weights_path=snakemake.output.extractor_weights,
        state_path=f"{snakemake.output.extractor_weights}.partial",  # undeclared: survives a failed job
        settings=settings.EncoderTraining(**snakemake.params.settings),
        revision=snakemake.params.revision,
        compute=settings.Compute.of_one(
            snakemake.config["compute"], snakemake.threads, snakemake.resources.gpu, scheduler.end()
        ),
    )
