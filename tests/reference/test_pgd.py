"""The 40-step attacks and the numbers reported of them against the paper's code."""

import json

import numpy as np
import pytest
import torch

from robustlaws.attacks import pgd
from robustlaws.attacks.kl_attack import divergence
from tests.support.recorded import PRECISIONS, REFERENCE, network

STATED = json.loads((REFERENCE / "stated.json").read_text())["cw_pgd40"]  # what the archive itself lacks

OBJECTIVES = {"cw": "cw", "ce": "cross_entropy"}


@pytest.fixture(params=["f32", "f64"])
def precision(request):
    return request.param


def attacked(fixture_arrays, precision, name, objective):
    """Return (network, images, attacked images, labels, arrays, meta) of an attack from its recorded start."""
    weights, shape = fixture_arrays("wrn_tiny")
    arrays, meta = fixture_arrays("cw_pgd40")
    dtype = PRECISIONS[precision]
    net = network(weights, shape, dtype).eval().requires_grad_(False)
    images, labels = torch.from_numpy(arrays["x"]).to(dtype), torch.from_numpy(arrays["y"]).long()
    # the recorded start, not the noise it came from: that was scaled in float32 even for the float64 run
    noise = torch.from_numpy(arrays[f"start_delta_{name}"]).to(dtype) / meta["eps"]
    how = {"epsilon": meta["eps"], "step_size": meta["step_size"], "steps": meta["steps"], "objective": objective}
    return net, images, pgd.attack(net, images, labels, noise, **how), labels, arrays, meta


@pytest.mark.parametrize("name", OBJECTIVES)
def test_images_outcomes_and_reported_numbers(name, precision, fixture_arrays):
    net, images, made, labels, arrays, meta = attacked(fixture_arrays, precision, name, OBJECTIVES[name])
    with torch.no_grad():
        logits, attacked_logits = net(images), net(made)
    kl = divergence(logits, attacked_logits).numpy()
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none").numpy()
    right, clean_right = ((z.argmax(1) == labels).numpy() for z in (attacked_logits, logits))
    reported = [right.mean(), (losses + meta["beta"] * kl).mean(), clean_right.mean(), losses.mean()]
    off = {
        "pixels": np.abs(made.numpy() - arrays[f"{name}_x_adv_{precision}"]).max(),
        "logits": np.abs(attacked_logits.numpy() - arrays[f"{name}_logits_adv_{precision}"]).max(),
        "kl": np.abs(kl - arrays[f"{name}_kl_{precision}"]).max(),
        "clean loss": np.abs(losses - arrays[f"clean_ce_{precision}"]).max(),
        "reported": np.abs(np.array(reported) - arrays[f"{name}_reported_{precision}"]).max(),
    }
    print(f"\n{name} {precision}: off by", ", ".join(f"{key} {value:.1e}" for key, value in off.items()))
    assert max(off.values()) < (1e-9 if precision == "f64" else 1e-5)
    assert (right == arrays[f"{name}_adv_correct_{precision}"]).all()
    assert (clean_right == arrays[f"clean_correct_{precision}"]).all()


def test_images_wrong_from_the_start_keep_their_noise_only(fixture_arrays):
    _, images, made, _, arrays, meta = attacked(fixture_arrays, "f64", "cw", "cw")
    start = torch.clamp(images + torch.from_numpy(arrays["start_delta_cw"]), 0, 1)
    moved = (made - start).abs().flatten(1).amax(1).numpy()
    assert np.allclose(moved, meta["cw"]["moved"], atol=1e-6)
    assert (moved == 0).sum() == (np.array(meta["cw"]["moved"]) == 0).sum() > 0


def test_unclipped_the_loss_is_far_larger_at_the_same_accuracy(fixture_arrays):
    net, images, made, labels, arrays, meta = attacked(fixture_arrays, "f64", "cw", "cw_unclipped")
    with torch.no_grad():
        logits, attacked_logits = net(images), net(made)
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    assert float((losses + meta["beta"] * divergence(logits, attacked_logits)).mean()) == pytest.approx(
        STATED["unclipped_loss"], abs=5e-3
    )
    assert float((attacked_logits.argmax(1) == labels).double().mean()) == arrays["cw_reported_f64"][0]


def test_the_margin_is_of_the_best_wrong_class():
    logits = torch.tensor([[1.0, 3.0, 2.0], [5.0, 3.0, 2.0]])
    assert pgd.cw_margin(logits, torch.tensor([1, 1])).tolist() == [-1.0, 2.0]
    with pytest.raises(ValueError, match="one batch"):
        pgd.cw_margin(logits, torch.tensor([1]))
