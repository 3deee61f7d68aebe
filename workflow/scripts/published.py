"""Bind rule published to robustlaws.finished.study.fit_published."""

from robustlaws import joblog

with joblog.to(snakemake.log[0]):
    from robustlaws.finished import study

    study.fit_published(folder=snakemake.output.folder)
