"""The optimiser and the training loop."""

import os
import signal
import time

import pytest
import torch

from robustlaws.attacks import pgd
from robustlaws.data import shards
from robustlaws.networks import checkpoint, wrn, wrn_flops
from robustlaws.runtime import folder_lock, resumable_state
from robustlaws.runtime.signals import Stopped
from robustlaws.settings import Curve, as_params
from robustlaws.storage import tables
from robustlaws.training import distributed, learning_curve
from robustlaws.training.optimiser import Nesterov
from robustlaws.training.run_state import Run
from tests.support.training_runs import ARCHITECTURE, _batches, train, training_settings


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


class Killed(BaseException):
    """Stands for SIGKILL: nothing that handles errors sees it."""


@pytest.fixture
def dies_after(monkeypatch):
    """Return a function that makes runs die before they do more than a number of steps; None heals them."""
    advance = Run.advance

    def arrange(steps):
        done = iter(range(steps)) if steps is not None else None

        def dying(run):
            if done is not None and next(done, None) is None:
                raise Killed
            return advance(run)

        monkeypatch.setattr(Run, "advance", dying)

    return arrange


@pytest.mark.parametrize("steps_done", [1, 4, 5, 7])
def test_a_run_cut_off_anywhere_ends_with_the_same_bytes(study, monkeypatch, dies_after, steps_done):
    settings = training_settings(validation_images=32)
    undisturbed = train(study, "undisturbed", settings)
    dies_after(steps_done)
    with pytest.raises(Killed):
        train(study, "cut", settings, state_minutes=1e-9)
    assert len(list((study / "cut.partial").glob("state-*.pt"))) == 2
    assert not (study / "cut.safetensors").exists()
    dies_after(None)
    measured, measure = [], learning_curve.row
    monkeypatch.setattr(learning_curve, "row", lambda s, step, *rest: measured.append(step) or measure(s, step, *rest))
    assert train(study, "cut", settings) == undisturbed
    # rows before the cut are taken over, not measured again
    assert measured == ([4, 8] if steps_done < 4 else [8])
    assert not (study / "cut.partial").exists()


def test_loop_resumes_a_mixture_in_small_windows(study, dies_after):
    # 75 draws from the first 40 images of one dataset and 37 from those of another, whose windows are 20 images
    settings = training_settings(shares=(2, 1), unique_images=40, window_images=20)
    assert settings.parts == [(40, 75), (37, 37)]
    names = ("shard", "real")
    undisturbed = train(study, "undisturbed", settings, names)
    assert undisturbed != train(study, "other", training_settings(unique_images=40, window_images=20))
    dies_after(5)
    with pytest.raises(Killed):
        train(study, "cut", settings, names, state_minutes=1e-9)
    dies_after(None)
    assert train(study, "cut", settings, names) == undisturbed
    with pytest.raises(ValueError, match="no shards: 0 images, 37 wanted"):
        train(study, "short", settings)


