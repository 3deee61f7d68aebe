"""Bind rule judge_images to robustlaws.humans.judging.judge."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws.humans import judging

    judging.judge(
        answers_path=snakemake.input.answers,
        key_path=snakemake.input.key,
        record_path=snakemake.input.record,
        accuracy_path=snakemake.output.accuracy,
        validity_path=snakemake.output.validity,
        benchmark_path=snakemake.output.benchmark,
        agreement_path=snakemake.output.agreement,
        settings=settings.Judging(**snakemake.params.settings),
    )
