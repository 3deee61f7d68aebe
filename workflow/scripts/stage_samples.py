"""Bind rule stage_samples to robustlaws.generators.files.stage."""

from robustlaws import joblog, scheduler, settings

with joblog.job(snakemake):
    from robustlaws.generators import files

    files.stage(
        sample_paths=snakemake.input.files,
        samples_path=snakemake.output.samples,
        state_path=f"{snakemake.output.samples}.partial",  # undeclared: survives a failed job
        settings=settings.Staging(**snakemake.params.settings),
        compute=settings.Compute.of_one(snakemake.config["compute"], snakemake.threads, 0, scheduler.end()),
    )
