"""Bind rule ask_model to robustlaws.humans.vision_model.ask."""

import os

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws.humans import vision_model

    asking = settings.Asking.of(snakemake.config["humans"]["models"][snakemake.wildcards.participant])
    vision_model.ask(
        stimuli_path=snakemake.input.stimuli,
        key_path=snakemake.input.key,
        images_path=snakemake.input.images,
        prompt_paths=snakemake.input.prompt,
        replay_paths=snakemake.input.replay,
        answers_path=snakemake.output.answers,
        settings=settings.VisionModel(**snakemake.params.settings),
        asking=asking,
        key=os.environ.get(asking.key),
    )
