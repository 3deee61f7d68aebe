"""Rows of what happens to files: the code, the environments, the inputs and the outputs."""

import os
import shutil
from pathlib import Path

from tests.workflow.staleness import Change, Row, Section, jobs

TINY = Path("results/tiny")
LONG_AGO = 1_700_000_000  # seconds since 1970
RUN = "wrn-10-1/edm-2/128/1"


def row(change, files, made=(), why="", study="tiny", **more):
    """Return the row of one change of files."""
    return Row(change, (Change(change.replace("`", ""), files=files, **more),), tuple(made), why, study)


def rewriting(pattern, old, new):
    """Return a change that replaces text in all files that match a pattern."""

    def rewrite(folder):
        results = [path for path in folder.glob(pattern) if path.is_file() and old in path.read_text()]
        assert results, f"no {pattern} holds {old!r}"
        for path in results:
            path.write_text(path.read_text().replace(old, new))

    return rewrite


def touching(*patterns):
    """Return a change that gives all files that match a pattern the time of now."""

    def touch(folder):
        for pattern in patterns:
            results = [path for path in folder.glob(pattern) if path.is_file()]
            assert results, f"nothing matches {pattern}"
            for path in results:
                os.utime(path)

    return touch


def deleting(*names):
    """Return a change that deletes files and folders."""

    def delete(folder):
        for name in names:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return delete


def appending(name, content):
    """Return a change that makes one file longer."""

    def append(folder):
        with open(folder / name, "ab") as file:
            file.write(content)

    return append


def move(folder):
    """Move a checkout with all that is in it."""
    return folder.rename(folder.with_name("moved"))


def clone(folder):
    """Put a fresh checkout of the code beside the results."""
    for part in ("Snakefile", "workflow", "envs", "profiles"):
        source = folder / part
        copied = shutil.copytree if source.is_dir() else shutil.copy
        copied(source, folder / f"{part}.new", **({"copy_function": shutil.copy} if source.is_dir() else {}))
        deleting(part)(folder)
        (folder / f"{part}.new").rename(source)


def copy_without_times(folder):
    """Give each file another time, as `cp -r` does, in the worst order: what was made first comes last."""
    result = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: -path.stat().st_mtime_ns)
    for second, path in enumerate(result):
        os.utime(path, (LONG_AGO + second, LONG_AGO + second))


def make_all(*changes):
    """Return a change that makes several, one after the other."""

    def change(folder):
        for each in changes:
            each(folder)

    return change


ALL_CODE = ("Snakefile", "workflow/**/*", "envs/*", "profiles/**/*")
CODE = Section(
    "The code",
    (
        Row(
            "files of the workflow, the environments or the library are touched",
            (
                Change("touched code", files=touching(*ALL_CODE)),
                Change("touched library", files=touching("src/**/*"), library=True),
            ),
        ),
        Row(
            "code is reformatted, or comments and docstrings are changed",
            (
                Change("scripts", files=rewriting("workflow/scripts/*.py", '"""Bind', '"""  Bind')),
                Change("rules", files=rewriting("workflow/rules/*.smk", "    log:", "    # a remark\n    log:")),
                Change("library", files=rewriting("src/**/*.py", '"""\n', '"""\n# a remark\n'), library=True),
            ),
        ),
        row(
            "code of the library means something else, and nobody bumped a revision",
            rewriting("src/robustlaws/training/*.py", "\nimport torch", "\nimport torch\n\nANOTHER = 1"),
            (),
            "a test fails until somebody says which it is, `bump` or `accept`",
            library=True,
        ),
        row("a script of a rule means something else", rewriting("workflow/scripts/*.py", "job(", "job( "), (),
            "scripts only bind; what they call has a revision"),
        row(
            "`threads`, `resources`, `priority` or the log of a rule",
            make_all(
                rewriting("workflow/rules/*.smk", "threads: 1\n", "threads: 2\n"),
                rewriting("workflow/rules/*.smk", "    resources:\n", "    resources:\n        disk_mb=9,\n"),
                rewriting("workflow/rules/*.smk", "priority: 20", "priority: 30"),
                rewriting("workflow/rules/*.smk", "<results>/logs", "<results>/other/logs"),
            ),
        ),
        Row(
            "`--set-threads`, `--set-resources`, `--jobs` and the like",
            (
                Change(
                    "command line",
                    arguments=("--set-threads", "train_run=8", "--set-resources", "train_run:mem_mb=64000", "-j", "9"),
                ),
            ),
        ),
    ),
)  # fmt: skip

WITH_TRIGGER = ("--rerun-triggers", "mtime", "params", "input", "software-env")
ENVIRONMENTS = Section(
    "The software",
    (
        row(
            "another version of torch, AutoAttack or any other package is installed",
            rewriting("envs/gpu.yaml", "pytorch =", "pytorch =1"),
            (),
            "the ledger of revisions knows the pinned packages behind each of its entries, and a test asks: `bump` the"
            " entries whose outputs change, `accept` the others. The report says which versions made what",
        ),
        row(
            "a pin of `envs/gpu.yaml` with `--sdm conda`",
            rewriting("envs/gpu.yaml", "pytorch =", "pytorch =1"),
            study="conda",
        ),
        row(
            "a pin of `envs/analysis.yaml` with `--sdm conda`",
            rewriting("envs/analysis.yaml", "scipy =", "scipy =1"),
            study="conda",
        ),
        Row(
            "`--sdm conda` for a study that was made without it, or the other way round",
            (Change("conda left out", arguments=("--software-deployment-method", "env-modules")),),
            (),
            "",
            "conda",
        ),
        row(
            "the environments are in another folder: another `--conda-prefix`, or without one another checkout",
            lambda folder: None,
            study="conda",
            arguments=("--conda-prefix", "elsewhere"),
        ),
        row(
            "a comment in `envs/gpu.yaml` with `--sdm conda` and Snakemake's own `--rerun-triggers ... software-env`",
            appending("envs/gpu.yaml", b"# a remark\n"),
            (jobs.EVERYTHING,),
            "Snakemake compares the text of the file and the folder of the environment: this trigger is off for that",
            "conda",
            arguments=WITH_TRIGGER,
        ),
    ),
)

