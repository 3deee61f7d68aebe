"""The same work on a GPU: numbers of the recordings and of the CPU, interruptions, and errors of one line."""

import numpy as np
import pytest
import torch

from robustlaws.attacks import record, training_attack
from robustlaws.runtime.signals import Stopped
from robustlaws.settings import Compute
from robustlaws.training import trades
from tests.support.recorded import network
from tests.support.sampled_shards import sample, sampling_settings
from tests.support.training_attacks import attack
from tests.support.training_attacks import files as attacked_files
from tests.support.training_ranks import SETTINGS, off
from tests.support.training_runs import train, training_settings

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")

# TF32 in the convolutions, 8 steps; a sign in the attack may turn with the rounding of a sum, and cuDNN adds up
# the gradients of weights in no fixed order
LOSS_OFF = 2e-2


def test_a_step_in_float64_is_the_recorded_one(fixture_arrays):
    weights, shape = fixture_arrays("wrn_tiny")
    arrays, meta = fixture_arrays("trades_step")
    where = torch.device("cuda")
    step = trades.step(
        network(weights, shape, torch.float64).train().to(where),
        torch.from_numpy(arrays["x"]).double().to(where),
        torch.from_numpy(arrays["y"]).long().to(where),
        torch.from_numpy(arrays["noise"]).double().to(where) / meta["eps"],
        epsilon=meta["eps"],
        step_size=meta["step_size"],
        attack_steps=meta["steps"],
        beta=meta["beta"],
        label_smoothing=meta["label_smoothing"],
    )
    apart = np.abs(step.attacked.cpu().numpy() - arrays["x_adv_f64"]).max()
    loss = abs(float(step.loss.detach()) - arrays["loss_f64"][0])
    print(f"\nGPU, float64: attacked pixels off by {apart:.1e}, loss by {loss:.1e}")
    assert apart < 1e-9
    assert loss < 1e-9


def test_a_run_on_a_gpu_is_the_run_of_a_cpu(study):
    train(study, "cpu", training_settings(**SETTINGS))
    train(study, "gpu", training_settings(**SETTINGS), gpus=1)
    losses, weights = off(study, "cpu", "gpu")
    print(f"\nGPU against CPU, 8 steps: losses off by {losses:.1e}, weights by {weights:.1e}")
    assert losses < LOSS_OFF


@pytest.mark.parametrize("changes", [{}, {"precision": "bfloat16"}, {"accumulate": 2}], ids=str)
def test_a_run_that_is_stopped_on_a_gpu_goes_on_there(study, changes):
    settings = training_settings(**SETTINGS, **changes)
    train(study, "whole", settings, gpus=1)
    with pytest.raises(Stopped, match="the time budget is used up.* at step 0 of 8, state saved"):
        train(study, "cut", settings, gpus=1, budget_minutes=1e-9)
    train(study, "cut", settings, gpus=1)
    losses, _ = off(study, "whole", "cut")
    assert losses < LOSS_OFF


def test_a_compiled_run_is_the_run(study):
    train(study, "plain", training_settings(**SETTINGS), gpus=1)
    train(study, "compiled", training_settings(**SETTINGS), gpus=1, compile=True)
    losses, _ = off(study, "plain", "compiled")
    assert losses < LOSS_OFF


def test_more_gpus_than_there_are_is_one_line(study):
    there = torch.cuda.device_count()
    with pytest.raises(ValueError, match=f"compute.gpus: {there + 1} asked for, torch .* sees {there} here"):
        train(study, "run", gpus=there + 1)


def test_memory_that_does_not_do_is_one_line(study):
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-5)
    try:
        with pytest.raises(ValueError, match="out of memory.* Raise training.accumulate"):
            train(study, "run", training_settings(**SETTINGS), gpus=1)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert not (study / "run.safetensors").exists()


@pytest.mark.parametrize("sampler", ["edm", "pfgmpp", "dg"])
def test_images_of_a_gpu_are_those_of_a_cpu(sampler, files, tmp_path):
    (images, labels), (others, other_labels) = (
        sample(files, tmp_path, sampling_settings(sampler), f"on-{gpus}", gpus=gpus) for gpus in (0, 1)
    )
    apart = np.abs(images.astype(int) - others.astype(int))
    print(f"\n{sampler}, GPU against CPU: {np.mean(apart > 0):.4%} of the pixels differ, by {apart.max()} at most")
    assert np.array_equal(labels, other_labels)
    assert np.mean(apart > 1) < 0.01


def test_the_attack_of_the_training_on_a_gpu_is_that_of_a_cpu(tmp_path):
    given = attacked_files(tmp_path)
    results = {}
    for gpus in (0, 1):
        paths = given | {"outcome_path": tmp_path / f"{gpus}.h5", "compute": Compute(gpus=gpus)}
        training_attack.attack_as_in_training(**paths, settings=attack())
        results[gpus] = record.read(paths["outcome_path"])[0]
    apart = np.abs(results[0]["adversarial"] - results[1]["adversarial"])
    print(f"\nGPU against CPU: {(apart > 1e-6).mean():.2%} of the attacked pixels off, by {apart.max():.1e} at most")
    # a sign may turn with the rounding of a sum; the ball is the same
    assert (apart > 1e-6).mean() < 0.02
    for name in ("clean_prediction", "adversarial_prediction"):
        assert (results[0][name] != results[1][name]).sum() <= 1
