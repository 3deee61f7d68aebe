"""Bind rule gather_chunks to robustlaws.attacks.merge_chunks.gather."""

from robustlaws.attacks import ATTACKS
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.attacks import merge_chunks

    merge_chunks.gather(
        chunk_paths=snakemake.input.chunks,
        outcome_path=snakemake.output.outcome,
        settings=ATTACKS[snakemake.wildcards.attack].settings_class(**snakemake.params.settings),
    )
