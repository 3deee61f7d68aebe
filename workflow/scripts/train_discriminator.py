"""Bind rule train_discriminator to robustlaws.generators.guidance_fitting.train_discriminator."""

from robustlaws import joblog, scheduler, settings

with joblog.job(snakemake):
    from robustlaws.generators import guidance_fitting

    guidance_fitting.train_discriminator(
        train_path=snakemake.input.train,
        fake_paths=snakemake.input.fakes,
        extractor_config_path=snakemake.input.extractor,
        extractor_weights_path=snakemake.input.extractor_weights,
        config_path=snakemake.output.discriminator,
        weights_path=snakemake.output.discriminator_weights,
        state_path=f"{snakemake.output.discriminator_weights}.partial",  # undeclared: survives a failed job
        settings=settings.EncoderTraining(**snakemake.params.settings),
        revision=snakemake.params.revision,
        compute=settings.Compute.of_one(
            snakemake.config["compute"], snakemake.threads, snakemake.resources.gpu, scheduler.end()
        ),
    )
