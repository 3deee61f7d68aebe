"""Bind rule simulate_participants to robustlaws.humans.answers.simulate.simulate."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.humans.answers import simulate

    simulate.simulate(
        key_path=snakemake.input.key,
        images_path=snakemake.input.images,
        answers_path=snakemake.output.answers,
        settings=settings.Simulation(**snakemake.params.settings),
    )
