"""Bind rule collect_attacks to robustlaws.attacks.table.collect."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws.attacks import table

    table.collect(
        outcome_paths=snakemake.input.outcomes,
        table_path=snakemake.output.attacks,
        settings=settings.CollectAttacks(**snakemake.params.settings),
    )
