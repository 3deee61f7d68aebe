"""Bind rule import_generator to robustlaws.generators.official.convert.import_generator."""

from robustlaws import settings
from robustlaws.runtime import job_log

with job_log.job(snakemake):
    from robustlaws.generators.official import convert

    convert.import_generator(
        checkpoint_path=snakemake.input.checkpoint,
        config_path=snakemake.output.network,
        weights_path=snakemake.output.weights,
        settings=settings.GeneratorImport(**snakemake.params.settings),
    )
