"""The steps from tables of runs to laws, figures and pages, for the workflow and for `robustlaws fit`.

A rule derives its `input:` from `Step.reads`, its script the keywords; `robustlaws fit` derives paths and keywords.
Every Snakemake process imports this module: it imports neither pandas nor matplotlib.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Step:
    """One step of the analysis.

    Attributes
    ----------
    reads : dict of str to str
        Noun of each input -> keyword of the library function, in the order of the rule's `input:`.
    writes : dict of str to (str, str)
        Noun of each output -> its name in the rule's `output:`, and its path below the folder of `robustlaws fit`.
        The placeholder {law} makes the noun a list with one path per law.
    """

    reads: Mapping[str, str]
    writes: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def inputs(self, files: Mapping[str, Any]) -> dict[str, Any]:
        """Return {noun: files} for a rule's `input:`.

        Raises
        ------
        KeyError
            If `files` lacks a noun.
        """
        return {noun: files[noun] for noun in self.reads}

    def arguments(self, files: Mapping[str, Any]) -> dict[str, Any]:
        """Return {keyword: files} for the library function; an input that `files` lacks is left out."""
        return {keyword: files[noun] for noun, keyword in self.reads.items() if noun in files}

    def outputs(self, folder: Path, **names: str) -> dict[str, Path]:
        """Return {name: path} of the outputs below `folder`, for one law where the paths hold {law}."""
        return {name: folder / path.format(**names) for name, path in self.writes.values()}


def _same(*nouns: str) -> dict[str, str]:
    return {noun: noun for noun in nouns}


TABLES = Step({}, {"runs": ("runs", "runs.parquet"), "curves": ("curves", "curves.parquet")})
FIT_LAW = Step(
    {"runs": "runs_path", "curves": "curves_path"},
    {
        "laws": ("law", "laws/{law}.json"),
        "allocations": ("allocations", "laws/{law}_allocations.parquet"),
        "predictions": ("predictions", "laws/{law}_predictions.parquet"),
        "refits": ("refits", "laws/{law}_refits.parquet"),
        "held_out": ("held_out", "laws/{law}_held_out.parquet"),
    },
)
FIT_ACCURACY = Step(
    {"runs": "runs_path"},
    {
        "accuracy": ("accuracy", "laws/accuracy.json"),
        "accuracy_refits": ("refits", "laws/accuracy_refits.parquet"),
    },
)
MEASURE_LIMITS = Step(
    {
        "runs": "runs_path",
        "laws": "law_paths",
        "refits": "refits_paths",
        "accuracy": "accuracy_path",
        "accuracy_refits": "accuracy_refits_path",
        "allocations": "allocation_paths",
        "human_level": "benchmark_paths",
    },
    {"limits": ("limits", "laws/limits.parquet")},
)
DRAW_EXPLORER = Step(
    _same("runs", "predictions", "allocations", "laws", "accuracy"), {"explorer": ("page", "explorer.html")}
)
WRITE_REPORT = Step(
    _same(
        "runs", "curves", "attacks", "laws", "accuracy", "limits", "quality", "figures", "explorer", "plan",
        "human_accuracy", "validity", "benchmark", "agreement", "quiz", "provenance", "published_folders",
    ),
    {"report": ("page", "report.html")},
)  # fmt: skip
STEPS = (TABLES, FIT_LAW, FIT_ACCURACY, MEASURE_LIMITS, DRAW_EXPLORER, WRITE_REPORT)


def as_paths(output: Mapping[str, Any]) -> dict[str, Any]:
    """Return {name_path: path} of a step's outputs by name: the keywords of the functions that fit and measure."""
    return {f"{name}_path": path for name, path in output.items()}


def files_below(folder: Path, laws: Iterable[str]) -> dict[str, Any]:
    """Return {noun: path} of all outputs below the folder of `robustlaws fit`; per law, a list in the order given."""
    files: dict[str, Any] = {}
    laws = tuple(laws)
    for step in STEPS:
        for noun, (_, path) in step.writes.items():
            each = "{law}" in path
            files[noun] = [folder / path.format(law=law) for law in laws] if each else folder / path
    return files
