"""Bind rule import_checkpoint to robustlaws.networks.interop.import_checkpoint."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws.networks import interop

    interop.import_checkpoint(
        checkpoint_path=snakemake.input.checkpoint,
        weights_path=snakemake.output.weights,
        settings=settings.Checkpoint(**snakemake.params.settings),
    )
