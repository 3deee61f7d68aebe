"""The optimiser and the training loop."""

import numpy as np
import pytest
import torch

from robustlaws import records
from robustlaws.data import shards
from robustlaws.networks import wrn
from robustlaws.settings import Architecture, Curve, Threat, Training
from robustlaws.training import loop
from robustlaws.training.optimiser import Nesterov

ARCHITECTURE = Architecture(10, 1, 10, 1, 8, (0.3,), (0.38,))


def test_the_optimiser_is_torchs_sgd_without_decay_on_batchnorm():
    torch.manual_seed(0)
    ours, theirs = wrn.build(ARCHITECTURE), wrn.build(ARCHITECTURE)
    theirs.load_state_dict(ours.state_dict())
    groups = [
        {"params": [p for n, p in theirs.named_parameters() if "batchnorm" not in n], "weight_decay": 5e-2},
        {"params": [p for n, p in theirs.named_parameters() if "batchnorm" in n], "weight_decay": 0.0},
    ]
    reference, optimiser = torch.optim.SGD(groups, lr=1.0, momentum=0.9, nesterov=True), Nesterov(ours, 5e-2)
    for rate, momentum in ((0.1, 0.9), (0.3, 0.85), (0.05, 0.95)):
        x = torch.rand(4, 1, 8, 8)
        for group in reference.param_groups:
            group.update(lr=rate, momentum=momentum)
        for network in (ours, theirs):
            network(x).square().sum().backward()
        optimiser.step(rate, momentum)
        reference.step()
        reference.zero_grad()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other), name
        assert mine.grad is None


@pytest.fixture
def study(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (160, 8, 8, 1), dtype=np.uint8)
    for name in ("real", "test", "shard"):
        shards.write(tmp_path / f"{name}.h5", images, np.arange(160) % 10, {})
    return tmp_path


def told(**changes):
    given = {
        "run": "wrn-10-1/edm-3/128/1", "architecture": ARCHITECTURE, "threat": Threat("Linf", 0.15), "seed": 3,
        "images": 128, "real_fraction": 0.125, "batch": 16, "beta": 5, "label_smoothing": 0.1, "attack_steps": 1,
        "attack_step_size": 0.1, "crop_padding": 1, "mirror": False, "learning_rate": 0.1, "warmup_fraction": 0.1,
        "momentum_low": 0.85, "momentum_high": 0.95, "weight_decay": 5e-4, "average_decay": 0.9,
        "batchnorm_momentum": 0.1,
        "curve": Curve((0.5, 1.0), 20, 2, 0.1, 4),
    }  # fmt: skip
    return Training(**(given | changes))


def train(folder, name, settings=None, minutes=10.0):
    paths = folder / f"{name}.safetensors", folder / f"{name}.parquet"
    loop.train(
        real_path=folder / "real.h5",
        test_path=folder / "test.h5",
        shard_paths=[folder / "shard.h5"],
        weights_path=paths[0],
        curve_path=paths[1],
        state_path=folder / f"{name}.state",
        settings=settings or told(),
        n_threads=1,
        n_gpus=0,
        state_minutes=minutes,
    )
    return [path.read_bytes() for path in paths]


class Killed(BaseException):
    """Stands for SIGKILL: nothing that handles errors sees it."""


@pytest.mark.parametrize("steps_done", [1, 4, 5, 7])
def test_a_run_cut_off_anywhere_ends_with_the_same_bytes(study, monkeypatch, steps_done):
    undisturbed = train(study, "undisturbed")
    advance, count = loop._Run.advance, [0]

    def dying(run):
        if count[0] == steps_done:
            raise Killed
        count[0] += 1
        return advance(run)

    monkeypatch.setattr(loop._Run, "advance", dying)
    with pytest.raises(Killed):
        train(study, "cut", minutes=0.0)
    assert (study / "cut.state").exists()
    assert not (study / "cut.safetensors").exists()
    monkeypatch.setattr(loop._Run, "advance", advance)
    resumed = []
    monkeypatch.setattr(loop._Run, "observe", _counting(loop._Run.observe, resumed))
    assert train(study, "cut") == undisturbed
    # rows before the cut are taken over, not measured again
    assert len(resumed) == (2 if steps_done < 4 else 1)
    assert not (study / "cut.state").exists()


def _counting(observe, calls):
    def counted(run, learning_rate):
        calls.append(run.step)
        observe(run, learning_rate)

    return counted


@pytest.mark.parametrize("damage", ["garbage", "other settings"])
def test_a_state_that_is_not_this_runs_is_passed_over(study, damage, caplog):
    if damage == "garbage":
        (study / "run.state").write_bytes(b"half a state")
    else:
        run = loop._Run(told(seed=4), torch.device("cpu"))
        run.save(study / "run.state")
    assert train(study, "run") == train(study, "other")
    assert any("starting from the beginning" in message for message in caplog.messages)


def test_the_curve_says_what_was_spent(study):
    train(study, "run")
    curve = records.read(study / "run.parquet", records.CURVES)
    assert curve["train_fraction"].tolist() == [0.0, 0.5, 1.0]
    assert curve["images"].tolist() == [0, 64, 128]
    # 9 passes for one attack step: 1 + 2 + 6
    from robustlaws.networks.cost import wrn_forward_flops

    assert curve["flops"].tolist() == [
        0,
        9 * 64 * wrn_forward_flops(10, 1, 8, 10, 1),
        9 * 128 * wrn_forward_flops(10, 1, 8, 10, 1),
    ]
    assert (curve["test_images"] == 20).all()


def test_a_diverging_run_says_what_to_change(study):
    with pytest.raises(ValueError, match="lower training.learning_rate"):
        train(study, "run", told(learning_rate=1e30))
    assert not (study / "run.safetensors").exists()
