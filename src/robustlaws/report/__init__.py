"""The report of a study, or of a table of finished runs, as one self-contained HTML page.

No script, no network, no clock. The page and its contents leave out what a study does not have.
"""

import json
import platform
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

from robustlaws import __version__
from robustlaws.figures.drawing import inputs
from robustlaws.report import (
    approaches,
    findings,
    human_study,
    job_times,
    law_sections,
    page,
    pictures,
    published,
    tables,
)
from robustlaws.report import provenance as origins
from robustlaws.storage import tables as records
from robustlaws.storage.atomic import read_json, write_text

_PACKAGES = ("snakemake", "torch", "numpy", "scipy", "pandas", "pyarrow", "h5py", "matplotlib")


def write(
    path, *, study, description, runs, curves, laws, accuracy, limits=None, attacks=None, quality=(), figures=(),
    timings=(), settings=None, versions=None, comparison=None, origin="", explorer=None, plan=None, links=None,
    provenance=None, humans=None,
):  # fmt: skip
    """Write the report of a study.

    Parameters
    ----------
    path : path
        The HTML page to write, whole or not at all.
    study, description : str
        Name of the study, and what it is for.
    runs, curves : paths
        Tables `records.RUNS` and `records.CURVES`; the curves may have no rows.
    laws : list of paths
        Law files.
    accuracy : path or None
        JSON of the line from adversarial loss to adversarial accuracy.
    limits, attacks, comparison : paths, optional
        Tables `records.APPROACHES`, `records.ATTACKS` and `records.COMPARISON`.
    quality : list of paths
        FID files of the datasets.
    figures : list of paths
        PNG files in the order of the page; captions go by their names. SVG and Parquet files beside them are linked.
    timings : list of paths
        Snakemake benchmark files, each below a folder `benchmarks/<stage>`.
    settings : dict, optional
        The checked config.
    versions : dict of str to str, optional
        Software -> version.
    origin : str
        Where the runs come from, in one sentence: the published ones if there is a comparison, else the study's.
    explorer, plan : path or str, optional
        Pages in the same folder, which are linked.
    links : dict of str to str, optional
        Further links: text -> address relative to the page.
    provenance : path, optional
        Table `records.PROVENANCE` in a folder within that of the study.
    humans : dict of str to lists of paths, optional
        Tables of the human study: accuracy, validity, benchmark and agreement, one of each for a bundle of stimuli.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    laws, limits = inputs.read_laws(laws), approaches.read(limits)
    text = page.render(
        study=study,
        description=description,
        origin=origin,
        links=_links(explorer, plan) | (links or {}),
        **_of_runs(runs, curves, attacks, quality, laws, limits),
        **_of_laws(laws, limits, accuracy, comparison),
        humans=human_study.section(**humans) if humans else None,
        **_of_the_making(path, figures, timings, provenance, versions, settings),
    )
    write_text(path, text)


def _of_runs(runs, curves, attacks, quality, laws, limits):
    """Return the page's part of tables and findings."""
    runs, curves = records.read(runs, records.RUNS), records.read(curves, records.CURVES)
    attacks = None if attacks is None else records.read(attacks, records.ATTACKS)
    return {
        "summary": findings.summary(runs, attacks, laws, limits),
        "datasets": tables.datasets(runs, [read_json(file) for file in quality]),
        "models": tables.models(runs),
        "runs": tables.runs_tables(runs),
        "measured": bool(runs["adv_acc"].notna().any()),
        "observations": len(curves),
        "spent": tables.spent(runs),
        "attacks": None if attacks is None else tables.attacks(attacks),
        "seeds": sorted(int(seed) for seed in runs["seed"].unique()),
    }


def _of_laws(laws, limits, accuracy, comparison):
    """Return the page's part of the fits."""
    return {
        "approaches": approaches.table(limits, law_sections.unconverged(laws)),
        "laws": [law_sections.section(law) for law in laws],
        "overview": law_sections.overview(laws),
        "line": law_sections.line(None if accuracy is None else read_json(accuracy)),
        "published": published.table(published.read(comparison), laws, limits),
    }


def _of_the_making(path, figures, timings, provenance, versions, settings):
    """Return the page's part of provenance and figures; links are relative to the page `path`."""
    return {
        "figures": pictures.read(figures, path),
        "stages": job_times.table(timings),
        "origins": origins.section(provenance, path),
        "versions": versions or {},
        "settings": json.dumps(settings, indent=2, ensure_ascii=False, default=str) if settings else "",
    }


def _links(explorer, plan):
    beside = {"Explore the runs and laws": explorer, "What to train next": plan}
    return {text: quote(Path(file).name) for text, file in beside.items() if file is not None}


def write_files(
    path, *, config, runs, curves, laws, accuracy, limits, attacks, quality, figures, benchmarks, explorer=None,
    plan=None, published_folders=(), origin="", provenance=None, human_accuracy=(), validity=(), benchmark=(),
    agreement=(), quiz=None,
):  # fmt: skip
    """Write the report of a study from its checked config and the folder of its Snakemake benchmarks.

    The other parameters are those of :func:`write`; versions are those of the running Python's packages.

    Parameters
    ----------
    benchmarks : path
        Folder of Snakemake's benchmark files.
    origin : str
        Where the published runs come from.
    published_folders : list of paths
        None, or the folder of the published runs' fits: `comparison.parquet`, and `report.html` if it has one.
    human_accuracy, validity, benchmark, agreement : lists of paths
        Tables of the human study, one of each for a bundle of stimuli; none without it.
    quiz : path or None
        Its page for visitors.
    """
    folders = [Path(folder) for folder in published_folders]
    comparison = next((folder / "comparison.parquet" for folder in folders), None)
    write(
        path,
        study=config["study"],
        description=config.get("description", ""),
        runs=runs,
        curves=curves,
        laws=laws,
        accuracy=accuracy,
        limits=limits,
        attacks=attacks,
        quality=quality,
        figures=figures,
        timings=sorted(Path(benchmarks).rglob("*.tsv")),
        settings=config,
        versions=_versions(),
        comparison=comparison,
        origin=origin if comparison else "",
        explorer=explorer,
        plan=plan,
        links=_links_elsewhere(folders, quiz, path),
        provenance=provenance,
        humans={
            "accuracy": human_accuracy,
            "validity": validity,
            "benchmark": benchmark,
            "agreement": agreement,
        },
    )


def _versions():
    versions = {"python": platform.python_version(), "robustlaws": __version__}  # which need not be installed
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def _links_elsewhere(folders, quiz, path):
    pages = [("The published study", folder / "report.html") for folder in folders]
    pages = [(text, page) for text, page in pages if page.is_file()]
    if quiz:
        pages.append(("Try the images yourself", quiz))
    return {text: pictures.link(page, path) for text, page in pages}
