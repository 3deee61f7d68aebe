"""Rows of the settings that say what is concluded from runs and how it is shown, and of those that change no result."""

from tests.workflow.staleness import Change, Row, Section, jobs, settings, under

ORCID = "https://orcid.org/0000-0001-9842-9718"
FITTED_TO_POINTS = jobs.laws("additive", "additive_two_stage", "bottleneck")

LAWS = Section(
    "Laws",
    (
        settings(
            {"laws.fit": ["envelope", "additive", "bottleneck"]},
            (jobs.FROM_LAWS,),
            "no other law is fitted again",
            change="`laws.fit`, a law less",
        ),
        settings(
            {"laws.observations": "best", "laws.huber_delta": 0.01, "laws.starts": "grid", "laws.recipe": "published"},
            (FITTED_TO_POINTS, jobs.FROM_LAWS),
            "the envelope knows none of these",
        ),
        settings(
            under("laws.small_on_large", {"params_below": 200, "images_above": 2000, "fid_below": 4}),
            (FITTED_TO_POINTS, jobs.FROM_LAWS),
            study="wide",
            change="`laws.small_on_large`: any key",
        ),
        settings(
            {"laws.min_train_fraction": 0.6, "laws.budgets": 11, "laws.extrapolate": 20},
            (jobs.FIT_ALL, jobs.FROM_LAWS),
        ),
        settings({"laws.refits": 21, "laws.level": 0.8}, (jobs.FIT_ALL, jobs.ACCURACY, jobs.FROM_LAWS)),
        settings({"laws.points": "runs"}, (jobs.laws("envelope"), jobs.FROM_LAWS)),
        settings(
            {"laws.two_stage.base": "local-2", "laws.two_stage.quality": ["hub-2"]},
            (jobs.laws("additive_two_stage"), jobs.FROM_LAWS),
            study="wide",
        ),
        settings({"laws.human_accuracy": 0.8, "laws.at_flops": [1e13]}, (jobs.LIMITS,)),
        settings({"laws.beside_published": True}, (jobs.PUBLISHED,), change="`laws.beside_published`, turned on"),
    ),
)

SHOWN = Section(
    "Plan, figures, report",
    (
        settings(
            under(
                "plan",
                {
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
                },
            ),
            (jobs.PLAN,),
            change="`plan`: any key",
        ),
        settings(
            {"figures": ["samples", "residuals"]},
            (jobs.figures("residuals"),),
            change="`figures`, one more and others less",
        ),
        settings(
            {"crate.license": "https://spdx.org/licenses/CC-BY-4.0", "crate.authors": [{"name": "A. Person"}]},
            (jobs.SHOWN,),
        ),
        Row(
            "`name` or `orcid` of an author",
            (
                Change("name of an author", settings={"crate.authors": [{"name": "Another", "orcid": ORCID}]}),
                Change("ORCID of an author", settings={"crate.authors": [{"name": "A. Person"}]}),
            ),
            (jobs.SHOWN,),
            study="wide",
        ),
        settings({"description": "Another sentence."}, (jobs.EXPLORER,), "the explorer has it under its title"),
    ),
)

MACHINE = Section(
    "The machine",
    (
        settings(
            under(
                "compute",
                {
                    "gpus": 4,
                    "node_command": ["srun"],
                    "processes": 2,
                    "state_minutes": 9,
                    "budget_minutes": 60,
                    "compile": True,
                },
            ),
            change="`compute`: any key",
        ),
        Row(
            "`compute.nodes`",
            (Change("compute.nodes", settings={"compute.nodes": 2, "compute.node_command": ["srun"]}),),
        ),
    ),
)

ANEW = Section(
    "The study",
    (
        settings({"study": "another"}, (jobs.EVERYTHING,), "in a folder of its own; the old one stays as it is"),
        settings({"seed": 8}, (jobs.EVERYTHING,)),
    ),
)
