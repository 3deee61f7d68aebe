"""A config becomes tables, or one line that says what is wrong with it."""

import copy
import re
import subprocess
import sys

import pytest
import yaml
from jsonschema import Draft202012Validator

from robustlaws.laws import LAWS
from robustlaws.settings import as_params
from robustlaws.study import Study
from robustlaws.study.validate import read_schema
from tests.support.checkouts import without_humans
from tests.support.study_configs import CONFIG, EXPORT, ROOT, SCHEMA, changed


def test_the_papers_recipe_follows_from_the_size():
    config = changed("grid", to=[{"models": ["wrn-10-1"], "datasets": ["edm-3"], "sizes": [5_000_000, 30_000_000]}])
    config["datasets"]["edm-3"]["images"] = 100_352_000
    without_humans(config)
    config["attacks"]["autoattack"]["runs"] = []
    config["figures"] = []
    del config["laws"]["two_stage"]
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
    without_humans(config)
    del config["laws"]["two_stage"]
    config["source"]["test_images"] = 10_000
    study = Study(config, SCHEMA)
    (small, large) = map(study.training, study.runs.values())
    assert (small.draws, large.draws) == (5_017_600, 10_035_200)
    assert small.average_warmup == 122.5
    assert small.attack_step_size == small.curve.attack_step_size == 2 / 255
    assert len(study.chunks("autoattack")) == 10


def test_default_grid_has_the_documented_runs():
    study = Study(CONFIG, SCHEMA)
    assert len(study.runs) == 3 * (4 * 3 + 2 * 2) + 2 + 4 * 2  # and four other recipes at two sizes
    mixed = study.training(study.run("wrn-10-1/edm-18-real/2048/1"))
    assert (mixed.synthetic_per_batch, mixed.batch, mixed.synthetic_images) == (28, 32, 1792)


def test_a_run_needs_the_shards_of_its_size_and_no_more():
    study = Study(CONFIG, SCHEMA)
    assert study.shards("edm-3", 2048) == ["00000"]
    assert study.shards("edm-3", 2049) == ["00000", "00001"]


def test_shards_cover_a_dataset_without_overlap():
    study = Study(changed("datasets", "edm-3", "images", to=4096), SCHEMA)
    settings = [study.sampling("edm-3", shard) for shard in study.shards("edm-3", 4096)]
    covered = [index for s in settings for index in range(s.first, s.first + s.count)]
    assert covered == list(range(4096))


def test_seeds_differ_by_run_not_by_dataset():
    study = Study(CONFIG, SCHEMA)
    own = [run for run in study.runs.values() if run.recipe is None]
    assert len({study.training(run).seed for run in own}) == len(own) == 50
    # another recipe meets the same luck as the study's own
    assert all(study.training(run).seed in {study.training(item).seed for item in own} for run in study.runs.values())
    # the same latents at every step count: datasets differ in quality, not in luck
    seeds = {name: study.sampling(name, "00000").seed for name in study.datasets}
    assert len({seed for name, seed in seeds.items() if name != "pfgmpp-18"}) == 1
    assert seeds["pfgmpp-18"] != seeds["edm-18"]


def test_what_is_attacked_and_in_which_chunks():
    config = changed("checkpoints", to={"zoo": {"file": "zoo.pt", "depth": 16, "width": 2}})
    config["attacks"]["autoattack"].update(images=300, chunk=128, runs=["wrn-10-1/edm-3/256/1"])
    without_humans(config)
    study = Study(config, SCHEMA)
    assert study.victims("autoattack") == ["runs/wrn-10-1/edm-3/256/1", "checkpoints/zoo"]
    assert study.victims("pgd_cw", ["checkpoints"]) == ["checkpoints/zoo"]
    assert len(study.victims("pgd_cw")) == 58 + 1
    assert study.chunks("autoattack") == ["00000", "00001", "00002"]
    settings = study.attack("autoattack", "checkpoints/zoo")
    assert (settings.run, settings.architecture.depth, settings.chunks, settings.weights) == ("zoo", 16, 3, "last")
    assert "weights" not in as_params(settings)
    assert study.collecting_attacks().level == 0.95
    assert study.collecting_attacks().records[-2:] == (
        {"victim": "zoo", "kind": "checkpoint", "weights": "imported", "attack": "pgd_cw"},
        {"victim": "zoo", "kind": "checkpoint", "weights": "imported", "attack": "autoattack"},
    )


def test_chunks_cover_the_test_split_by_default():
    config = changed("attacks", "autoattack", "chunk", to=64)
    del config["attacks"]["autoattack"]["images"]
    study = Study(config, SCHEMA)
    assert len(study.chunks("autoattack")) == 5  # 300 test images
    assert study.attack("autoattack", "runs/wrn-10-1/edm-3/256/1").images == 300


def test_checkpoint_has_its_own_normalisation():
    own = {"file": "zoo.pt", "depth": 82, "width": 8}
    blocks = {"plain": own, "none": own | {"mean": [], "std": []}, "half": own | {"mean": [0.5], "std": [0.5]}}
    study = Study(changed("checkpoints", to=blocks), SCHEMA)
    assert study.checkpoints == ["plain", "none", "half"]
    settings = {name: study.checkpoint(name).architecture for name in study.checkpoints}
    assert [(t.depth, t.width, t.classes, t.channels, t.image_size) for t in settings.values()] == [
        (82, 8, 10, 1, 8)
    ] * 3
    assert [t.mean for t in settings.values()] == [(0.305,), (), (0.5,)]
    assert [t.std for t in settings.values()] == [(0.376,), (), (0.5,)]
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
    settings = study.training(study.run("wrn-10-1/three-real/2048/1"))
    assert settings.shares == (1, 1, 1)
    assert sum(draws for _, draws in settings.parts) == settings.synthetic_images == 1792
    assert {draws for _, draws in settings.parts} <= {597, 598}


