"""Bind rule gather_chunks to robustlaws.attacks.gathering.gather."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws.attacks import gathering

    gathering.gather(
        chunk_paths=snakemake.input.chunks,
        outcome_path=snakemake.output.outcome,
        settings=settings.ATTACK_SETTINGS[snakemake.wildcards.attack](**snakemake.params.settings),
    )
