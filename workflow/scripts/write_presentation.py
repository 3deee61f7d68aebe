"""Bind rule write_presentation to robustlaws.humans.presentation.write."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws.humans import presentation

    presentation.write(
        images_path=snakemake.input.images,
        consent_paths=snakemake.input.consent,
        presentation_path=snakemake.output.presentation,
        settings=settings.Presentation(**snakemake.params.settings),
    )
