"""Bind rule import_pair to robustlaws.generators.official.convert.import_pair."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.generators.official import convert

    convert.import_pair(
        extractor_path=snakemake.input.extractor,
        discriminator_path=snakemake.input.discriminator,
        extractor_config_path=snakemake.output.extractor,
        extractor_weights_path=snakemake.output.extractor_weights,
        discriminator_config_path=snakemake.output.discriminator,
        discriminator_weights_path=snakemake.output.discriminator_weights,
        settings=settings.EncoderImport(**snakemake.params.settings),
    )
