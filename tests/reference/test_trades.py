"""The TRADES step against numbers recorded from the paper's code, float64 and float32."""

import numpy as np
import pytest
import torch

from robustlaws.attacks import kl_attack
from robustlaws.networks import wrn
from robustlaws.training import trades
from tests.support.recorded import PRECISIONS, network


@pytest.fixture(params=["f32", "f64"])
def precision(request):
    return request.param


@pytest.fixture
def setting(fixture_arrays, precision):
    """Return the network in train mode, the recorded arrays, and the arguments of a step."""
    weights, shape = fixture_arrays("wrn_tiny")
    arrays, meta = fixture_arrays("trades_step")
    dtype = PRECISIONS[precision]
    net = network(weights, shape, dtype).train()
    given = {
        "images": torch.from_numpy(arrays["x"]).to(dtype),
        "labels": torch.from_numpy(arrays["y"]).long(),
        "unit_noise": torch.from_numpy(arrays["noise"]).to(dtype) / meta["eps"],
        "epsilon": meta["eps"],
        "step_size": meta["step_size"],
        "attack_steps": meta["steps"],
        "beta": meta["beta"],
        "label_smoothing": meta["label_smoothing"],
    }
    return net, arrays, given


@pytest.mark.parametrize("reuse", [True, False])
def test_the_attacked_images_the_loss_and_its_parts(setting, precision, reuse):
    net, arrays, given = setting
    step = trades.step(net, **given, reuse_clean_pass=reuse)
    off = np.abs(step.attacked.numpy() - arrays[f"x_adv_{precision}"])
    parts = np.array([float(part.detach()) for part in (step.loss, step.cross_entropy, step.divergence)])
    worst = np.abs(parts - arrays[f"loss_{precision}"]).max()
    print(f"\n{precision}, clean pass {'once' if reuse else 'twice'}: pixels equal {np.mean(off < 1e-6):.6f},"
          f" loss parts off by {worst:.1e}")  # fmt: skip
    if precision == "f32":
        assert np.mean(off < 1e-6) >= 0.999
        return
    assert off.max() < 1e-9
    assert worst < 1e-9
    accuracies = [(z.argmax(1) == given["labels"]).double().mean() for z in (step.logits, step.attacked_logits)]
    assert np.allclose(accuracies, arrays["acc_f64"])
    assert np.abs(step.logits.detach().numpy() - arrays["logits_natural_f64"]).max() < 1e-9
    assert np.abs(step.attacked_logits.detach().numpy() - arrays["logits_adv_f64"]).max() < 1e-9


def test_the_loss_and_every_gradient_at_the_recorded_attack(setting, precision):
    net, arrays, given = setting
    attacked = torch.from_numpy(arrays[f"x_adv_{precision}"])
    logits, attacked_logits = net(given["images"]), net(attacked)
    named = {name: given[name] for name in ("beta", "label_smoothing")}
    parts = trades.outer(logits, attacked_logits, given["labels"], **named)
    parts[0].backward()
    limits = {"f64": (1e-9, 1e-9), "f32": (1e-5, 1e-4)}[precision]
    worst = max(
        abs(float(part.detach()) - known) for part, known in zip(parts, arrays[f"loss_{precision}"], strict=True)
    )
    gradients = {
        name: np.abs(parameter.grad.numpy() - arrays[f"g{precision[1:]}.{name}"]).max()
        / np.abs(arrays[f"g{precision[1:]}.{name}"]).max()
        for name, parameter in net.named_parameters()
    }
    print(f"\n{precision}: loss off by {worst:.1e}, gradients by {max(gradients.values()):.1e} of the largest")
    assert worst < limits[0]
    assert max(gradients.values()) < limits[1], max(gradients, key=gradients.get)


@pytest.mark.parametrize("precision", ["f64"], indirect=True)
def test_every_point_of_the_attack(setting, monkeypatch):
    net, arrays, given = setting
    points, kls = [], []
    real = trades.F.kl_div

    def recorded(log_q, p, **named):
        kls.append(float(real(log_q, p, reduction="batchmean").detach()))
        return real(log_q, p, **named)

    def watched(module, inputs):
        points.append(inputs[0].detach().clone())

    monkeypatch.setattr(trades.F, "kl_div", recorded)
    net.register_forward_pre_hook(watched)
    trades.step(net, **given)
    for index in (0, 1, 2, 5):  # the first pass is the clean one
        off = np.abs(points[1 + index].numpy() - arrays[f"x_adv_before_step{index}_f64"]).max()
        assert off < 1e-9, index
    assert np.allclose(kls, arrays["attack_kl_f64"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("precision", ["f64"], indirect=True)
@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize(("momentum", "key"), [(0.01, "after_step_f64."), (1.0, "after_step_momentum1_f64.")])
def test_the_statistics_after_the_step(setting, reuse, momentum, key):
    net, arrays, given = setting
    for module in wrn.batchnorms(net):
        module.momentum = momentum  # 1 in the first step of a run
    trades.step(net, **given, reuse_clean_pass=reuse)
    expected = {name.removeprefix(key): value for name, value in arrays.items() if name.startswith(key)}
    assert expected
    for name, value in expected.items():
        assert np.allclose(net.state_dict()[name].numpy(), value, rtol=0, atol=1e-9), name


def test_the_target_is_the_clean_prediction(setting, precision, monkeypatch):
    net, arrays, given = setting
    seen = []
    monkeypatch.setattr(kl_attack, "attack", lambda network, images, target, *_: seen.append(target) or images)
    trades.step(net, **given)
    limit = 1e-9 if precision == "f64" else 1e-5
    assert np.abs(seen[0].numpy() - arrays[f"p_natural_attack_{precision}"]).max() < limit


@pytest.mark.parametrize("precision", ["f64"], indirect=True)
def test_equation_2_attacks_the_labels_instead(setting):
    net, _, given = setting
    kl, cross_entropy = (trades.step(net, **given, objective=name) for name in ("kl", "cross_entropy"))
    wanted = given["labels"]
    losses = [torch.nn.functional.cross_entropy(step.attacked_logits, wanted) for step in (kl, cross_entropy)]
    assert losses[1] > losses[0]


@pytest.mark.parametrize("precision", ["f32"], indirect=True)
def test_the_attack_leaves_parameters_and_statistics_alone(setting):
    net, _, given = setting
    before = {key: value.clone() for key, value in net.state_dict().items()}
    kl_attack.attack(net, given["images"], torch.full((8, 10), 0.1), given["unit_noise"], 0.03, 0.01, 2)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())
