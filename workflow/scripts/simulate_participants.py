"""Bind rule simulate_participants to robustlaws.humans.simulated.simulate."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws.humans import simulated

    simulated.simulate(
        key_path=snakemake.input.key,
        images_path=snakemake.input.images,
        answers_path=snakemake.output.answers,
        settings=settings.Simulation(**snakemake.params.settings),
    )