@pytest.mark.parametrize("damage", ["truncated", "a bit", "no description", "garbled description", "half written"])
def test_a_damaged_state_falls_back_to_the_one_before(study, dies_after, damage, caplog):
    undisturbed = train(study, "undisturbed")
    dies_after(6)
    with pytest.raises(Killed):
        train(study, "cut", state_minutes=1e-9)
    dies_after(None)
    _, newest = sorted((study / "cut.partial").glob("state-*.pt"))
    content = newest.read_bytes()
    if damage == "truncated":
        newest.write_bytes(content[: len(content) // 2])
    elif damage == "a bit":
        place = len(content) // 2
        newest.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    elif damage == "no description":  # killed between the two files
        newest.with_suffix(".json").unlink()
    elif damage == "garbled description":
        newest.with_suffix(".json").write_text('{"sha256": ')
    else:
        newest.rename(newest.with_name(f".{newest.name}.partial"))
        newest.with_suffix(".json").unlink()
    caplog.set_level("INFO", "robustlaws")
    assert train(study, "cut") == undisturbed
    assert "going on at step 5 of 8" in caplog.text  # the newest one said 6


@pytest.mark.parametrize(
    ("changes", "revision", "says"),
    [({"beta": 6}, "train-r1", "settings.beta is 5.0 there and 6.0 here"), ({}, "train-r2", "revision is 'train-r1'")],
)
def test_a_state_of_other_settings_is_refused_and_kept(study, dies_after, changes, revision, says):
    dies_after(3)
    with pytest.raises(Killed):
        train(study, "cut", state_minutes=1e-9)
    dies_after(None)
    owner = {"revision": revision, "settings": as_params(training_settings(**changes))}
    with pytest.raises(ValueError, match=says) as refused:
        resumable_state.newest(study / "cut.partial", owner)
    assert "step 3" in str(refused.value)
    assert "delete that folder to start anew" in str(refused.value)
    assert "\n" not in str(refused.value)
    if changes:
        with pytest.raises(ValueError, match="other settings"):
            train(study, "cut", training_settings(**changes))
    assert list((study / "cut.partial").glob("state-*.pt"))


def test_a_state_of_other_images_is_refused(study, dies_after):
    dies_after(3)
    with pytest.raises(Killed):
        train(study, "cut", state_minutes=1e-9)
    dies_after(None)
    images, labels = shards.read(study / "shard.h5")
    shards.write(study / "shard.h5", 255 - images, labels, {})
    with pytest.raises(ValueError, match="images.shard 0 is '.*' there and '.*' here.; put the setting back"):
        train(study, "cut")


def test_the_one_before_stays_whatever_damage_lies_about(tmp_path):
    for step in (1, 2, 3):
        resumable_state.save(tmp_path, {"step": step}, {"a": 1}, step)
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["state-000002.pt", "state-000003.pt"]
    (tmp_path / "state-000004.pt").write_bytes(b"killed before its description was written")
    (tmp_path / "state-000003.pt").write_bytes(b"damaged")
    assert resumable_state.read(resumable_state.newest(tmp_path, {"a": 1})) == {"step": 2}
    resumable_state.save(tmp_path, {"step": 5}, {"a": 1}, 5)
    resumable_state.newest(tmp_path, {"a": 1}).write_bytes(b"damaged again")
    assert resumable_state.read(resumable_state.newest(tmp_path, {"a": 1})) == {"step": 2}


def test_two_jobs_never_work_on_the_same_states(tmp_path):
    with folder_lock.locked(tmp_path):
        with pytest.raises(ValueError, match="another process is at work on this run"):
            with folder_lock.locked(tmp_path, seconds=0.2):
                pass
    with folder_lock.locked(tmp_path):
        pass


@pytest.mark.parametrize("by", ["SIGTERM", "SIGUSR1", "SIGINT", "budget"])
def test_a_stopped_run_saves_its_state_and_goes_on(study, monkeypatch, by):
    undisturbed = train(study, "undisturbed")
    advance = Run.advance

    def signalled(run):
        if run.step == 3 and by != "budget":
            os.kill(os.getpid(), getattr(signal, by))
        return advance(run)

    monkeypatch.setattr(Run, "advance", signalled)
    with pytest.raises(Stopped, match=r"stopped \(.*\) at step . of 8, state saved; the same job goes on"):
        train(study, "cut", budget_minutes=1e-9 if by == "budget" else None)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    monkeypatch.setattr(Run, "advance", advance)
    assert train(study, "cut") == undisturbed


def test_the_log_of_an_attempt_tells_of_those_before(study, caplog):
    caplog.set_level("INFO", "robustlaws")
    for _ in range(2):
        with pytest.raises(Stopped):
            train(study, "cut", ends=time.time() - 1)
    caplog.clear()  # Snakemake removes the log of a failed job
    train(study, "cut")
    told_again = [message.split(" ", 3)[3] for message in caplog.messages if message.startswith("earlier: ")]
    assert [words.split(": ")[-1].split(" on ")[0] for words in told_again] == [
        "started",
        "stopped (the time budget is used up) at step 0 of 8, state saved; the same job goes",
        "started",
        "going",
        "stopped (the time budget is used up) at step 0 of 8, state saved; the same job goes",
    ]
    assert "going on at step 0 of 8" in caplog.messages


def test_a_run_can_be_stopped_while_it_is_measured(study, monkeypatch, caplog):
    undisturbed = train(study, "undisturbed")
    evaluate = pgd.evaluate

    def signalled(*given, **named):
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(*given, **named)

    monkeypatch.setattr(pgd, "evaluate", signalled)
    with pytest.raises(Stopped, match="at step 0 of 8"):
        train(study, "cut")
    monkeypatch.setattr(pgd, "evaluate", evaluate)
    assert train(study, "cut") == undisturbed


def test_loop_keeps_the_weights_of_best_held_out_accuracy(study, monkeypatch):
    accuracies = iter([0.3, 0.5, 0.5, 0.2])
    real = learning_curve.measured

    def measured(network, images, labels, *rest):
        outcome = real(network, images, labels, *rest)
        return outcome | {"adv_acc": next(accuracies)} if len(labels) == 32 else outcome

    monkeypatch.setattr(learning_curve, "measured", measured)
    fractions = Curve((0.25, 0.5, 0.75, 1.0), 20, 2, 0.1, 4)
    last, best, _ = train(study, "run", training_settings(validation_images=32, curve=fractions))
    # of two equally good ones the later: the weights after 6 of 8 steps
    short = Run(
        training_settings(validation_images=32),
        distributed.SingleProcess(torch.device("cpu")),
        _batches(study, training_settings(), 32),
    )
    for _ in range(6):
        short.advance()
    short.average.copy_statistics(short.network)
    checkpoint.save(
        study / "six.safetensors", short.average.network, training_settings(validation_images=32, curve=fractions)
    )
    assert best == (study / "six.safetensors").read_bytes() != last


def test_without_held_out_images_the_best_weights_are_the_last(study):
    last, best, _ = train(study, "run")
    assert best == last


def test_the_curve_says_what_was_spent(study):
    train(study, "run")
    rows = tables.read(study / "run.parquet", tables.CURVES)
    assert rows["train_fraction"].tolist() == [0.0, 0.5, 1.0]
    assert rows["images"].tolist() == [0, 64, 128]
    # 9 passes charged for one attack step, 1 + 2 + 6; 8 made, as the clean pass serves twice
    forward = wrn_flops.wrn_forward_flops(10, 1, 8, 10, 1)
    assert rows["flops"].tolist() == [0, 9 * 64 * forward, 9 * 128 * forward]
    assert rows["flops_spent"].tolist() == [0, 8 * 64 * forward, 8 * 128 * forward]
    assert (rows["test_images"] == 20).all()


def test_a_diverging_run_says_what_to_change(study):
    with pytest.raises(ValueError, match="lower training.learning_rate"):
        train(study, "run", training_settings(learning_rate=1e30))
    assert not (study / "run.safetensors").exists()
