"""Bind rule collect_answers to robustlaws.humans.answers.collect.collect."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.humans.answers import collect

    collect.collect(
        key_path=snakemake.input.key,
        images_path=snakemake.input.images,
        answers_paths=snakemake.input.answers,
        table_path=snakemake.output.table,
        csv_path=snakemake.output.csv,
        settings=settings.Answers(**snakemake.params.settings),
    )
