"""Stale means stale: what a change makes Snakemake run, and what it does not."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.workflow.conftest import Checkout

CONCLUSIONS = {"measure_limits", "draw_figure", "draw_explorer", "plan", "write_report"}
ONWARDS = {"collect_runs", "collect_attacks", "fit_law", "fit_accuracy"} | CONCLUSIONS
AUTOATTACK = {"attack_chunk", "gather_chunks"}
ATTACKED = "runs/wrn-10-1/edm-4/256/1"
RUNS = {
    f"runs/wrn-10-1/{rest}/1"
    for rest in ("edm-2/128", "edm-2/256", "edm-4/128", "edm-4/256", "edm-4-real/256", "three/256")
}


DISCRIMINATOR = {
    "model_channels": 32, "channel_mult": [1], "depth": 1, "attention": [], "batch": 32, "updates": 6,
    "learning_rate": 0.001, "weight_decay": 0.0,
}  # fmt: skip


def outputs(folders, name):
    return {f"{folder}/{name}" for folder in folders}


def test_a_finished_study_has_nothing_to_do(checkout):
    assert checkout.planned() == {}


def test_a_new_dataset_makes_its_own_jobs_and_what_comes_after(checkout):
    def add(config):
        config["datasets"]["edm-6"] = {"generator": "edm", "steps": 6, "images": 256}
        config["grid"][0]["datasets"].append("edm-6")

    checkout.configure(add)
    jobs = checkout.planned()
    new = {"runs/wrn-10-1/edm-6/128/1", "runs/wrn-10-1/edm-6/256/1"}
    assert set(jobs) == {"sample_shard", "measure_shard", "measure_quality", "train_run", "attack_run"} | ONWARDS
    assert jobs["sample_shard"] == {"datasets/edm-6/shard-00000.h5", "datasets/edm-6/shard-00001.h5"}
    assert jobs["measure_quality"] == {"quality/edm-6.json"}
    assert jobs["train_run"] == outputs(new, "weights.safetensors")
    assert jobs["attack_run"] == outputs(new, "pgd_cw.h5")


def test_a_new_model_makes_its_runs_and_what_comes_after(checkout):
    def add(config):
        config["models"]["wrn-16-1"] = {"depth": 16, "width": 1}
        config["grid"][0]["models"].append("wrn-16-1")

    checkout.configure(add)
    jobs = checkout.planned()
    new = {f"runs/wrn-16-1/{dataset}/{size}/1" for dataset in ("edm-2", "edm-4") for size in (128, 256)}
    assert jobs["train_run"] == outputs(new, "weights.safetensors")
    assert jobs["attack_run"] == outputs(new, "pgd_cw.h5")
    # the figure of the samples shows no model
    assert set(jobs) == {"train_run", "attack_run"} | ONWARDS
    assert "figures/samples.png" not in jobs["draw_figure"]


def test_a_new_size_makes_its_runs_and_no_sampling(checkout):
    checkout.configure(lambda config: config["grid"][0]["sizes"].append(64))
    jobs = checkout.planned()
    new = {f"runs/wrn-10-1/{dataset}/64/1" for dataset in ("edm-2", "edm-4")}
    assert jobs["train_run"] == outputs(new, "weights.safetensors")
    assert set(jobs) == {"train_run", "attack_run"} | ONWARDS


def test_a_grown_dataset_reruns_nothing_that_used_its_first_images(checkout):
    def grow(config):
        config["datasets"]["edm-2"]["images"] = 512
        config["grid"].append({"models": ["wrn-10-1"], "datasets": ["edm-2"], "sizes": [512]})

    checkout.configure(grow)
    jobs = checkout.planned()
    assert jobs["sample_shard"] == {"datasets/edm-2/shard-00002.h5", "datasets/edm-2/shard-00003.h5"}
    assert jobs["train_run"] == {"runs/wrn-10-1/edm-2/512/1/weights.safetensors"}
    assert not {"measure_shard", "measure_quality"} & set(jobs)


def test_a_new_generator_makes_its_own_images_and_what_comes_after(checkout):
    def add(config):
        config["generators"]["other"] = config["generators"]["edm"]
        config["datasets"]["other-2"] = {"generator": "other", "steps": 2, "images": 128}
        config["grid"].append({"models": ["wrn-10-1"], "datasets": ["other-2"], "sizes": [128]})

    checkout.configure(add)
    jobs = checkout.planned()
    new = {"train_generator", "sample_shard", "measure_shard", "measure_quality", "train_run", "attack_run"}
    assert set(jobs) == new | ONWARDS
    assert jobs["train_generator"] == {"generators/other/network.json"}
    assert jobs["sample_shard"] == {"datasets/other-2/shard-00000.h5"}


def test_another_guidance_makes_the_guided_images_and_their_runs(checkout):
    checkout.configure(lambda config: config["generators"]["dg"]["guidance"].update(weight=2))
    jobs = checkout.planned()
    assert jobs["sample_shard"] == {"datasets/dg-3/shard-00000.h5"}
    assert jobs["train_run"] == {"runs/wrn-10-1/three/256/1/weights.safetensors"}
    assert not {"train_generator", "train_extractor", "train_discriminator"} & set(jobs)


def test_another_discriminator_trains_no_extractor_and_no_base(checkout):
    checkout.configure(lambda config: config["generators"]["dg"].update(discriminator=DISCRIMINATOR))
    jobs = checkout.planned()
    assert jobs["sample_shard"] == {"datasets/dg-3/shard-00000.h5"}
    assert not {"train_generator", "train_extractor"} & set(jobs)
    assert "train_discriminator" in jobs


def test_subsets_of_the_fid_sample_and_train_nothing(checkout):
    checkout.configure(lambda config: config["quality"].update(subsets=1))
    jobs = checkout.planned()
    assert set(jobs) == {"measure_shard", "measure_quality"} | ONWARDS - {"collect_attacks"}


def test_another_recipe_makes_its_own_runs(checkout):
    def add(config):
        config["recipes"] = {"slow": {"learning_rate": 0.1}}
        config["grid"].append({"models": ["wrn-10-1"], "datasets": ["edm-2"], "sizes": [128], "recipe": "slow"})

    checkout.configure(add)
    jobs = checkout.planned()
    assert jobs["train_run"] == {"runs/wrn-10-1@slow/edm-2/128/1/weights.safetensors"}
    assert set(jobs) == {"train_run", "attack_run"} | ONWARDS


def test_a_training_setting_makes_all_runs_and_no_sampling(checkout):
    checkout.configure(lambda config: config["training"].update(beta=6))
    jobs = checkout.planned()
    assert jobs["train_run"] == outputs(RUNS, "weights.safetensors")
    assert set(jobs) == {"train_run", "attack_run"} | AUTOATTACK | ONWARDS


def test_an_attack_setting_trains_nothing(checkout):
    checkout.configure(lambda config: config["attacks"]["pgd_cw"].update(steps=6))
    jobs = checkout.planned()
    assert jobs["attack_run"] == outputs(RUNS, "pgd_cw.h5")
    assert set(jobs) == {"attack_run"} | ONWARDS


def test_another_size_of_the_chunks_attacks_in_chunks_only(checkout):
    checkout.configure(lambda config: config["attacks"]["autoattack"].update(chunk=40))
    jobs = checkout.planned()
    assert jobs["attack_chunk"] == {f"{ATTACKED}/autoattack/0000{chunk}.h5" for chunk in range(3)}
    assert jobs["gather_chunks"] == {f"{ATTACKED}/autoattack.h5"}
    assert set(jobs) == AUTOATTACK | ONWARDS


def test_fewer_or_more_images_leave_full_chunks_as_they_are(checkout):
    # 100 images were attacked in chunks of 64; with the first 80 the second chunk is another, the first is not
    checkout.configure(lambda config: config["attacks"]["autoattack"].update(images=80))
    jobs = checkout.planned()
    assert jobs["attack_chunk"] == {f"{ATTACKED}/autoattack/00001.h5"}
    assert set(jobs) == AUTOATTACK | ONWARDS


def test_other_weights_to_attack_train_nothing(checkout):
    checkout.configure(lambda config: config["attacks"]["autoattack"].update(weights="best"))
    jobs = checkout.planned()
    assert set(jobs) == AUTOATTACK | ONWARDS


def test_a_setting_spelt_out_at_its_neutral_value_shows_in_the_report_only(checkout):
    neutral = {"reuse_clean_pass": True, "precision": "float32", "accumulate": 1, "window_images": 65536}
    checkout.configure(lambda config: config["training"].update(neutral))
    assert set(checkout.planned()) == {"write_report"}


@pytest.mark.parametrize(
    "change",
    [{"precision": "bfloat16"}, {"accumulate": 2}, {"validation_images": 16}, {"attack_objective": "cross_entropy"},
     {"reuse_clean_pass": False}, {"shuffle": False}, {"replacement": True},
     {"epoch_images": 32, "warmup_fraction": 0.5}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_each_part_of_the_recipe_makes_all_runs(checkout, change):
    checkout.configure(lambda config: config["training"].update(change))
    assert checkout.planned()["train_run"] == outputs(RUNS, "weights.safetensors")


def test_a_new_checkpoint_makes_its_import_its_attacks_and_their_table(checkout):
    def add(config):
        config["checkpoints"] = {"zoo": {"file": "zoo.safetensors", "depth": 10, "width": 1}}

    (checkout.folder / "zoo.safetensors").touch()
    checkout.configure(add)
    jobs = checkout.planned()
    assert jobs == {
        "import_checkpoint": {"checkpoints/zoo/weights.safetensors"},
        "attack_run": {"checkpoints/zoo/pgd_cw.h5"},
        "attack_chunk": {f"checkpoints/zoo/autoattack/0000{chunk}.h5" for chunk in range(2)},
        "gather_chunks": {"checkpoints/zoo/autoattack.h5"},
        "collect_attacks": {"tables/attacks.parquet"},
        "plan": {"plan.html"},  # must not give a new network the checkpoint's name
        "write_report": {"report.html"},
    }


def test_a_level_of_the_intervals_makes_their_table_only(checkout):
    checkout.configure(lambda config: config["attacks"].update(level=0.9))
    assert set(checkout.planned()) == {"collect_attacks", "write_report"}


def test_a_law_setting_touches_no_run(checkout):
    checkout.configure(lambda config: config["laws"].update(level=0.8))
    assert set(checkout.planned()) == ONWARDS - {"collect_runs", "collect_attacks"}


@pytest.mark.parametrize(
    ("block", "change", "expected"),
    [
        ("laws", {"human_accuracy": 0.9}, CONCLUSIONS - {"draw_explorer", "plan"}),
        ("laws", {"at_flops": [1e12]}, CONCLUSIONS - {"draw_explorer", "plan"}),
        ("laws", {"points": "runs"}, {"fit_law"} | CONCLUSIONS),
        ("laws", {"two_stage": {"base": "edm-2", "quality": ["edm-4"]}}, {"fit_law"} | CONCLUSIONS),
        ("plan", {"flops": 1e12}, {"plan", "write_report"}),
        ("plan", {"quantity": "asymptote"}, {"plan", "write_report"}),
    ],
    ids=["human level", "budgets", "envelope", "two stages", "budget of the plan", "quantity of the plan"],
)
def test_a_conclusion_of_another_kind_fits_only_what_it_changes(checkout, block, change, expected):
    checkout.configure(lambda config: config.setdefault(block, {}).update(change))
    jobs = checkout.planned()
    assert set(jobs) == expected
    refitted = {"points": "envelope", "two_stage": "additive_two_stage"}.get(next(iter(change)))
    assert jobs.get("fit_law", set()) == ({f"laws/{refitted}.json"} if refitted else set())


@pytest.mark.parametrize(
    "respell",
    [
        lambda config: config["training"].update(beta=5),
        lambda config: config.update(training=dict(reversed(config["training"].items()))),
        lambda config: config["compute"].update(state_minutes=9, budget_minutes=60),
        lambda config: config["compute"].update(processes=2),
        lambda config: config["compute"].update(compile=True),
    ],
    ids=["5 for 5.0", "reordered keys", "when the state is saved", "processes", "compiled"],
)
def test_another_spelling_or_a_machine_setting_makes_nothing_stale(checkout, respell):
    checkout.configure(respell)
    assert checkout.planned() == {}


def test_touched_and_reformatted_code_makes_nothing_stale(checkout):
    files = [*checkout.folder.glob("workflow/**/*.*"), *checkout.folder.glob("envs/*"), checkout.folder / "Snakefile"]
    assert len(files) > 20
    for path in files:
        if path.suffix == ".py":
            path.write_text(path.read_text() + "\n# another comment\n")
        os.utime(path)
    assert checkout.planned() == {}


def test_a_fresh_checkout_beside_old_results_has_nothing_to_do(checkout, tmp_path):
    moved = tmp_path / "moved"
    subprocess.run(["cp", "-a", str(checkout.folder), str(moved)], check=True)
    for part in ("workflow", "envs", "profiles", "Snakefile"):
        path = moved / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        source = Path(__file__).parents[2] / part
        shutil.copytree(source, path, copy_function=shutil.copy) if source.is_dir() else shutil.copy(source, path)
    assert Checkout(moved).planned() == {}


def test_a_broken_config_stops_before_any_job_with_one_line(checkout):
    checkout.configure(lambda config: config["threat"].update(epsilon=8))
    done = checkout.snakemake()
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "study.yaml threat.epsilon: 8 is more than 1. Linf radius" in said
    assert "Traceback" not in said
    assert "rule " not in said


def test_no_path_of_results_stands_in_the_library():
    root = Path(__file__).parents[2]
    code = [*root.glob("src/**/*.py"), *root.glob("workflow/scripts/*.py")]
    assert [path for path in code if "results/" in path.read_text()] == []
