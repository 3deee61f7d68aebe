"""Bind rule collect_answers to robustlaws.humans.answers.collect."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws.humans import answers

    answers.collect(
        key_path=snakemake.input.key,
        images_path=snakemake.input.images,
        answers_paths=snakemake.input.answers,
        table_path=snakemake.output.table,
        csv_path=snakemake.output.csv,
        settings=settings.Answers(**snakemake.params.settings),
    )
