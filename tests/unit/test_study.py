"""A config becomes tables, or one line that says what is wrong with it."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from robustlaws.settings import as_params
from robustlaws.study import Study

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow/schemas/config.yaml"
CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def changed(*path, to):
    config = copy.deepcopy(CONFIG)
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return config


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

EXPORT = {"name": "A", "authors": "B", "link": "", "venue": "", "dataset": "digits", "additional_data": False}
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
    "figure without its attack": (changed("attacks", "autoattack", "runs", to=[]), "figures[5]", "shows AutoAttack"),
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
    "nodes without a command": (
        changed("compute", to={"gpus": 1, "nodes": 2, "state_minutes": 1}),
        "compute.node_command",
        "missing",
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
        changed("generators", "ddpm", to={"kind": "pipeline", "source": "ddpm"}),
        "generators.ddpm.classifier",
        "give one of them",
    ),
    "no such classifier": (
        changed("generators", "ddpm", to={"kind": "pipeline", "source": "ddpm", "classifier": "zoo"}),
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
    "no such recipe": (changed("grid", 0, "recipe", to="slow"), "grid[0].recipe", "unknown 'slow'; known: none"),
    "no such part": (changed("parts", to=["laws"]), "parts", "unknown 'laws'; known: none"),
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


def test_the_papers_recipe_follows_from_the_size():
    config = changed("grid", to=[{"models": ["wrn-10-1"], "datasets": ["edm-3"], "sizes": [5_000_000, 30_000_000]}])
    config["datasets"]["edm-3"]["images"] = 100_352_000
    config["attacks"]["autoattack"]["runs"] = []
    config["figures"] = []
    config["training"].update(batch="paper", learning_rate="paper", epoch_images=50_000)
    config["training"]["curve"]["fractions"] = "paper"
    small, large = map(Study(config, SCHEMA).training, Study(config, SCHEMA).runs.values())
    assert (small.batch, small.learning_rate, small.draws, small.synthetic_images) == (1024, 0.3, 5_017_600, 5_000_000)
    assert (large.batch, large.learning_rate, large.steps) == (2048, 0.2, 600 * 25)
    assert len(small.curve.fractions) == 47
    assert len(large.curve.fractions) == 48
    config["grid"][0]["sizes"] = [250_000_000]
    with pytest.raises(ValueError, match=r"^my.yaml grid\[0\].sizes: 250,000,000 images: the paper has no run between"):
        Study(config, SCHEMA, "my.yaml")


def test_the_recipe_in_the_documentation_is_a_study():
    (block,) = re.findall(r"```yaml\n(training:.*?)```", (ROOT / "docs/training.md").read_text(), flags=re.S)
    config = copy.deepcopy(CONFIG) | yaml.safe_load(block)
    config["grid"] = [{"models": ["wrn-10-1"], "datasets": ["edm-3"], "sizes": [5_000_000, 10_000_000]}]
    config["datasets"]["edm-3"]["images"] = 10_000_384
    config["source"]["test_images"] = 10_000
    study = Study(config, SCHEMA)
    (small, large) = map(study.training, study.runs.values())
    assert (small.draws, large.draws) == (5_017_600, 10_035_200)
    assert small.average_warmup == 122.5
    assert small.attack_step_size == small.curve.attack_step_size == 2 / 255
    assert len(study.chunks("autoattack")) == 10


def test_the_default_grid_is_three_models_on_five_datasets_and_two_mixtures():
    study = Study(CONFIG, SCHEMA)
    assert len(study.runs) == 3 * (4 * 3 + 2 * 2) + 2
    mixed = study.training(study.run("wrn-10-1/edm-18-real/2048/1"))
    assert (mixed.synthetic_per_batch, mixed.batch, mixed.synthetic_images) == (28, 32, 1792)


def test_a_run_needs_the_shards_of_its_size_and_no_more():
    study = Study(CONFIG, SCHEMA)
    assert study.shards("edm-3", 2048) == ["00000"]
    assert study.shards("edm-3", 2049) == ["00000", "00001"]


def test_shards_cover_a_dataset_without_overlap():
    study = Study(changed("datasets", "edm-3", "images", to=4096), SCHEMA)
    told = [study.sampling("edm-3", shard) for shard in study.shards("edm-3", 4096)]
    covered = [index for s in told for index in range(s.first, s.first + s.count)]
    assert covered == list(range(4096))


def test_seeds_differ_between_runs_and_not_between_datasets_of_a_generator():
    study = Study(CONFIG, SCHEMA)
    assert len({study.training(run).seed for run in study.runs.values()}) == len(study.runs)
    # the same latents at every step count: datasets differ in quality, not in luck
    seeds = {name: study.sampling(name, "00000").seed for name in study.datasets}
    assert len({seed for name, seed in seeds.items() if name != "pfgmpp-18"}) == 1
    assert seeds["pfgmpp-18"] != seeds["edm-18"]


def test_what_is_attacked_and_in_which_chunks():
    config = changed("checkpoints", to={"zoo": {"file": "zoo.pt", "depth": 16, "width": 2}})
    config["attacks"]["autoattack"].update(images=300, chunk=128, runs=["wrn-10-1/edm-3/256/1"])
    study = Study(config, SCHEMA)
    assert study.victims("autoattack") == ["runs/wrn-10-1/edm-3/256/1", "checkpoints/zoo"]
    assert study.victims("pgd_cw", ["checkpoints"]) == ["checkpoints/zoo"]
    assert len(study.victims("pgd_cw")) == 50 + 1
    assert study.chunks("autoattack") == ["00000", "00001", "00002"]
    told = study.attack("autoattack", "checkpoints/zoo")
    assert (told.run, told.architecture.depth, told.chunks, told.weights) == ("zoo", 16, 3, "last")
    assert "weights" not in as_params(told)
    assert study.collecting_attacks().level == 0.95
    assert study.collecting_attacks().records[-2:] == (
        {"victim": "zoo", "kind": "checkpoint", "weights": "imported", "attack": "pgd_cw"},
        {"victim": "zoo", "kind": "checkpoint", "weights": "imported", "attack": "autoattack"},
    )


def test_chunks_cover_the_test_split_where_no_number_of_images_is_given():
    config = changed("attacks", "autoattack", "chunk", to=64)
    del config["attacks"]["autoattack"]["images"]
    study = Study(config, SCHEMA)
    assert len(study.chunks("autoattack")) == 5  # 300 test images
    assert study.attack("autoattack", "runs/wrn-10-1/edm-3/256/1").images == 300


def test_a_checkpoint_has_the_studys_images_and_its_own_normalisation():
    own = {"file": "zoo.pt", "depth": 82, "width": 8}
    blocks = {"plain": own, "none": own | {"mean": [], "std": []}, "half": own | {"mean": [0.5], "std": [0.5]}}
    study = Study(changed("checkpoints", to=blocks), SCHEMA)
    assert study.checkpoints == ["plain", "none", "half"]
    told = {name: study.checkpoint(name).architecture for name in study.checkpoints}
    assert [(t.depth, t.width, t.classes, t.channels, t.image_size) for t in told.values()] == [(82, 8, 10, 1, 8)] * 3
    assert [t.mean for t in told.values()] == [(0.305,), (), (0.5,)]
    assert [t.std for t in told.values()] == [(0.376,), (), (0.5,)]
    plain = Study(CONFIG | {"image": CONFIG["image"] | {"mean": [], "std": []}}, SCHEMA)
    trained = plain.training(next(iter(plain.runs.values()))).architecture
    assert (trained.mean, trained.std) == ((), ())
    with pytest.raises(ValueError, match="^my.yaml checkpoints: unknown 'zoo'; known: none"):
        Study(CONFIG, SCHEMA, "my.yaml").checkpoint("zoo")


def test_an_export_knows_which_runs_autoattack_saw():
    attacked, other = "wrn-10-1/edm-3/2048/1", "wrn-10-1/edm-3/256/1"
    study = Study(changed("export", to={"runs": [other, attacked], **EXPORT}), SCHEMA, "my.yaml")
    assert study.exported_runs == [other, attacked]
    assert [study.export(study.run(name)).autoattack for name in (other, attacked)] == [None, "standard"]
    files = {"train_files": ["a"], "test_files": ["b"], "image_column": "img", "label_column": "label"}
    hub = changed("source", to={"name": "hub_parquet", "test_images": 32, **files}) | {
        "export": {"runs": [other], **EXPORT}
    }
    kept = Study(hub, SCHEMA).export(study.run(other)).test_kept
    assert (kept, study.export(study.run(other)).test_kept) == (32, None)
    assert len(Study(changed("export", to={"runs": ["all"], **EXPORT}), SCHEMA).exported_runs) == len(study.runs)
    with pytest.raises(ValueError, match="^my.yaml export: missing"):
        Study(CONFIG, SCHEMA, "my.yaml").export(study.run(other))


def test_a_mixture_draws_from_each_dataset_by_its_share():
    study = Study(CONFIG, SCHEMA)
    told = study.training(study.run("wrn-10-1/three-real/2048/1"))
    assert told.shares == (1, 1, 1)
    assert sum(draws for _, draws in told.parts) == told.synthetic_images == 1792
    assert {draws for _, draws in told.parts} <= {597, 598}


def test_a_recipe_is_a_folder_of_its_own_and_changes_only_what_it_says():
    config = changed("recipes", to={"slow": {"learning_rate": 0.1}})
    config["grid"].append({"models": ["wrn-10-1"], "datasets": ["edm-3"], "sizes": [256], "recipe": "slow"})
    study = Study(config, SCHEMA)
    own, other = (study.training(study.run(f"{name}/edm-3/256/1")) for name in ("wrn-10-1", "wrn-10-1@slow"))
    assert (own.learning_rate, other.learning_rate) == (0.4, 0.1)
    assert (own.seed, own.batch) == (other.seed, other.batch)
    rows = {row["run"]: row for row in study.collecting().runs}
    assert rows["wrn-10-1@slow/edm-3/256/1"]["recipe"] == "slow"
    assert rows["wrn-10-1/edm-3/256/1"]["recipe"] is None


def test_parts_choose_blocks_of_the_grid():
    config = changed("grid", 1, "part", to="more")
    assert len(Study(config, SCHEMA).runs) == 50
    assert len(Study(config | {"parts": ["more"]}, SCHEMA).runs) == 50
    assert len(Study(config | {"parts": []}, SCHEMA).runs) == 50 - 12


@pytest.mark.parametrize("name", ["cifar10", "paper"])
def test_the_larger_studies_are_studies(name):
    study = Study(yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()), SCHEMA, name)
    if name == "paper":
        laws = [run for run in study.runs.values() if "best" not in run.dataset]
        assert (len(laws), len(study.runs)) == (4 * 5 * 8 + 3 * 3 * 8, 232 + 6)
        unique, draws = zip(*study.training(study.run("wrn-94-16/best-500m/500000000/1")).parts, strict=True)
        assert unique == (100_000_000, 100_000_000, 100_000_000)
        assert [round(count / 437.5e6, 3) for count in draws] == [0.3, 0.3, 0.4]


def test_planning_imports_no_torch():
    code = "import sys, robustlaws.study, robustlaws.revisions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
