"""Bind rule draw_quiz to robustlaws.humans.quiz.draw."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.humans import quiz

    quiz.draw(
        stimuli_path=snakemake.input.stimuli[0],
        key_path=snakemake.input.key[0],
        answers_path=snakemake.input.answers[0],
        validity_path=snakemake.input.validity[0],
        images_path=snakemake.input.images,
        page_path=snakemake.output.page,
        settings=settings.Quiz(**snakemake.params.settings),
    )
