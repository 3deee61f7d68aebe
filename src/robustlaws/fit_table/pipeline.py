"""All outputs for a table of finished runs, in one folder: tables, laws, limits, figures and pages.

The list `STEPS` names the steps: each gives its jobs, (name, function), which run one by one.
"""

import platform
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path

from robustlaws import __version__, registry, report, seeds, settings
from robustlaws.figures import FIGURES_OF_RUNS
from robustlaws.figures.drawing import inputs
from robustlaws.fit_table import curves as learning
from robustlaws.fit_table import output_folder, paper_comparison, paper_runs, steps
from robustlaws.fit_table import runs as run_table
from robustlaws.laws import LAWS, fit_jobs, limits, published
from robustlaws.laws.determination import values
from robustlaws.report import explorer
from robustlaws.runtime.logger import log
from robustlaws.runtime.progress import Progress
from robustlaws.storage import tables
from robustlaws.storage.atomic import digest, read_json, write_json

TWO_STAGE = "additive_two_stage"
_FEWEST_FOR_TWO_STAGES = 3  # FIDs: one of the first stage, two to see what FID does
_EXTRAPOLATE = 100.0  # times the dearest run: how far N* and D* are followed
_PACKAGES = ("numpy", "scipy", "pandas", "pyarrow", "matplotlib")


@dataclass(frozen=True)
class Choices:
    """Options of a user, explained in `settings.LawFit`. No laws: all that the data allow."""

    laws: tuple[str, ...] = ()
    refits: int = 200
    level: float = 0.9
    starts: str = "small"
    recipe: str = "converged"
    small_on_large: dict | None = None
    two_stage: dict | None = None
    human_accuracy: float | None = None
    flops: tuple[float, ...] = ()  # budgets of the limits; none: that of the dearest run
    seed: int = 1


PUBLISHED = Choices(
    small_on_large=published.SMALL_ON_LARGE,
    two_stage={"base": published.ADDITIVE_BASE, "quality": list(published.ADDITIVE_QUALITY)},
    human_accuracy=published.HUMAN_ACCURACY,
    flops=(published.APPROACHES_FLOPS, published.PRIOR_FLOPS, published.BEST_FLOPS, published.HUMAN_FLOPS),
)


@dataclass(frozen=True)
class Work:
    """Shared data of the steps: the folder, the tables, the names of the laws, and the origin of the runs."""

    folder: Path
    runs: object  # data frame, tables.RUNS
    curves: object  # data frame, tables.CURVES
    laws: tuple[str, ...]
    choices: Choices
    title: str
    origin: str = ""
    printed: bool = False  # the runs are those of the paper

    @property
    def compared(self):
        """Whether the laws are set beside what the paper prints: they are converged fits of its runs."""
        return self.printed and self.choices.recipe == "converged"

    def path(self, *names):
        """Return the path of a file in the folder."""
        return self.folder.joinpath(*names)

    def files(self):
        """Return the files that steps and figures read and write, by noun."""
        return steps.files_below(self.folder, self.laws)

    def budgets(self):
        """Return the budgets (FLOPs) that limits are given at: first the one that stands in the table of approaches."""
        dearest = float(self.runs["flops"].max())
        return self.choices.flops or (_EXTRAPOLATE * dearest, dearest)

    def law_settings(self, law):
        """Return the settings of a law's fit; a setting that the law does not know stays neutral."""
        choices = self.choices
        points = "curves" if len(self.curves) else "runs"
        special = {"points": points, "recipe": choices.recipe, "two_stage": choices.two_stage}
        own = {name: special[name] for name in (LAWS[law].settings if law in LAWS else ())}
        return settings.LawFit(
            law=law,
            observations="final",  # a row of the table is the run as it counts
            min_train_fraction=0.5,
            huber_delta=0.001,
            refits=choices.refits,
            level=choices.level,
            budgets=60,
            extrapolate=_EXTRAPOLATE,
            seed=seeds.derive(choices.seed, "law", law),
            small_on_large=choices.small_on_large,
            starts=choices.starts,
            **own,
        )


def _write_tables(work):
    def write():
        files = work.files()
        tables.write(files["runs"], work.runs, tables.RUNS)
        tables.write(files["curves"], work.curves, tables.CURVES)

    return [("tables", write)]


def _fit_laws(work):
    return [(f"fitting {law}", partial(_fit_law, work, law)) for law in work.laws]


def _fit_law(work, law):
    step = steps.FIT_LAW
    paths = steps.as_paths(step.outputs(work.folder, law=law))
    fit_jobs.fit_law(**step.arguments(work.files()), **paths, settings=work.law_settings(law))


def _fit_accuracy(work):
    def fit():
        step = steps.FIT_ACCURACY
        paths = steps.as_paths(step.outputs(work.folder))
        if work.printed:
            write_json(paths["accuracy_path"], paper_runs.accuracy_line())
            tables.write(paths["refits_path"], [], tables.REFITS)
        else:
            chosen = work.law_settings("accuracy")
            fit_jobs.fit_accuracy(**step.arguments(work.files()), **paths, settings=chosen)

    return [("accuracy from loss", fit)]


def _measure_limits(work):
    def measure():
        step = steps.MEASURE_LIMITS
        limits.measure_limits(
            **step.arguments(work.files()),
            **steps.as_paths(step.outputs(work.folder)),
            settings=settings.Limits(work.budgets(), work.choices.human_accuracy, work.choices.level),
        )

    return [("limits", measure)]


