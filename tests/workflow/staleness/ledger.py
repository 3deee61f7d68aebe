"""Rows of the revisions: which outputs a change of code makes stale."""

from robustlaws.revisions import entries
from tests.workflow.staleness import Change, Made, Row, Section, bumps, jobs

DRAWN = {
    "tiny": (
        "samples", "learning_curves", "envelope", "predictions", "held_out", "allocation", "accuracy_from_loss",
        "accuracy", "overhead", "adversarial", "human_accuracy", "invalid_images", "training_attack",
    ),
    "wide": ("residuals", "additive_fit", "bottleneck_fit", "efficient", "hyperparameters", "replacement"),
}  # fmt: skip


def _figure(name, study):
    drawn = Made("this figure", jobs.figures(name).jobs)
    return bumps([f"figure.{name}"], (drawn,), study=study, change="`figure.` and its name")


REVISIONS = Section(
    "A new revision",
    (
        bumps(["data.digits"], (jobs.EVERYTHING,)),
        bumps(["data.hub_parquet"], jobs.FROM_COLUMNS, study="wide"),
        bumps(["data.folder"], jobs.FROM_REAL, study="folders"),
        bumps(["stage"], (jobs.STAGED, *jobs.OWN), study="wide"),
        bumps(["generator.edm"], (jobs.trained("edm"), *jobs.EDM)),
        bumps(["generator.pfgmpp"], (jobs.trained("pfgmpp"), *jobs.PFGMPP)),
        bumps(
            ["generator.import"],
            (
                jobs.imported("official"),
                jobs.imported("plus"),
                jobs.PAIR,
                *jobs.on("official-4", "plus-3", "guided-3", more=[jobs.MIXED]),
            ),
            study="wide",
        ),
        bumps(["guidance"], (jobs.GUIDANCE, *jobs.GUIDED)),
        bumps(["sampler.edm"], jobs.EDM),
        bumps(["sampler.pfgmpp"], jobs.PFGMPP),
        bumps(["sampler.dg"], jobs.GUIDED),
        bumps(["sampler.pipeline"], jobs.on("local-2", "hub-2"), study="wide"),
        bumps(["sampler.files"], jobs.OWN, study="wide"),
        bumps(["features"], (jobs.FEATURES, jobs.MOMENTS, jobs.REAL_MOMENTS, jobs.FIDS, jobs.FROM_RUNS)),
        bumps(["moments"], (jobs.MOMENTS, jobs.REAL_MOMENTS, jobs.FIDS, jobs.FROM_RUNS)),
        bumps(["quality"], (jobs.FIDS, jobs.FROM_RUNS)),
        bumps(["train"], jobs.ALL_RUNS),
        bumps(["attack.pgd_cw"], (jobs.PGD, jobs.ANALYSIS)),
        bumps(["attack.autoattack"], (jobs.AUTOATTACK, jobs.ANALYSIS)),
        bumps(["gather"], (jobs.GATHERED, jobs.ANALYSIS)),
        bumps(["import"], (*jobs.checkpoint("zoo"), *jobs.checkpoint("other"), *jobs.on("local-2")), study="wide"),
        bumps(["export"], (jobs.EXPORTS,), study="wide"),
        bumps(["attack.inner"], (jobs.INNER, jobs.human_study("the human study on training images", "train"))),
        bumps(["stimuli"], (jobs.human_study("the human study", "test", "train"), jobs.LIMITS)),
        bumps(["presentation"], (jobs.PRESENTATION, jobs.REPORT)),
        bumps(["simulation"], (jobs.SIMULATED, jobs.judged("", "test", "train"), jobs.LIMITS)),
        bumps(["model"], (jobs.asked("asked"),), study="wide"),
        bumps(
            ["answers"], (jobs.judged("the tables of answers and what is made of them", "test", "train"), jobs.LIMITS)
        ),
        bumps(["judging"], (jobs.verdicts("the verdicts and what is made of them", "test", "train"), jobs.LIMITS)),
        bumps(["quiz"], (jobs.QUIZ,)),
        bumps(["collect"], (jobs.FROM_RUNS,)),
        bumps(["collect.attacks"], (jobs.ATTACK_TABLE,)),
        *(
            bumps(
                [f"law.{name}"], (Made("this law", jobs.laws(name).jobs), jobs.FROM_LAWS), change="`law.` and its name"
            )
            for name in ("envelope", "additive", "additive_two_stage", "bottleneck")
        ),
        bumps(["law.accuracy"], (jobs.ACCURACY, jobs.FROM_ACCURACY)),
        bumps(["limits"], (jobs.LIMITS,)),
        bumps(["plan"], (jobs.PLAN,)),
        bumps(["explorer"], (jobs.EXPLORER,)),
        *(_figure(name, study) for study, names in DRAWN.items() for name in names),
        bumps(["provenance"], (jobs.SHOWN,)),
        bumps(["report"], (jobs.REPORT,)),
        bumps(["published"], (jobs.PUBLISHED,), study="wide"),
        bumps(
            ["data.cifar10", "data.npz", "sampler.files", "figure.residuals", "published"],
            change="anything that the study does not use, such as `data.npz`",
        ),
        Row(
            "code is another and somebody accepted it: `accept`, for any entry",
            (Change("accepted", accepted=tuple(entries())),),
        ),
    ),
)
