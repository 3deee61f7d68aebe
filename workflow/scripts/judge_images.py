"""Bind rule judge_images to robustlaws.humans.analysis.judge.judge."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.humans.analysis import judge

    judge.judge(
        answers_path=snakemake.input.answers,
        key_path=snakemake.input.key,
        record_path=snakemake.input.record,
        accuracy_path=snakemake.output.accuracy,
        validity_path=snakemake.output.validity,
        benchmark_path=snakemake.output.benchmark,
        agreement_path=snakemake.output.agreement,
        settings=settings.Judging(**snakemake.params.settings),
    )
