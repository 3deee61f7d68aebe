"""The TRADES step, the attack and their arithmetic against numbers recorded from the paper's code."""

import numpy as np
import pytest
import torch

from robustlaws.attacks import pgd
from robustlaws.data.batches import crop
from robustlaws.networks import cost
from robustlaws.training import averaging, schedule, trades
from tests.reference.recorded import PRECISIONS, network


@pytest.fixture(params=["f32", "f64"])
def precision(request):
    return request.param


def test_the_paper_charges_27_passes():
    assert cost.passes_per_step(10) == 27


def test_a_trades_step_is_the_papers(precision, fixture_arrays):
    weights, shape = fixture_arrays("wrn_tiny")
    arrays, meta = fixture_arrays("trades_step")
    dtype = PRECISIONS[precision]
    net = network(weights, shape, dtype).train()
    images = torch.from_numpy(arrays["x"]).to(dtype)
    step = trades.step(
        net,
        images,
        torch.from_numpy(arrays["y"]).long(),
        torch.from_numpy(arrays["noise"]).to(dtype) / meta["eps"],
        epsilon=meta["eps"],
        step_size=meta["step_size"],
        attack_steps=meta["steps"],
        beta=meta["beta"],
        label_smoothing=meta["label_smoothing"],
    )
    step.loss.backward()
    attacked = arrays[f"x_adv_{precision}"]
    parts = [float(part.detach()) for part in (step.loss, step.cross_entropy, step.divergence)]
    equal = np.mean(np.abs(step.attacked.numpy() - attacked) < 1e-6)
    off = np.abs(parts - arrays[f"loss_{precision}"])
    print(f"\n{precision}: attacked pixels equal {equal:.6f}, loss parts off by {off}")
    if precision == "f32":
        assert equal >= 0.999
        assert np.allclose(parts, arrays["loss_f32"], rtol=1e-3)
        return
    assert np.abs(step.attacked.numpy() - attacked).max() < 1e-9
    assert np.allclose(parts, arrays["loss_f64"], rtol=0, atol=1e-9)
    for name, parameter in net.named_parameters():
        expected = arrays[f"g64.{name}"]
        assert np.abs(parameter.grad.numpy() - expected).max() < 1e-9 * max(1.0, np.abs(expected).max()), name
    for key, value in arrays.items():
        if key.startswith("after_step_f64."):
            assert np.allclose(net.state_dict()[key[len("after_step_f64.") :]].numpy(), value, rtol=0, atol=1e-9), key


def test_the_attack_leaves_parameters_and_statistics_alone(fixture_arrays):
    weights, shape = fixture_arrays("wrn_tiny")
    net = network(weights, shape, torch.float32).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    images = torch.rand(4, 3, 32, 32)
    trades.attack(net, images, torch.full((4, 10), 0.1), torch.rand_like(images), 0.03, 0.01, 2)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_pgd_on_the_cw_loss_is_the_papers(precision, fixture_arrays):
    weights, shape = fixture_arrays("wrn_tiny")
    arrays, meta = fixture_arrays("cw_pgd40")
    dtype = PRECISIONS[precision]
    net = network(weights, shape, dtype).eval().requires_grad_(False)
    images, labels = torch.from_numpy(arrays["x"]).to(dtype), torch.from_numpy(arrays["y"]).long()
    # the recorded start, not the noise it came from: that was scaled in float32 even for the float64 run
    noise = torch.from_numpy(arrays["start_delta_cw"]).to(dtype) / (8 / 255)
    attacked = pgd.attack(net, images, labels, noise, epsilon=8 / 255, step_size=2 / 255, steps=40)
    with torch.no_grad():
        logits, attacked_logits = net(images), net(attacked)
    kl = trades.divergence(logits, attacked_logits).numpy()
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none").numpy()
    right = (attacked_logits.argmax(1) == labels).numpy()
    reported = [right.mean(), (losses + meta["beta"] * kl).mean()]
    limit = 1e-9 if precision == "f64" else 1e-5
    assert np.abs(attacked.numpy() - arrays[f"cw_x_adv_{precision}"]).max() < (1e-9 if precision == "f64" else 1e-6)
    assert (right == arrays[f"cw_adv_correct_{precision}"]).all()
    assert np.allclose(reported, arrays[f"cw_reported_{precision}"][:2], rtol=0, atol=limit)


def test_the_margin_is_of_the_best_wrong_class():
    logits = torch.tensor([[1.0, 3.0, 2.0], [5.0, 3.0, 2.0]])
    assert pgd.cw_margin(logits, torch.tensor([1, 1])).tolist() == [-1.0, 2.0]
    with pytest.raises(ValueError, match="one batch"):
        pgd.cw_margin(logits, torch.tensor([1]))


@pytest.mark.parametrize("case", range(5))
def test_the_decay_of_the_average_is_the_papers(case, fixture_arrays):
    arrays, meta = fixture_arrays("ema")
    warmup = meta["cases"][case]["warmup_steps"]
    decays = [averaging.decay(int(step), warmup, meta["tau"]) for step in arrays[f"global_step_{case}"]]
    assert np.allclose(decays, arrays[f"decay_{case}"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("epochs", [100, 200, 600, 1400, 2000])
@pytest.mark.parametrize("peak", [0.1, 0.2, 0.3])
def test_the_cycle_is_the_papers_when_advanced_once_an_epoch(epochs, peak, fixture_arrays):
    arrays, _ = fixture_arrays("lr_schedule")
    cycle = [schedule.one_cycle(u, epochs - 1, 0.025 * epochs - 1, peak, 0.85, 0.95) for u in range(epochs)]
    rates, momenta = np.array(cycle).T
    assert np.allclose(rates, arrays[f"lr_E{epochs}_lr{peak}"], rtol=0, atol=1e-12)
    assert np.allclose(momenta, arrays[f"momentum_E{epochs}_lr{peak}"], rtol=0, atol=1e-12)


def test_a_crop_is_the_papers(fixture_arrays):
    arrays, meta = fixture_arrays("augment")
    images = torch.from_numpy(arrays["x_u8"]).permute(0, 2, 3, 1)
    cropped = crop(images, meta["pad"], torch.from_numpy(arrays["offset"]).long())
    flip = torch.from_numpy(arrays["flip"]).bool()
    cropped = torch.where(flip[:, None, None, None], cropped.flip(2), cropped)
    assert np.allclose(cropped.permute(0, 3, 1, 2).numpy() / np.float32(255), arrays["out"], rtol=0, atol=1e-7)
