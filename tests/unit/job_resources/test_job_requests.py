"""What jobs ask for, by arithmetic, and what passes of real networks hold."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from robustlaws.job_resources.job_costs import _OF_RULES as COSTED
from robustlaws.job_resources.job_costs import Costs
from robustlaws.job_resources.job_memory import _OF_RULES as HELD
from robustlaws.job_resources.job_requests import Needs
from robustlaws.networks.wrn_flops import wrn_forward_flops, wrn_touched
from robustlaws.storage import embedded
from tests.support.checkouts import without_humans
from tests.support.study_files import ROOT, study_of

CIFAR = ROOT / "config" / "cifar10.yaml"
LARGE = {"model": "wrn-28-4", "dataset": "edm-18", "size": "1000000", "seed": "1"}
SMALL = {"model": "wrn-10-1", "dataset": "edm-4", "size": "256", "seed": "1"}
PIXELS = 32 * 32 * 3


def needs_of(path=CIFAR, folder=None, **compute):
    """Return the needs of a study whose `compute` is changed."""
    return Needs(study_of(path, lambda config: config["compute"].update(compute)), folder)


def given(speed, path=CIFAR, **compute):
    """Return the needs of a study whose devices do `speed` FLOPs a second."""

    def change(config):
        config["compute"].update(compute)
        config["plan"] = {"speed": speed}

    return Needs(study_of(path, change))


def flops_of(needs, rule="train_run", wildcards=LARGE):
    return sum(cost.flops for cost in Costs(needs.study).of(rule, wildcards))


# memory


def test_memory_is_known_for_every_rule_beyond_tables():
    # files are fetched, and staged, piece by piece; a model is asked image by image
    assert set(COSTED) - set(HELD) == {"fetch_file", "stage_samples", "ask_model"}


def test_a_run_holds_two_windows_of_images():
    def change(window):
        return lambda config: config["training"].update(window_images=window)

    few, many = (Needs(study_of(CIFAR, change(window))).memory_mb("train_run", LARGE) for window in (100_000, 300_000))
    assert many - few == pytest.approx(1.25 * 2 * 200_000 * PIXELS / 1e6, abs=100)
    # of a window that is larger than the run, only what there is
    assert Needs(study_of(CIFAR, change(10**6))).memory_mb("train_run", LARGE | {"size": "100000"}) < many


def test_processes_of_a_node_hold_as_much_each():
    alone, four = (needs_of(gpus=gpus).memory_mb("train_run", LARGE) for gpus in (1, 4))
    assert four - 2 * 450 - 400 == pytest.approx(4 * (alone - 400), rel=0.1)


def test_activations_are_held_where_there_is_no_gpu():
    def asked(gpus, accumulate):
        def change(config):
            config["compute"]["gpus"] = gpus
            config["training"]["accumulate"] = accumulate
            config["training"]["curve"]["images"] = 10  # else these are the most

        return Needs(study_of(CIFAR, change)).memory_mb("train_run", LARGE)

    # two passes of half a batch, and what is said of each number below, in float32
    assert asked(0, 1) - asked(0, 2) == pytest.approx(1.25 * 256 * 2.6 * 4 * wrn_touched(28, 4, 32) / 1e6, abs=100)
    assert asked(1, 1) == asked(1, 2)


def test_wrn_activations_equal_its_elementwise_flops():
    # WRN-10-1 of 4 x 4 pixels: a convolution of its own, three blocks of two, two of them with a shortcut, a last layer
    products = 2 * 9 * 3 * 16 * 16
    for channels_in, channels, pixels in ((16, 16, 16), (16, 32, 4), (32, 64, 1)):
        products += 2 * 9 * (channels_in + channels) * channels * pixels
        products += 2 * channels_in * channels * pixels * (channels_in != channels)
    assert wrn_touched(10, 1, 4) == wrn_forward_flops(10, 1, 4) - products - 2 * 64 * 10


@pytest.mark.parametrize(("attempt", "factor"), [(1, 1), (2, 1.5), (3, 2), (4, 4), (5, 4), (40, 4)])
def test_later_attempts_ask_for_more_memory_but_not_for_ever(attempt, factor):
    first = needs_of().memory_mb("train_run", LARGE)
    assert needs_of().memory_mb("train_run", LARGE, attempt) == pytest.approx(factor * first, abs=factor * 100)


def test_requests_of_retries_at_most_double_the_memory():
    needs = given(1e9, budget_minutes=60.0)
    first = needs.memory_mb("train_run", LARGE)
    assert [needs.memory_mb("train_run", LARGE, n) / first for n in (2, 9)] == pytest.approx([1.5, 2], abs=0.05)


STEP = """
import sys
import torch
from robustlaws import settings
from robustlaws.networks import ddpmpp, wrn
from robustlaws.runtime import device
from robustlaws.training import trades

