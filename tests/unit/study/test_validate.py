"""A config that is no study gets one line that says what is wrong with it."""

import pytest

from robustlaws.study import Study
from tests.support.study_configs import CONFIG, EXPORT, SCHEMA, changed

AUTOATTACK = CONFIG["attacks"]["autoattack"]
UNKNOWN_SIZE = changed(
    "source",
    to={
        "name": "hub_parquet",
        "train_files": ["a"],
        "test_files": ["b"],
        "image_column": "img",
        "label_column": "label",
    },
)
del UNKNOWN_SIZE["attacks"]["autoattack"]["images"]

BROKEN = {
    "unknown key": (changed("trianing", to={}), "trianing", "unknown key"),
    "unknown inner key": (changed("training", "betta", to=5), "training.betta", "unknown key; known: accumulate"),
    "wrong type": (changed("training", "beta", to="five"), "training.beta", "'five' is not a number"),
    "fraction of an image": (changed("training", "batch", to=32.5), "training.batch", "32.5 is not a whole number"),
    "epsilon in grey levels": (changed("threat", "epsilon", to=8), "threat.epsilon", "8 is more than 1. Linf radius"),
    "no such generator": (
        changed("datasets", "edm-3", "generator", to="emd"),
        "datasets.edm-3.generator",
        "unknown 'emd'; known: dg, edm, pfgmpp",
    ),
    "no such kind": (
        changed("generators", "edm", "kind", to="gan"),
        "generators.edm.kind",
        "unknown 'gan'; known: dg, edm, files, pfgmpp, pipeline",
    ),
    "no such model": (changed("grid", 0, "models", to=["wrn-1"]), "grid[0].models", "unknown 'wrn-1'; known: wrn-10-1"),
    "no such dataset": (changed("grid", 1, "datasets", to=["edm"]), "grid[1].datasets", "unknown 'edm'; known: dg-18"),
    "size beyond the dataset": (
        changed("grid", 0, "sizes", to=[256, 8192]),
        "grid[0].sizes",
        "8192 is more than edm-3 has",
    ),
    "one step": (changed("datasets", "edm-3", "steps", to=1), "datasets.edm-3.steps", "1 is less than 2"),
    "impossible depth": (
        changed("models", "wrn-10-1", "depth", to=12),
        "models.wrn-10-1.depth",
        "12 is no depth of a WideResNet",
    ),
    "no such run": (
        changed("attacks", "autoattack", "runs", to=["wrn"]),
        "attacks.autoattack.runs[0]",
        "'wrn' is no run",
    ),
    "no such attack of AutoAttack": (
        changed("attacks", "autoattack", to=AUTOATTACK | {"version": "custom", "attacks": ["apgd-ce", "pgd"]}),
        "attacks.autoattack.attacks",
        "unknown 'pgd'; known: apgd-ce, apgd-dlr, apgd-t, fab, fab-t, square",
    ),
    "an empty list of attacks": (
        changed("attacks", "autoattack", to=AUTOATTACK | {"version": "custom", "attacks": []}),
        "attacks.autoattack.attacks",
        "needs at least 1 entries",
    ),
    "custom without a list of attacks": (
        changed("attacks", "autoattack", "version", to="custom"),
        "attacks.autoattack.attacks",
        "missing; version custom needs a list of apgd-ce",
    ),
    "a list of attacks without custom": (
        changed("attacks", "autoattack", to=AUTOATTACK | {"attacks": ["apgd-ce"]}),
        "attacks.autoattack.attacks",
        "version standard has its own",
    ),
    "too few classes for nine targets": (
        changed("image", "classes", to=9),
        "attacks.autoattack.version",
        "apgd-t needs 10 classes, image.classes is 9",
    ),
    "chunks of a test split of unknown size": (
        UNKNOWN_SIZE,
        "attacks.autoattack.images",
        "give it, or source.test_images",
    ),
    "a level in percent": (changed("attacks", "level", to=95), "attacks.level", "95 must be less than 1. Coverage"),
    "no such law": (changed("laws", "fit", to=["power"]), "laws.fit", "unknown 'power'; known: additive"),
    "no such figure": (changed("figures", to=["pie"]), "figures", "unknown 'pie'; known: accuracy"),
    "figure without its attack": (changed("attacks", "autoattack", "runs", to=[]), "figures[15]", "shows AutoAttack"),
    "missing part": ({k: v for k, v in CONFIG.items() if k != "image"}, "image", "missing"),
    "channels": (changed("image", "channels", to=3), "image.mean", "has not one value for each of 3 channels"),
    "a shard that is not full": (
        changed("datasets", "edm-3", "images", to=4000),
        "datasets.edm-3.images",
        "not a multiple of",
    ),
    "a name with a slash": (changed("study", to="a/b"), "study", "'a/b' has other characters than"),
    "a mixture named like a dataset": (
        changed("mixtures", "edm-3", to={"dataset": "edm-5", "real_fraction": 0.1}),
        "mixtures.edm-3",
        "already",
    ),
    "a checkpoint of impossible depth": (
        changed("checkpoints", to={"zoo": {"file": "zoo.pt", "depth": 80, "width": 8}}),
        "checkpoints.zoo.depth",
        "80 is no depth of a WideResNet",
    ),
    "a checkpoint without a file": (
        changed("checkpoints", to={"zoo": {"depth": 82, "width": 8}}),
        "checkpoints.zoo.file",
        "missing",
    ),
    "a checkpoint named like a model": (
        changed("checkpoints", to={"wrn-10-1": {"file": "zoo.pt", "depth": 10, "width": 1}}),
        "checkpoints.wrn-10-1",
        "already",
    ),
    "a checkpoint with a mean alone": (
        changed("checkpoints", to={"zoo": {"file": "zoo.pt", "depth": 10, "width": 1, "mean": [0.5]}}),
        "checkpoints.zoo.mean",
        "mean and std go together",
    ),
    "a checkpoint for colour": (
        changed(
            "checkpoints", to={"zoo": {"file": "z.pt", "depth": 10, "width": 1, "mean": [0.5] * 3, "std": [1] * 3}}
        ),
        "checkpoints.zoo.mean",
        "has not one value for each of 1 channels",
    ),
    "a checksum that is none": (
        changed("checkpoints", to={"zoo": {"file": "zoo.pt", "depth": 10, "width": 1, "sha256": "c0ffee"}}),
        "checkpoints.zoo.sha256",
        "is not 64 hexadecimal digits",
    ),
    "no such run to export": (
        changed("export", to={"runs": ["all", "wrn"], **EXPORT}),
        "export.runs[1]",
        "'wrn' is no run of the grid; for example wrn-10-1/edm-3/256/1",
    ),
    "an export of nobody's": (
        changed("export", to={"runs": ["all"], **EXPORT, "authors": 3}),
        "export.authors",
        "3 is not a text",
    ),
    "no deviation": (changed("image", "std", to=[0]), "image.std", "must be positive"),
    "nothing to warm up": (
        changed("training", "epoch_images", to=64),
        "grid[0].sizes",
        "256 is 4 epochs of training.epoch_images; the paper's schedule has no warm-up up to 40",
    ),
    "part of an epoch": (
        changed("training", "epoch_images", to=100),
        "grid[0].sizes",
        "256 images are not whole epochs of 100",
    ),
    "an epoch smaller than a batch": (
        changed("training", "epoch_images", to=4),
        "grid[0].sizes",
        "training.batch: 32 images are more than one",
    ),
    "a run smaller than a batch": (
        changed("training", "batch", to=512),
        "grid[0].sizes",
        "training.batch: 512 images are more than one run has",
    ),
    "points that need epochs": (
        changed("training", "curve", "fractions", to="paper"),
        "training.curve.fractions",
        "counts in accounting epochs",
    ),
    "a mixture without a real image": (
        changed("mixtures", "edm-18-real", "real_fraction", to=0.01),
        "grid[2].sizes",
        "has no real image",
    ),
    "best of nothing": (
        changed("attacks", "autoattack", "weights", to="best"),
        "attacks.autoattack.weights",
        "validation_images",
    ),
    "two processes on a GPU": (
        changed("compute", to={"gpus": 1, "processes": 2, "state_minutes": 1}),
        "compute.processes",
        "2 for 1 GPUs",
    ),
    "more processes than images": (
        changed("compute", to={"gpus": 0, "processes": 64, "state_minutes": 1}),
        "grid[0].sizes",
        "into 1 parts for 64",
    ),
    "compiled in two processes": (
        changed("compute", to={"gpus": 0, "processes": 2, "state_minutes": 1, "compile": True}),
        "compute.compile",
        "not with 2 processes",
    ),
    "a word for a number": (
        changed("training", "batch", to="papr"),
        "training.batch",
        "'papr' is not a whole number. Images a step; paper",
    ),
    "a key of another kind": (
        changed("generators", "dg", "network", to={}),
        "generators.dg.network",
        "unknown key; known: base, checkpoint",
    ),
    "neither trained nor loaded": (
        changed("generators", "edm", to={"kind": "edm"}),
        "generators.edm.network",
        "missing; a generator is trained here (it) or loaded (checkpoint)",
    ),
    "trained and loaded": (
        changed("generators", "edm", "checkpoint", to="edm.pkl"),
        "generators.edm.network",
        "not with a checkpoint",
    ),
    "no dimension": (
        changed(
            "generators", "pfgmpp", to={k: v for k, v in CONFIG["generators"]["pfgmpp"].items() if k != "dimension"}
        ),
        "generators.pfgmpp.dimension",
        "missing",
    ),
    "too many halvings": (
        changed("generators", "edm", "network", "channel_mult", to=[1] * 5),
        "generators.edm.network.channel_mult",
        "8 pixels cannot be halved 4 times",
    ),
    "guidance of what is no edm": (
        changed("generators", "dg", "base", to="pfgmpp"),
        "generators.dg.base",
        "'pfgmpp' is of kind pfgmpp; guidance needs edm",
    ),
    "fakes of another generator": (
        changed("generators", "dg", "fakes", "dataset", to="pfgmpp-18"),
        "generators.dg.fakes.dataset",
        "is of pfgmpp, not of edm",
    ),
    "more fakes than there are": (
        changed("generators", "dg", "fakes", "images", to=4096),
        "generators.dg.fakes.images",
        "4096 is more than datasets.edm-18.images: 2048",
    ),
    "a pipeline that nobody labels": (
        changed("generators", "ddpm", to={"kind": "pipeline", "source": "d", "revision": "1"}),
        "generators.ddpm.classifier",
        "give one of them",
    ),
    "no such classifier": (
        changed("generators", "ddpm", to={"kind": "pipeline", "source": "d", "revision": "1", "classifier": "zoo"}),
        "generators.ddpm.classifier",
        "unknown 'zoo'; known: features",
    ),
    "steps of files": (
        changed("generators", "pfgmpp", to={"kind": "files", "files": ["a.npz"], "format": "npz"}),
        "datasets.pfgmpp-18.steps",
        "files are sampled already; leave it out",
    ),
    "a checksum short": (
        changed("generators", "own", to={"kind": "files", "files": ["a", "b"], "format": "npz", "sha256": ["0" * 64]}),
        "generators.own.sha256",
        "1 for 2 files",
    ),
    "no steps": (
        changed("datasets", "edm-3", to={"generator": "edm", "images": 2048}),
        "datasets.edm-3.steps",
        "missing",
    ),
    "churn of a guided generator": (
        changed("datasets", "dg-18", "churn", to={"s_churn": 4, "s_noise": 1}),
        "datasets.dg-18.churn",
        "not for a generator of kind dg",
    ),
    "two kinds of features": (
        changed("quality", "inception", to={"weights": "inception.pth"}),
        "quality",
        "and not both",
    ),
    "more subsets than images": (
        changed("quality", "subsets", to=3),
        "quality.images",
        "1024 times quality.subsets: 3 is more than datasets.edm-3.images: 2048",
    ),
    "a mixture of one and several": (
        changed("mixtures", "three-real", "dataset", to="edm-3"),
        "mixtures.three-real",
        "and not both",
    ),
    "a mixture of the unknown": (
        changed("mixtures", "three-real", "datasets", to={"edm-3": 1, "edm-9": 1}),
        "mixtures.three-real.dataset",
        "unknown 'edm-9'",
    ),
    "no such recipe": (
        changed("grid", 0, "recipe", to="slow"),
        "grid[0].recipe",
        "unknown 'slow'; known: batch-64, lr-0.2",
    ),
    "a plan with two budgets": (
        changed("plan", to={"flops": 1.0, "accuracy": 0.5}),
        "plan",
        "flops and accuracy are given; choose one of them",
    ),
    "a plan by no law": (changed("plan", to={"law": "linear"}), "plan.law", "unknown 'linear'; known: additive, "),
    "a plan for no dataset": (changed("plan", to={"dataset": "x"}), "plan.dataset", "unknown 'x'; known: dg-18, "),
    "a plan for no quantity": (changed("plan", to={"quantity": "x"}), "plan.quantity", "N_star"),
    "a plan by a parameter of another law": (
        changed("plan", to={"law": "additive", "quantity": "Q"}),
        "plan.quantity",
        "unknown 'Q'; known: A, B, E, alpha",
    ),
    "a budget without end": (changed("plan", to={"flops": float("inf")}), "plan.flops", "inf is not a finite number"),
    "a base that is its own quality": (
        changed("laws", "two_stage", to={"base": "edm-3", "quality": ["edm-3"]}),
        "laws.two_stage.quality",
        "is the base",
    ),
    "two stages of no dataset": (
        changed("laws", "two_stage", to={"base": "x", "quality": ["edm-3"]}),
        "laws.two_stage.base",
        "unknown 'x'",
    ),
    "no such part": (changed("parts", to=["laws"]), "parts", "unknown 'laws'; known: none"),
    "attention at no level": (
        changed("generators", "edm", "network", "attn_resolutions", to=[3]),
        "generators.edm.network.attn_resolutions",
        "3 is no level of this network; it has 8, 4",
    ),
    "attention at no factor": (
        changed("generators", "dg", "extractor", "attention", to=[4]),
        "generators.dg.extractor.attention",
        "4 is no level of this network; it has 1, 2",
    ),
    "unequal parts of a batch": (
        changed("generators", "edm", "training", "accumulate", to=3),
        "generators.edm.training.accumulate",
        "a batch of 128 has not 3 equal parts",
    ),
    "batches larger than a shard": (
        changed("sampling", "batch", to=4096),
        "sampling.batch",
        "4096 is more than sampling.shard_images: 2048",
    ),
    "a name on the hub that may change": (
        changed("generators", "ddpm", to={"kind": "pipeline", "source": "a/b", "classifier": "features"}),
        "generators.ddpm.source",
        "a name on the hub needs revision",
    ),
    "a share of nothing": (
        changed("mixtures", "three-real", "datasets", to={"edm-18": 1, "edm-3": 1_000_000}),
        "grid[2].sizes",
        "2048 leaves no image of edm-18 in three-real",
    ),
    "no part left": (
        {
            **CONFIG,
            "grid": [CONFIG["grid"][0] | {"part": "laws"}],
            "parts": [],
            "attacks": {"pgd_cw": CONFIG["attacks"]["pgd_cw"]},
            "figures": [],
        },
        "parts",
        "no block",
    ),
    "a source without files": (changed("source", to={"name": "hub_parquet"}), "source.train_files", "missing"),
}


@pytest.mark.parametrize(("config", "key", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_config_gets_one_clear_line(config, key, says):
    with pytest.raises(ValueError, match="^my.yaml ") as caught:
        Study(config, SCHEMA, "my.yaml")
    line = str(caught.value)
    assert line.startswith(f"my.yaml {key}: ")
    assert says in line
    assert "\n" not in line
    assert len(line) < 400
