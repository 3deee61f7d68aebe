"""Bind rule write_presentation to robustlaws.humans.stimuli.presentation.write."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.humans.stimuli import presentation

    presentation.write(
        images_path=snakemake.input.images,
        consent_paths=snakemake.input.consent,
        presentation_path=snakemake.output.presentation,
        settings=settings.Presentation(**snakemake.params.settings),
    )
