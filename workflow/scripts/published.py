"""Bind rule published to robustlaws.finished.study.fit_published."""

from robustlaws import joblog

with joblog.job(snakemake):
    from robustlaws.finished import study

    study.fit_published(folder=snakemake.output.folder)
