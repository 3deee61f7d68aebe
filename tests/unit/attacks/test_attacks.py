"""Attacks on a small network, and their records."""

import copy
import logging

import numpy as np
import pytest
import torch

from robustlaws.attacks import pgd, record
from robustlaws.data import shards
from robustlaws.networks import checkpoint, wrn
from robustlaws.runtime import job_log
from robustlaws.runtime import progress as progress_
from robustlaws.settings import Architecture, AutoAttack, Compute, PgdCw, Threat, Training
from robustlaws.storage.atomic import digest
from tests.support.training_runs import training_settings

ARCHITECTURE = Architecture(10, 1, 10, 1, 8, (0.3,), (0.38,))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    built = wrn.build(ARCHITECTURE)
    built.train()(torch.rand(64, 1, 8, 8))  # statistics that are not those of the start
    return built.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images(network):
    x = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (24, 8, 8, 1), dtype=np.uint8))
    with torch.no_grad():
        labels = network(pgd.to_network(x, "cpu")).argmax(1)
    labels[:4] = (labels[:4] + 1) % 10  # four that are wrong from the start
    return x, labels


def evaluate(network, images, labels, **changes):
    given = {"epsilon": 0.02, "step_size": 0.005, "steps": 10, "beta": 5.0, "seed": 3, "batch": 512}
    return pgd.evaluate(network, images, labels, **(given | changes))


def test_the_attack_stays_in_the_ball_and_hurts(network, images):
    outcome = evaluate(network, *images)
    clean = images[0].numpy() / 255
    assert np.abs(outcome["adversarial"] - clean).max() <= 0.02 + 1e-6
    assert outcome["adversarial"].min() >= 0
    assert outcome["adversarial"].max() <= 1
    right = outcome["adversarial_prediction"] == images[1].numpy()
    assert right.sum() < 20
    assert (outcome["adversarial_loss"] >= outcome["clean_loss"]).all()


def test_wrong_images_keep_their_noise_only(network, images):
    short, long = (evaluate(network, *images, steps=steps)["adversarial"][:4] for steps in (0, 10))
    with torch.no_grad():
        noisy = network(torch.from_numpy(short).permute(0, 3, 1, 2)).argmax(1)
    still_wrong = (noisy != images[1][:4]).numpy()
    assert still_wrong.any()
    assert np.array_equal(short[still_wrong], long[still_wrong])


@pytest.mark.parametrize("batch", [5, 24])
def test_the_start_of_an_image_does_not_depend_on_its_batch(network, images, batch):
    item, other = evaluate(network, *images, steps=0), evaluate(network, *images, steps=0, batch=batch)
    assert np.array_equal(item["adversarial"], other["adversarial"])


def test_dropping_misclassified_images_changes_nothing(network, monkeypatch):
    x = torch.from_numpy(np.random.default_rng(5).integers(0, 256, (200, 8, 8, 1), dtype=np.uint8))
    with torch.no_grad():
        labels = network(pgd.to_network(x, "cpu")).argmax(1)
    dropped = evaluate(network, x, labels, epsilon=0.01, step_size=0.001, steps=8)
    monkeypatch.setattr(pgd, "_COMPACT", 10**6)
    kept = evaluate(network, x, labels, epsilon=0.01, step_size=0.001, steps=8)
    # the kernels round differently with the batch, which a sign can turn into a step
    assert (np.abs(dropped["adversarial"] - kept["adversarial"]) < 1e-6).mean() > 0.999
    assert (dropped["adversarial_prediction"] == kept["adversarial_prediction"]).mean() > 0.98