def test_the_order_of_a_mixture_and_of_the_laws_means_nothing():
    shares = {"edm-18": 1, "pfgmpp-18": 2, "dg-18": 3}
    studies = []
    for turn in (list, reversed):
        config = changed("mixtures", "three-real", "datasets", to={name: shares[name] for name in turn(list(shares))})
        config["laws"]["fit"] = list(turn(CONFIG["laws"]["fit"]))
        studies.append(Study(config, SCHEMA))
    run = "wrn-10-1/three-real/2048/1"
    item, other = ((*study.ingredients("three-real")[0], study.training(study.run(run))) for study in studies)
    assert item == other
    assert item[:3] == ("dg-18", "edm-18", "pfgmpp-18")
    assert item[3].shares == (3, 1, 2)
    assert {tuple(study.config["laws"]["fit"]) for study in studies} == {tuple(LAWS)}


def test_recipe_changes_only_its_own_settings():
    config = copy.deepcopy(CONFIG)
    config["recipes"]["slow"] = {"learning_rate": 0.1}
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
    assert len(Study(config, SCHEMA).runs) == 58
    assert len(Study(config | {"parts": ["more"]}, SCHEMA).runs) == 58
    assert len(Study(config | {"parts": []}, SCHEMA).runs) == 58 - 12


@pytest.mark.parametrize("name", ["cifar10", "paper"])
def test_the_larger_studies_are_studies(name):
    study = Study(yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()), SCHEMA, name)
    if name == "paper":
        laws = [run for run in study.runs.values() if "best" not in run.dataset]
        assert (len(laws), len(study.runs)) == (4 * 5 * 8 + 3 * 3 * 8, 232 + 6)
        unique, draws = zip(*study.training(study.run("wrn-94-16/best-500m/500000000/1")).parts, strict=True)
        assert unique == (100_000_000, 100_000_000, 100_000_000)
        assert [round(count / 437.5e6, 3) for count in draws] == [0.3, 0.3, 0.4]


def test_a_pipeline_may_have_arguments_of_its_own_in_any_order():
    own = {
        "kind": "pipeline",
        "source": "a/b",
        "revision": "c0ffee",
        "scheduler": "DDIMScheduler",
        "classifier": "features",
    }
    settings = []
    for arguments in ({"a": 1, "b": {"d": 2, "c": [1]}}, {"b": {"c": [1], "d": 2}, "a": 1}):
        more = {"scheduler_arguments": arguments, "arguments": {"eta": 0.5}}
        config = changed("generators", "ddpm", to=own | more)
        config["datasets"]["ddpm-1"] = {"generator": "ddpm", "steps": 1, "images": 2048}
        settings.append(Study(config, SCHEMA).sampling("ddpm-1", "00000"))
    assert str(as_params(settings[0])) == str(as_params(settings[1]))
    assert settings[0].pipeline.scheduler_arguments == {"a": 1, "b": {"c": [1], "d": 2}}


def test_file_generators_ignore_sampler_settings():
    own = {"kind": "files", "format": "npz", "files": ["a.npz"]}
    settings = []
    for sampling in ({}, {"labels": "random", "sigma_max": 40.0, "batch": 128, "seeds": "index"}):
        config = changed("generators", "own", to=own)
        config["datasets"]["own"] = {"generator": "own", "images": 2048}
        config["sampling"] |= sampling
        settings.append(Study(config, SCHEMA).sampling("own", "00000"))
    assert settings[0] == settings[1]


def test_the_schema_is_one():
    Draft202012Validator.check_schema(read_schema(SCHEMA))


def test_planning_imports_no_torch():
    code = "import sys, robustlaws.study, robustlaws.revisions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_path_of_results_stands_in_the_library():
    code = [*ROOT.glob("src/**/*.py"), *ROOT.glob("workflow/scripts/*.py")]
    assert [path for path in code if "results/" in path.read_text()] == []


FILES = {"name": "npz", "test_images": 100, "train_files": ["b.npz", "a.npz"], "test_files": ["c.npz"]}


def test_the_order_of_files_and_what_is_in_folders_is_told(tmp_path):
    def settings(**files):
        config = changed("source", to=FILES | files)
        config["generators"]["own"] = {"kind": "files", "format": "folder", "files": [str(tmp_path)]}
        study = Study(config, SCHEMA)
        return as_params(study.importing()), as_params(study.staging("own"))

    item, staged = settings()
    assert (
        item != settings(train_files=["a.npz", "b.npz"])[0] != settings(train_files=["c.npz"], test_files=["a.npz"])[0]
    )
    assert "files" not in staged  # one has no order
    (tmp_path / "0.png").write_bytes(b"another image")
    assert settings()[0] == item
    assert settings()[1]["contents"] != staged["contents"]
    assert not {"train_files", "test_files", "contents"} & set(as_params(Study(CONFIG, SCHEMA).importing()))
