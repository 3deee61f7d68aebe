"""Bind rule ask_model to robustlaws.humans.vision_models.participant.ask."""

import os

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.humans.vision_models import participant

    own = snakemake.config["humans"]["models"][snakemake.wildcards.participant]
    asking = settings.Asking(**settings.given(settings.Asking, own))
    participant.ask(
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
