"""Bind rule export_run to robustlaws.networks.interop.export."""

from robustlaws import joblog, settings

with joblog.job(snakemake):
    from robustlaws.networks import interop

    interop.export(
        weights_path=snakemake.input.weights,
        record_paths=snakemake.input.records,
        test_path=snakemake.input.test,
        checkpoint_path=snakemake.output.checkpoint,
        info_path=snakemake.output.info,
        settings=settings.Export(**snakemake.params.settings),
    )
