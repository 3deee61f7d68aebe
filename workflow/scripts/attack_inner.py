"""Bind rule attack_inner to robustlaws.attacks.inner.attack_as_in_training."""

from robustlaws import joblog, scheduler, settings

with joblog.job(snakemake):
    from robustlaws.attacks import inner

    inner.attack_as_in_training(
        weights_path=snakemake.input.weights,
        images_path=snakemake.input.images,
        outcome_path=snakemake.output.outcome,
        settings=settings.InnerAttack(**snakemake.params.settings),
        compute=settings.Compute.of_one(
            snakemake.config["compute"], snakemake.threads, snakemake.resources.gpu, scheduler.end()
        ),
    )
