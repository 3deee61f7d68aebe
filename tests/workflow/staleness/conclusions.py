"""Rows of the settings that say what is concluded from runs and how it is shown, and of those that change no result."""

from tests.workflow.staleness import LEFT_OUT, Section, settings
from tests.workflow.staleness.jobs import (
    ACCURACY,
    EVERYTHING,
    EXPLORER,
    FIT_ALL,
    FROM_LAWS,
    LIMITS,
    PLAN,
    PUBLISHED,
    REPORT,
    figures,
    laws,
)

FITTED_TO_POINTS = laws("additive", "additive_two_stage", "bottleneck")

LAWS = Section(
    "Laws",
    (
        settings(
            {"laws.fit": ["envelope", "additive", "bottleneck"]},
            (FROM_LAWS,),
            "no other law is fitted again",
            change="`laws.fit`, a law less",
        ),
        settings(
            {"laws.observations": "best", "laws.huber_delta": 0.01, "laws.starts": "grid", "laws.recipe": "published"},
            (FITTED_TO_POINTS, FROM_LAWS),
            "the envelope knows none of these",
        ),
        settings(
            {f"laws.small_on_large.{key}": value for key, value in
             {"params_below": 200, "images_above": 2000, "fid_below": 4}.items()},
            (FITTED_TO_POINTS, FROM_LAWS),
            study="wide",
            change="`laws.small_on_large`: any key",
        ),
        settings(
            {"laws.min_train_fraction": 0.6, "laws.budgets": 11, "laws.extrapolate": 20},
            (FIT_ALL, FROM_LAWS),
        ),
        settings({"laws.refits": 21, "laws.level": 0.8}, (FIT_ALL, ACCURACY, FROM_LAWS)),
        settings({"laws.points": "runs"}, (laws("envelope"), FROM_LAWS)),
        settings(
            {"laws.two_stage.base": "local-2", "laws.two_stage.quality": ["hub-2"]},
            (laws("additive_two_stage"), FROM_LAWS),
            study="wide",
        ),
        settings({"laws.human_accuracy": 0.8, "laws.at_flops": [1e13]}, (LIMITS,)),
        settings({"laws.beside_published": True}, (PUBLISHED,), change="`laws.beside_published`, turned on"),
    ),
)  # fmt: skip

SHOWN = Section(
    "Plan, figures, report",
    (
        settings(
            {
                f"plan.{key}": value
                for key, value in {
                    "flops": 1e12,
                    "gpu_hours": 2,
                    "accuracy": 0.5,
                    "speed": 1e9,
                    "law": "bottleneck",
                    "dataset": "edm-2",
                    "fid": 3,
                    "overhead": 0.2,
                    "quantity": "asymptote",
                    "candidates": 3,
                }.items()
            },
            (PLAN,),
            change="`plan`: any key",
        ),
        settings(
            {"figures": ["samples", "residuals"]},
            (figures("residuals"),),
            change="`figures`, one more and others less",
        ),
        settings({"description": "Another sentence."}, (EXPLORER,), "the explorer has it under its title"),
    ),
)

NOTHING = Section(
    "The machine",
    (
        settings(
            {
                f"compute.{key}": value
                for key, value in {
                    "gpus": 4,
                    "node_command": ["srun"],
                    "processes": 2,
                    "state_minutes": 9,
                    "budget_minutes": 60,
                    "compile": True,
                }.items()
            },
            change="`compute`: any key",
        ),
    ),
)

ANEW = Section(
    "The study",
    (
        settings({"study": "another"}, (EVERYTHING,), "in a folder of its own; the old one stays as it is"),
        settings({"seed": 8}, (EVERYTHING,)),
    ),
)
