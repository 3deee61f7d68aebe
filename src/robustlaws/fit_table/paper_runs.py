"""The published study as data: its runs, measured from its figures (see `paper_runs.md`), as `tables.RUNS`."""

import json
from importlib.resources import files

import pandas as pd

from robustlaws.fit_table.runs import run_name
from robustlaws.laws import published
from robustlaws.storage import tables

TABLE = files("robustlaws.fit_table").joinpath("paper_runs.csv")
OTHERS = files("robustlaws.fit_table").joinpath("paper_runs_others.csv")
RECIPE = files("robustlaws.fit_table").joinpath("paper_runs_recipe.json")
ORIGIN = (
    '220 training runs of "Adversarial Robustness Limits via Scaling-Law and Human-Alignment Studies" (ICML 2024) at '
    "their best checkpoints. The authors' own table was not to be had, so these were measured from the published "
    "figures."
)
_TEST_IMAGES = 10_000  # CIFAR-10's test set, section 3.1 (evaluation)


def runs():
    """Return the 220 runs that the published laws were fitted to, or could have been."""
    table = _read(TABLE)
    table["model"] = "wrn-" + table["depth"].astype(str) + "-" + table["width"].astype(str)
    table["size"] = table["size_millions"] * 1_000_000
    for name in ("generator", "steps"):
        table[name] = [published.GENERATORS[dataset][name] for dataset in table["dataset"]]
    return _records(table.assign(real_fraction=0.0))


def others():
    """Return the seven runs of the paper that no law is fitted to; some without a loss."""
    return _records(_read(OTHERS))


def everything():
    """Return all 227 runs."""
    return tables.table(pd.concat([runs(), others()], ignore_index=True), tables.RUNS)


def _read(path):
    with path.open(encoding="utf-8") as file:
        return pd.read_csv(file)


def _records(table):
    table = table.rename(
        columns={
            "loss": "adv_loss",
            "accuracy": "adv_acc",
            "autoattack": "autoattack_acc",
            "clean_accuracy": "clean_acc",
        }
    )
    table["seed"] = 1
    for share, images in (("adv_loss", "test_images"), ("autoattack_acc", "autoattack_images")):
        if share in table:
            table[images] = [_TEST_IMAGES if known else None for known in table[share].notna()]
    table["recipe"] = table["recipe"].fillna("") if "recipe" in table else ""
    key = [table[name] for name in ("model", "recipe", "dataset", "size", "seed")]
    table["run"] = [run_name(*row) for row in zip(*key, strict=True)]
    table["recipe"] = [recipe or None for recipe in table["recipe"]]
    return tables.table(table[[name for name in tables.RUNS if name in table]], tables.RUNS, "the published runs")


def recipe():
    """Return {law: {parameter: value}} that the published recipe finds on these runs, from all of its starts."""
    return json.loads(RECIPE.read_text(encoding="utf-8"))["laws"]


def accuracy_line():
    """Return the printed line from loss to accuracy as a summary of `laws.accuracy.fit`; without intervals."""

    def printed(value):
        return {"value": value, "low": None, "high": None, "determined": True, "why": ""}

    return {
        **{name: printed(value) for name, value in published.ACCURACY_LINE.items()},
        "r2": published.ACCURACY_R2,
        "n_runs": int((runs()["dataset"] == published.ADDITIVE_BASE).sum()),
        "n_runs_left_out": {},
        "source": "as printed (appendix F.2.2), without an interval: the table holds no accuracies",
    }