PLACES = Section(
    "Another place",
    (
        row("the checkout is moved with its results, or copied with `cp -a`", move),
        row("a fresh checkout beside old results", clone),
        row(
            "copied with `cp -r`, which gives every file a new time",
            copy_without_times,
            (jobs.SHOWN,),
            "larger files than a million bytes are compared by time: here the explorer's page, elsewhere shards and"
            " weights. Keep the times",
        ),
        row(
            "the same where the config names folders of images",
            copy_without_times,
            (jobs.EVERYTHING,),
            "names, sizes and times count of what is in a folder",
            "folders",
        ),
    ),
)

INPUTS = Section(
    "Files that the config names",
    (
        Row(
            "touched, under a million bytes",
            (Change("touched small input", files=touching("files/*.parquet", "files/samples-0.npz", "files/zoo.pt")),),
            study="wide",
        ),
        row(
            "touched, larger",
            touching("files/edm.pkl"),
            (jobs.imported("official"), *jobs.on("official-4", "guided-3", more=[jobs.MIXED])),
            "larger files are compared by time",
            "wide",
        ),
        row(
            "another content",
            appending("files/samples-0.npz", b"more"),
            (jobs.STAGED, *jobs.OWN),
            study="wide",
        ),
        row(
            "a folder of images: a file more, or a touched one",
            touching("files/samples/0/0.png"),
            (jobs.STAGED, jobs.of_datasets("its images and their FIDs", "own"), *jobs.ALL_RUNS),
            study="folders",
        ),
        row(
            "deleted",
            deleting("files/edm.pkl"),
            (),
            "it was imported; it is needed when something changes",
            "wide",
        ),
    ),
)

OUTPUTS = Section(
    "Results",
    (
        row(
            "an output is touched, under a million bytes",
            touching("results/tiny/tables/runs.parquet", "results/tiny/datasets/*/*.h5"),
        ),
        row(
            "an output is edited by hand, such as the table of runs",
            appending(TINY / "tables/runs.parquet", b"edited"),
            (jobs.FROM_TABLES,),
            "what was made of it; itself it stays as it is",
        ),
        row(
            "an output is touched, larger, such as the weights of a run",
            touching(f"results/wide/runs/{jobs.OFFICIAL}/weights.safetensors"),
            (jobs.pgd([jobs.OFFICIAL], "its attacks"), jobs.ON_OFFICIAL, jobs.HUMANS, jobs.EXPORTS, jobs.ANALYSIS),
            "larger files are compared by time",
            "wide",
        ),
        Row(
            "an output is deleted that something later was made of: images, weights, a curve, a table, a figure",
            (
                Change("deleted shard", files=deleting(TINY / "datasets/edm-2/shard-00001.h5")),
                Change("deleted weights", files=deleting(TINY / f"runs/{RUN}/weights.safetensors")),
                Change("deleted run", files=deleting(TINY / f"runs/{RUN}")),
                Change("deleted table", files=deleting(TINY / "tables/runs.parquet")),
                Change("deleted figure", files=deleting(TINY / "figures/envelope.png")),
            ),
            why="what was made of it is there: disks may be cleared. Ask for it by its path to have it back",
        ),
        Row(
            "and then something is to be made of it",
            (
                Change(
                    "deleted weights and a new attack",
                    files=deleting(TINY / f"runs/{RUN}/weights.safetensors"),
                    config=lambda config: config["attacks"]["autoattack"]["runs"].append(RUN),
                ),
            ),
            (
                jobs.runs("what is missing", RUN),
                jobs.chunks("the attack", f"runs/{RUN}", 0, 1),
                jobs.figures("adversarial"),
                jobs.ANALYSIS,
            ),
            "here a run, for a new attack on it",
        ),
        row("the report is deleted", deleting(TINY / "report.html"), (jobs.REPORT,)),
        row("the page of the plan is deleted", deleting(TINY / "plan.html"), (jobs.PLAN,)),
        row("the RO-Crate is deleted", deleting(TINY / "ro-crate-metadata.json"), (jobs.SHOWN,)),
        row("logs, benchmarks and states are deleted", deleting(TINY / "logs", TINY / "benchmarks"), ()),
        row(
            "`.snakemake` is deleted",
            deleting(".snakemake"),
            (),
            "but nobody knows any more what was made with which settings",
        ),
        Row(
            "`.snakemake` is deleted and a setting is another",
            (Change("forgotten", files=deleting(".snakemake"), settings={"training.beta": 6}),),
            (),
            "only times are left to compare: keep `.snakemake` with `results`",
        ),
    ),
)
