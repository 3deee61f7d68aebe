"""Bind rule make_stimuli to robustlaws.humans.stimuli.images.make."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.humans.stimuli import images

    images.make(
        record_path=snakemake.input.record,
        images_path=snakemake.input.images,
        stimuli_path=snakemake.output.stimuli,
        key_path=snakemake.output.key,
        settings=settings.Stimuli(**snakemake.params.settings),
    )
