"""Bind rule import_generator to robustlaws.generators.checkpoints.import_generator."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws.generators import checkpoints

    checkpoints.import_generator(
        checkpoint_path=snakemake.input.checkpoint,
        config_path=snakemake.output.network,
        weights_path=snakemake.output.weights,
        settings=settings.GeneratorImport(**snakemake.params.settings),
    )
