"""Bind rule collect_attacks to robustlaws.collect.attacks.collect."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.collect import attacks

    attacks.collect(
        outcome_paths=snakemake.input.outcomes,
        table_path=snakemake.output.attacks,
        settings=settings.CollectAttacks(**snakemake.params.settings),
    )
