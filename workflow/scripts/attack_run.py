"""Bind rule attack_run to the attack that its wildcard names."""

from robustlaws import registry, settings
from robustlaws.attacks import ATTACKS
from robustlaws.runtime import job_log, slurm

with job_log.job(snakemake):
    registry.load(snakemake.wildcards.attack, ATTACKS)(
        weights_path=snakemake.input.weights,
        test_path=snakemake.input.test,
        outcome_path=snakemake.output.outcome,
        settings=ATTACKS[snakemake.wildcards.attack].settings_class(**snakemake.params.settings),
        compute=settings.Compute.of_one(
            snakemake.config["compute"], snakemake.threads, snakemake.resources.gpu, slurm.end()
        ),
    )
