"""Bind rule attack_inner to robustlaws.attacks.training_attack.attack_as_in_training."""

from robustlaws import settings
from robustlaws.runtime import job_log, slurm

with job_log.job(snakemake):
    from robustlaws.attacks import training_attack

    training_attack.attack_as_in_training(
        weights_path=snakemake.input.weights,
        images_path=snakemake.input.images,
        outcome_path=snakemake.output.outcome,
        settings=settings.InnerAttack(**snakemake.params.settings),
        compute=settings.Compute.of_one(
            snakemake.config["compute"], snakemake.threads, snakemake.resources.gpu, slurm.end()
        ),
    )