def _compare(work):
    """Set the converged laws of the published runs beside what is printed of them."""
    files = work.files()

    def compare():
        comparison = paper_comparison.compare(
            inputs.read_laws(files["laws"]),
            [tables.read(path, tables.REFITS) for path in files["refits"]],
            [tables.read(path, tables.PREDICTIONS) for path in files["predictions"]],
            read_json(files["accuracy"]),
            work.runs,
            _by_recipe(work),
            work.choices.level,
        )
        tables.write(work.path("comparison.parquet"), comparison, tables.COMPARISON)

    return [("comparison with the paper", compare)] if work.compared else []


def _by_recipe(work):
    """Return the parameters that the published recipe finds: those kept with the package, or fitted anew for its grids.

    It takes minutes for its 3,785 starts, and finds other parameters from fewer.
    """
    chosen, usual = work.choices, PUBLISHED
    if (chosen.small_on_large, chosen.two_stage) != (usual.small_on_large, usual.two_stage):
        return {}  # other runs than the recipe saw
    if chosen.starts != "grid":
        return paper_runs.recipe()
    parameters = {}
    for law in paper_runs.recipe():
        own = replace(work.law_settings(law), recipe="published")
        parameters[law] = values(registry.load(law, LAWS)(work.runs, work.curves, own).summary["parameters"])
    return parameters


def _draw_figures(work):
    return [(f"figure {name}", partial(_draw, work, name)) for name in FIGURES_OF_RUNS]


def _draw(work, name):
    paths = {kind: work.path("figures", f"{name}.{kind}") for kind in ("png", "svg", "parquet")}
    files, figure = work.files(), FIGURES_OF_RUNS[name]
    registry.load(name, FIGURES_OF_RUNS)(paths=paths, **{noun: files[noun] for noun in figure.inputs})
    if not len(tables.read(paths["parquet"], tables.DRAWN)):
        log.info("figure %s: nothing to show, left out", name)
        for path in paths.values():
            path.unlink()


def _write_explorer(work):
    read = steps.DRAW_EXPLORER.arguments(work.files())
    about = {"title": work.title, "description": work.origin}
    return [("explorer", partial(explorer.write, work.files()["explorer"], **read, **about))]


def _write_report(work):
    def write():
        drawn = [path for name in FIGURES_OF_RUNS if (path := work.path("figures", f"{name}.png")).is_file()]
        files = work.files() | {"figures": drawn}
        report.write(
            files["report"],
            study=work.title,
            description="",
            **steps.WRITE_REPORT.arguments(files),
            settings={"laws": {law: settings.as_params(work.law_settings(law)) for law in work.laws}},
            versions=versions(),
            comparison=work.path("comparison.parquet") if work.compared else None,
            origin=work.origin,
        )

    return [("report", write)]


STEPS = (
    _write_tables,
    _fit_laws,
    _fit_accuracy,
    _measure_limits,
    _compare,
    _draw_figures,
    _write_explorer,
    _write_report,
)


def fit(table, out, choices=None, curves=None, flops_per_parameter_image=None):
    """Fit laws to a table of finished runs and write all that comes out of them into a folder.

    Parameters
    ----------
    table : path
        .csv or .parquet, as `tables.runs` takes it.
    out : path
        Folder to fill: a new one, or one that a fit has filled before.
    choices : Choices, optional
    curves : path, optional
        Learning curves, as `learning.curves` takes them.
    flops_per_parameter_image : float, optional
        K where the table does not say the FLOPs.

    Raises
    ------
    ValueError
        In one line, with nothing written, if a table or a choice is not what it should be.
    """
    output_folder.check(out)
    runs = run_table.runs(table, flops_per_parameter_image)
    traced = tables.table([], tables.CURVES) if curves is None else learning.curves(curves, runs)
    about = {"table": Path(table).name, "sha256": digest(table)}
    about |= {} if curves is None else {"curves": Path(curves).name, "curves_sha256": digest(curves)}
    _fill(out, about, runs, traced, choices or Choices(), title=Path(table).stem)


def fit_published(folder, choices=PUBLISHED):
    """Fit the laws to the published study's runs and write all that comes out of them into `folder`.

    Raises
    ------
    ValueError
        If the folder is not one to fill.
    """
    everything, none = paper_runs.everything(), tables.table([], tables.CURVES)
    _fill(
        folder,
        {"table": "published"},
        everything,
        none,
        choices,
        "The published study",
        paper_runs.ORIGIN,
        printed=True,
    )


def _fill(out, about, runs, curves, choices, title, origin="", printed=False):
    laws = laws_of(choices, runs)
    about = about | {"choices": asdict(replace(choices, laws=laws))}
    with output_folder.filling(out, about) as inside:
        work = Work(inside, runs, curves, laws, choices, title, origin, printed)
        jobs = [job for step in STEPS for job in step(work)]
        progress = Progress(title, len(jobs), unit="steps", every=0.0)
        for (_, do), following in zip(jobs, [*(what for what, _ in jobs[1:]), "done"], strict=True):
            do()
            progress.advance(1, following)


def laws_of(choices, runs):
    """Return the names of the laws that are fitted, in the order of LAWS; ValueError for one that is not known."""
    for law in choices.laws:
        registry.check(law, LAWS, "--laws")
    if choices.laws:
        return tuple(law for law in LAWS if law in choices.laws)
    several = runs["fid"].nunique() >= _FEWEST_FOR_TWO_STAGES or choices.two_stage
    return tuple(law for law in LAWS if law != TWO_STAGE or several)


def versions():
    """Return the versions of what a fit's numbers come from: {name: version}."""
    ours = {"python": platform.python_version(), "robustlaws": __version__}  # which need not be installed
    return ours | {name: metadata.version(name) for name in _PACKAGES}