def test_pgd_attacks_no_network_that_cannot_be_judged(tmp_path, network, images):
    shards.write(tmp_path / "test.h5", images[0].numpy(), images[1].numpy(), {})
    settings = PgdCw("m/d/1/1", ARCHITECTURE, Threat("Linf", 0.02), 11, 2, 0.01, 5.0, None, 16)
    paths = {"weights_path": tmp_path / "w.safetensors", "test_path": tmp_path / "test.h5"}
    given = paths | {"outcome_path": tmp_path / "pgd.h5", "settings": settings, "compute": Compute()}
    checkpoint.save(paths["weights_path"], network, settings)
    pgd.pgd_cw(**given)
    columns, about = record.read(tmp_path / "pgd.h5")
    assert about["weights_sha256"] == digest(paths["weights_path"])
    assert len(columns["label"]) == len(images[1])
    broken = copy.deepcopy(network)
    broken.logits.bias[3] = float("nan")
    checkpoint.save(paths["weights_path"], broken, settings)
    with pytest.raises(ValueError, match="logits: not finite for 24 images"):
        pgd.pgd_cw(**given)


def test_a_record_comes_back(tmp_path):
    settings = AutoAttack("m/d/1/1", ARCHITECTURE, Threat("Linf", 0.01), 11, "standard", 3, 512)
    columns = {
        "clean_prediction": np.array([0, 1, 9]),
        "adversarial_prediction": np.array([0, 5, 9]),
        "adversarial": np.zeros((3, 8, 8, 1), np.float32),
    }
    record.write(
        tmp_path / "r.h5", np.array([0, 1, 2]), np.array([True, False, False]), columns, settings, {"attacks": ["x"]}
    )
    back, about = record.read(tmp_path / "r.h5")
    assert back["robust"].tolist() == [True, False, False]
    assert back["broken_by"].tolist() == [-1, 0, -1]  # held, broken, wrong from the start
    assert (about["run"], about["attacks"]) == ("m/d/1/1", ["x"])
    with pytest.raises(ValueError, match="different lengths"):
        record.write(tmp_path / "s.h5", np.array([0]), np.array([True]), columns, settings, {})
    (tmp_path / "t.h5").write_bytes(b"x")
    with pytest.raises(ValueError, match="not a readable HDF5"):
        record.read(tmp_path / "t.h5")


def test_weights_come_back_and_other_networks_are_refused(tmp_path, network):
    path = tmp_path / "weights.safetensors"
    checkpoint.save(path, network, Threat("Linf", 0.1))
    again = checkpoint.load(path, ARCHITECTURE, "cpu")
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(again(x), network(x))
    assert not again.training
    assert checkpoint.settings_of(path) == {"norm": "Linf", "epsilon": 0.1}
    with pytest.raises(ValueError, match="not the weights of a WRN-16-1"):
        checkpoint.load(path, Architecture(16, 1, 10, 1, 8, (0.3,), (0.38,)), "cpu")


def test_failing_job_logs_its_traceback_and_prints_one_line(tmp_path, capfd):
    def work():
        with job_log.to(tmp_path / "logs/job.log"):
            print("at work")
            logging.getLogger("robustlaws").info("half way")
            raise ValueError("the file is empty")

    with pytest.raises(SystemExit):
        work()
    text = (tmp_path / "logs/job.log").read_text()
    assert "at work" in text
    assert "half way" in text
    assert "Traceback" in text
    output = capfd.readouterr().err
    assert output.count("\n") == 1
    assert output.startswith("the file is empty (log: ")


def test_progress_says_rate_and_time_left(caplog):
    caplog.set_level(logging.INFO, "robustlaws")
    progress = progress_.Progress("training x", 4000, every=0)
    progress.start -= 10
    progress.advance(1000, "loss 1.5")
    assert "training x: 1,000 of 4,000 images (25 %)" in caplog.text
    assert "/s, 30 s left; loss 1.5" in caplog.text


def test_synthetic_images_of_a_mixed_run():
    mixed = training_settings(images=4096, batch=32)
    assert isinstance(mixed, Training)
    assert (mixed.synthetic_per_batch, mixed.synthetic_images, mixed.steps) == (28, 3584, 128)
