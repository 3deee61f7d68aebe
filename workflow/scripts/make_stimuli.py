"""Bind rule make_stimuli to robustlaws.humans.stimuli.make."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws.humans import stimuli

    stimuli.make(
        record_path=snakemake.input.record,
        images_path=snakemake.input.images,
        stimuli_path=snakemake.output.stimuli,
        key_path=snakemake.output.key,
        settings=settings.Stimuli(**snakemake.params.settings),
    )
