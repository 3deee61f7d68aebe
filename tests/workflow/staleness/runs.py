"""Rows of the settings that say what is trained, how it is attacked and what is exported."""

from tests.workflow.staleness import LEFT_OUT, Change, Made, Row, Section, jobs, settings, under

ATTACKED = "wrn-10-1/edm-4/256/1"
SUM = "1" * 64

TRAINING = Section(
    "Models, recipes and training",
    (
        settings(
            {"models.wrn-10-1.depth": 16, "models.wrn-10-1.width": 2},
            jobs.ALL_RUNS,
            change="`depth` or `width` of a model",
            why="runs of other models stay",
        ),
        settings(
            under(
                "recipes.slow",
                {
                    "batch": 16,
                    "learning_rate": 0.2,
                    "weight_decay": 0.001,
                    "beta": 6,
                    "label_smoothing": 0.2,
                    "average_decay": 0.9,
                    "attack_steps": 3,
                    "replacement": True,
                },
            ),
            (jobs.runs("the runs with the recipe, their attacks", "wrn-10-1@slow/own/64/1"), jobs.ANALYSIS),
            study="wide",
            change="`recipes`: any key of a recipe",
        ),
        settings(
            under(
                "training",
                {
                    "batch": 16,
                    "beta": 6,
                    "label_smoothing": 0.2,
                    "attack_steps": 3,
                    "attack_step_size": 0.05,
                    "crop_padding": 1,
                    "mirror": True,
                    "learning_rate": 0.3,
                    "warmup_fraction": 0.1,
                    "momentum_low": 0.8,
                    "momentum_high": 0.9,
                    "weight_decay": 0.001,
                    "average_decay": 0.99,
                    "batchnorm_momentum": 0.2,
                    "validation_images": 16,
                    "precision": "bfloat16",
                    "accumulate": 2,
                    "attack_objective": "cross_entropy",
                    "reuse_clean_pass": False,
                    "shuffle": False,
                    "window_images": 1024,
                    "replacement": True,
                    "pool": "draws",
                },
            ),
            jobs.ALL_RUNS,
            change="`training`: any key but `curve`",
        ),
        Row(
            "`training.epoch_images`",
            (
                Change(
                    "training.epoch_images",
                    settings={"training.epoch_images": 32, "training.warmup_fraction": 0.5},
                ),
            ),
            jobs.ALL_RUNS,
        ),
        settings(
            under(
                "training.curve",
                {"fractions": [0.25, 1.0], "images": 40, "attack_steps": 4, "attack_step_size": 0.02, "batch": 25},
            ),
            jobs.ALL_RUNS,
            "the curve is measured while a run trains; what it would have been cannot be had afterwards",
            change="`training.curve`: any key",
        ),
    ),
)

ATTACKS = Section(
    "Attacks, checkpoints and exports",
    (
        settings({"attacks.level": 0.9}, (jobs.ATTACK_TABLE,)),
        settings(
            under(
                "attacks.pgd_cw",
                {"steps": 6, "step_size": 0.02, "batch": 64, "images": 50, "objective": "cross_entropy"},
            ),
            (jobs.PGD, jobs.ANALYSIS),
            change="`attacks.pgd_cw`: any key",
        ),
        settings({"attacks.autoattack.version": "plus"}, (jobs.AUTOATTACK, jobs.ANALYSIS)),
        settings({"attacks.autoattack.weights": "best"}, (jobs.AUTOATTACK, jobs.HUMANS, jobs.ANALYSIS)),
        settings(
            {"attacks.autoattack.attacks": ["square", "apgd-ce"]},
            (jobs.AUTOATTACK, jobs.EXPORTS, jobs.ANALYSIS),
            "their order counts: each meets what the one before left",
            "wide",
        ),
        settings(
            {"attacks.autoattack.chunk": 40},
            (jobs.chunks("all chunks", f"runs/{ATTACKED}", 0, 1, 2), jobs.ON_ATTACKED, jobs.ANALYSIS),
        ),
        settings(
            {"attacks.autoattack.images": 80},
            (
                jobs.chunks("the last chunk", f"runs/{ATTACKED}", 1),
                jobs.inner("test"),
                jobs.ON_ATTACKED,
                jobs.ANALYSIS,
            ),
            "chunks that were full stay",
        ),
        settings(
            {"attacks.autoattack.runs": [ATTACKED, "wrn-10-1/edm-2/128/1"]},
            (
                jobs.chunks("the attack on the new one", "runs/wrn-10-1/edm-2/128/1", 0, 1),
                jobs.figures("adversarial"),
                jobs.ANALYSIS,
            ),
        ),
        settings(
            {
                "checkpoints.other.file": "files/second.pkl",
                "checkpoints.other.depth": 16,
                "checkpoints.other.width": 2,
                "checkpoints.other.mean": [0.5],
                "checkpoints.other.std": [0.5],
                "checkpoints.other.unaveraged": True,
                "checkpoints.other.sha256": SUM,
            },
            jobs.checkpoint("other"),
            study="wide",
            change="`checkpoints`: any key of a checkpoint",
        ),
        settings(
            {"checkpoints.zoo.sha256": LEFT_OUT},
            (*jobs.checkpoint("zoo"), *jobs.on("local-2")),
            study="wide",
            change="the same of a checkpoint that labels the images of a pipeline",
        ),
        settings(
            under(
                "export",
                {
                    "name": "Another title",
                    "authors": "C",
                    "link": "https://arxiv.org/abs/2",
                    "venue": "ICML 2024",
                    "dataset": "cifar10",
                    "additional_data": True,
                    "footnote": LEFT_OUT,
                },
            ),
            (jobs.EXPORTS, jobs.SHOWN),
            study="wide",
            change="`export`: any key but `runs`",
        ),
        settings(
            {"export.runs": ["wrn-10-1/official-4/64/1", "wrn-10-1/own/64/1"]},
            (Made("the export of the new one", {"export_run": {"runs/wrn-10-1/own/64/1/robustbench.pt"}}), jobs.SHOWN),
            study="wide",
        ),
    ),
)