device.prepare(1)
torch.manual_seed(0)

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

def trades_step(architecture, count):
    network = wrn.build(settings.Architecture(**architecture)).train()
    x, y, noise = torch.rand(count, 3, 32, 32), torch.zeros(count, dtype=torch.int64), torch.rand(count, 3, 32, 32)
    how = {"epsilon": 0.03, "step_size": 0.01, "attack_steps": 1, "beta": 5.0, "label_smoothing": 0.1}
    yield
    trades.step(network, x, y, noise, objective="kl", reuse_clean_pass=True, total=count, **how).loss.backward()

def denoise(network, count):
    network = ddpmpp.Preconditioned(ddpmpp.build(settings.Network(**network)), 0.5)
    network = network.to(memory_format=torch.channels_last).train()
    x = torch.rand(count, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    yield
    network(x, torch.rand(count), torch.zeros(count, 10), torch.zeros(count, 9)).sum().backward()

work = {work}
next(work)
before = peak()
list(work)
print(peak() - before)
"""


def peak_of(work):
    """Return the bytes that a piece of work adds to a process of its own."""
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is told by /proc, which Linux has")
    done = subprocess.run(
        [sys.executable, "-c", STEP.replace("{work}", work)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_a_training_step_holds_what_is_said():
    needs = Needs(study_of(CIFAR, lambda config: config["compute"].update(gpus=0)))
    s = needs.study.training(needs.study.run("wrn-16-2/edm-18/100000/1"))
    output = needs._memory._passes(96, needs._memory._touched(s.architecture), 2.6)
    kept = peak_of(f"trades_step({vars(s.architecture)}, 96)")
    assert 0.7 * output < kept < output


def test_an_update_of_a_denoiser_holds_what_is_said():
    def change(config):
        config["compute"]["gpus"] = 0
        config["generators"]["edm"]["network"]["model_channels"] = 32
        config["generators"]["edm"]["training"] |= {"batch": 24}

    more = {"batch": 48}
    few = Needs(study_of(CIFAR, change))
    many = Needs(study_of(CIFAR, lambda c: (change(c), c["generators"]["edm"]["training"].update(more))))
    values = [n._memory.of("train_generator", {"generator": "edm"}).values for n in (few, many)]
    network = vars(few.study.network("edm"))
    kept = peak_of(f"denoise({network}, 24)")
    assert 0.7 * (values[1] - values[0]) < kept < values[1] - values[0] + 7 * 4 * 7.0e6


# time


def test_a_job_asks_for_twice_the_time_of_its_flops_and_a_start():
    needs = given(1e13)
    written = sum(cost.bytes for cost in Costs(needs.study).of("train_run", LARGE)) / 20e6
    expected = 5 + 2 * (flops_of(needs) / 1e13 + written) / 60
    assert needs.minutes("train_run", LARGE) == pytest.approx(expected, abs=1)
    assert needs.minutes("train_run", LARGE, attempt=2) == pytest.approx(1.5 * expected, abs=1)


def test_devices_share_a_run_and_nothing_else():
    item, eight = given(1e13), given(1e13, gpus=4, nodes=2)
    assert (item.minutes("train_run", LARGE) - 5) / (eight.minutes("train_run", LARGE) - 5) == pytest.approx(8, rel=0.1)
    shard = {"dataset": "edm-18", "shard": "00000"}
    assert item.minutes("sample_shard", shard) == eight.minutes("sample_shard", shard)


def test_no_job_asks_for_more_than_a_slice():
    needs = given(1e9, budget_minutes=60.0)
    for attempt in (1, 2, 9):
        assert needs.minutes("train_run", LARGE, attempt) == 5 + 60 + 5
    assert needs.slices("train_run", LARGE) == -(-flops_of(needs) // (1e9 * 3600))
    assert given(1e9).slices("train_run", LARGE) == 1


def test_files_of_unknown_size_are_looked_at(tmp_path):
    (tmp_path / "images.npz").write_bytes(bytes(6_000_000))
    needs = needs_of()
    plain = needs.minutes("import_data", {})
    paths = [tmp_path / "images.npz"] * 100 + [tmp_path / "missing.npz", tmp_path]
    assert needs.minutes("import_data", {}, paths=paths) == pytest.approx(plain + 2 * 600e6 / 20e6 / 60, abs=1)


def test_what_cannot_be_counted_has_four_hours():
    def change(config):
        config["source"] = {"name": "folder", "train_files": ["a"], "test_files": ["b"]}
        without_humans(config)
        config["attacks"].pop("autoattack")
        config["figures"] = []

    needs = Needs(study_of(CIFAR, change))
    wildcards = {"victim": "runs/wrn-28-4/edm-18/1000000/1", "attack": "pgd_cw"}
    assert needs.minutes("attack_run", wildcards) == 5 + 240
    assert needs.memory_mb("attack_run", wildcards) > needs_of().memory_mb("attack_run", wildcards)


def timed(folder, run, seconds, text=None):
    path = folder / "benchmarks" / "train" / f"{run}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text or f"s\th:m:s\tmax_rss\n{seconds}\t0:00:05\t361.26\n")


def test_requests_use_the_slowest_long_runs_speed(tmp_path):
    runs = [f"wrn-28-4/{dataset}/1000000/1" for dataset in ("edm-5", "edm-18", "pfgmpp-18", "dg-18")]
    timed(tmp_path, runs[0], 2000.0)
    timed(tmp_path, runs[1], 4000.0)
    timed(tmp_path, runs[2], 100.0)
    timed(tmp_path, runs[3], 0, "no benchmark")
    needs = needs_of(folder=tmp_path)
    assert needs.speed == pytest.approx(flops_of(needs) / 4000)
    assert needs_of().speed is None
    assert given(1e15).speed == 1e15


def test_a_run_was_as_fast_as_the_devices_that_it_had_then(tmp_path):
    run = "wrn-28-4/edm-5/1000000/1"
    timed(tmp_path, run, 2000.0)
    path = tmp_path / "runs" / run / "weights.safetensors"
    path.parent.mkdir(parents=True)
    stamp = {"format": embedded.FORMAT, "config": {"compute": {"gpus": 4, "nodes": 2}}}
    embedded.save_tensors(save_file, {"x": np.zeros(3)}, path, "settings", "{}", stamp)
    needs = needs_of(folder=tmp_path)
    assert needs.speed == pytest.approx(flops_of(needs) / 2000 / 8)
    path.write_bytes(b"damaged")
    needs = needs_of(folder=tmp_path)
    assert needs.speed == pytest.approx(flops_of(needs) / 2000 / needs.compute.ranks)


def test_what_is_assumed_is_slower_than_an_h200_and_than_a_core():
    # measured there, FLOPs/s: WRN-16-2 and WRN-28-4, 512 images at once
    needs = needs_of()
    for model, measured in (("wrn-16-2", 3.76e13), ("wrn-28-4", 1.09e14)):
        kept = needs._memory.of("train_run", LARGE | {"model": model})
        assert needs._assumed(kept.pass_flops) < measured
    # and on a core of which others took half: 150 updates of the tiny study's generator in 49 s
    tiny = Needs(study_of())
    updates = flops_of(tiny, "train_generator", {"generator": "edm"}) / 49.1
    assert tiny._assumed(tiny._memory.of("train_generator", {"generator": "edm"}).pass_flops) < 2 * updates


# retries


def test_requests_warn_of_too_few_retries_in_one_line():
    needs = given(1e10, budget_minutes=600.0)
    slices = needs.slices("train_run", LARGE)
    assert slices > 3
    jobs = [("train_run", LARGE, 2), ("train_run", LARGE | {"size": "100000"}, 2), ("collect_runs", {}, 0)]
    (line,) = needs.too_few_retries(jobs)
    assert f"train_run wrn-28-4 edm-18 1000000 1 needs {slices} times compute.budget_minutes = 600" in line
    assert f"Give --retries {slices}" in line
    assert "at 1e+10 FLOPs/s" in line
    assert needs.too_few_retries([("train_run", LARGE, slices)]) == []
    assert given(1e10).too_few_retries(jobs) == []
