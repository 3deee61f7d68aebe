"""The attack of the training on finished weights, against its definition worked out by hand on a linear network."""

import numpy as np
import pytest
import torch

from robustlaws.attacks import pgd, record, training_attack
from robustlaws.data import shards
from robustlaws.networks import checkpoint
from robustlaws.settings import Architecture, Compute, PgdCw, Threat
from tests.support.training_attacks import ARCHITECTURE, EPSILON, SEED, STEP, STEPS, attack, files


class Linear(torch.nn.Module):
    """Logits W x + b of flattened pixels; float64, so that signs do not hang on rounding."""

    def __init__(self, weight, bias):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.from_numpy(weight), requires_grad=False)
        self.bias = torch.nn.Parameter(torch.from_numpy(bias), requires_grad=False)

    def forward(self, images):
        return images.double().flatten(1) @ self.weight.T + self.bias


@pytest.fixture(scope="module")
def linear():
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(0, 1.5, (3, 12)), rng.normal(0, 0.1, 3)
    images, labels = rng.integers(0, 256, (9, 3, 4, 1), dtype=np.uint8), rng.integers(0, 3, 9)
    return weight, bias, images, labels


def evaluate(weight, bias, images, labels, **changes):
    given = {"epsilon": EPSILON, "step_size": STEP, "steps": STEPS, "objective": "kl", "seed": SEED, "batch": 4}
    network = Linear(weight, bias).eval()
    return training_attack.evaluate(network, torch.from_numpy(images), torch.from_numpy(labels), **(given | changes))


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def by_hand(weight, bias, image, label, index, objective):
    """Return the attacked image: of both objectives the gradient by the pixels is W^T (softmax - target)."""
    clean = image.astype(float).ravel() / 255
    noise = pgd.unit_noise((1, *image.shape[:2]), SEED, index).numpy().ravel()
    target = softmax(weight @ clean + bias) if objective == "kl" else np.eye(3)[label]
    attacked = np.clip(clean + EPSILON * noise, 0, 1)
    for _ in range(STEPS):
        gradient = weight.T @ (softmax(weight @ attacked + bias) - target)
        attacked = attacked + STEP * np.sign(gradient)
        attacked = np.clip(np.clip(attacked, clean - EPSILON, clean + EPSILON), 0, 1)
    return attacked.reshape(image.shape)


@pytest.mark.parametrize("objective", ["kl", "cross_entropy"])
def test_a_linear_network_is_attacked_as_by_hand(linear, objective):
    weight, bias, images, labels = linear
    outcome = evaluate(*linear, objective=objective)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        right = (weight @ (image / 255).ravel() + bias).argmax() == label
        wanted = by_hand(weight, bias, image, label, i, objective) if right else image / 255
        assert np.abs(outcome["adversarial"][i] - wanted).max() < 1e-6
        for column, pixels in (("clean_prediction", image / 255), ("adversarial_prediction", wanted)):
            assert outcome[column][i] == (weight @ pixels.ravel() + bias).argmax()
    clean = images / 255
    left = (outcome["adversarial"] == clean.astype(np.float32)).all(axis=(1, 2, 3))
    assert left.tolist() == (outcome["clean_prediction"] != labels).tolist()
    assert 0 < left.sum() < len(labels)
    assert np.abs(outcome["adversarial"] - clean).max() <= EPSILON + 1e-6
    assert 0 <= outcome["adversarial"].min() <= outcome["adversarial"].max() <= 1
    assert outcome["adversarial"].dtype == np.float32


def test_the_objectives_differ(linear):
    kl, entropy = (evaluate(*linear, objective=name)["adversarial"] for name in ("kl", "cross_entropy"))
    assert np.abs(kl - entropy).max() > EPSILON


@pytest.mark.parametrize("batch", [1, 9])
def test_training_attack_is_independent_of_batch_and_count(linear, batch):
    weight, bias, images, labels = linear
    whole, other = evaluate(*linear), evaluate(*linear, batch=batch)
    few = evaluate(weight, bias, images[:5], labels[:5], batch=batch)
    for name, values in whole.items():
        assert np.allclose(values, other[name], atol=1e-7), name
        assert np.allclose(values[:5], few[name], atol=1e-7), name


def test_the_record_says_what_became_of_each_image(tmp_path):
    given = files(tmp_path)
    training_attack.attack_as_in_training(**given, settings=attack())
    columns, about = record.read(given["outcome_path"])
    images, labels = shards.read(given["images_path"])
    assert (about["run"], about["attacks"], about["epsilon"]) == ("a/run", ["inner"], 0.02)
    assert np.array_equal(columns["index"], np.arange(40))
    assert np.array_equal(columns["label"], labels)
    assert about["clean_acc"] == (columns["clean_prediction"] == labels).mean() == 0.9
    assert about["robust_acc"] == columns["robust"].mean() < 0.9
    assert np.array_equal(columns["robust"], (columns["clean_prediction"] == labels)
                          & (columns["adversarial_prediction"] == labels))  # fmt: skip
    assert np.abs(columns["adversarial"] - images / 255).max() <= 0.02 + 1e-6
    network = checkpoint.load(given["weights_path"], ARCHITECTURE, "cpu")
    assert all(not parameter.requires_grad for parameter in network.parameters())
    with torch.no_grad():
        again = network(torch.from_numpy(columns["adversarial"]).permute(0, 3, 1, 2)).argmax(1).numpy()
    assert np.array_equal(again, columns["adversarial_prediction"])
    # those that were wrong from the start fool it as they are
    assert np.array_equal(columns["robust"], columns["adversarial_prediction"] == labels)
    assert np.array_equal(columns["adversarial"][:4], (images[:4] / 255).astype(np.float32))


def test_the_statistics_of_the_network_are_not_those_of_a_batch(tmp_path):
    """In train mode an image would be judged by its batch: alone it would be another one."""
    given = files(tmp_path)
    results = []
    for batch, count in ((40, None), (1, 12)):
        training_attack.attack_as_in_training(**given, settings=attack(batch=batch, images=count))
        results.append(record.read(given["outcome_path"])[0])
    assert len(results[1]["index"]) == 12
    # the kernels round differently with the batch, which a sign can turn into a step
    near = np.abs(results[0]["adversarial"][:12] - results[1]["adversarial"]) < 1e-6
    assert near.mean() > 0.99
    training_attack.attack_as_in_training(**given, settings=attack(images=1000))
    assert len(record.read(given["outcome_path"])[0]["index"]) == 40


def test_it_starts_where_the_attack_of_the_evaluation_starts(tmp_path):
    given = files(tmp_path)
    training_attack.attack_as_in_training(**given, settings=attack(steps=0))
    paths = {"weights_path": given["weights_path"], "test_path": given["images_path"]}
    told_pgd = PgdCw("a/run", ARCHITECTURE, Threat("Linf", 0.02), SEED, 0, 0.01, 5.0, None, 16)
    pgd.pgd_cw(**paths, outcome_path=tmp_path / "pgd.h5", settings=told_pgd, compute=Compute())
    item, other = (record.read(tmp_path / name)[0] for name in ("inner.h5", "pgd.h5"))
    right = item["clean_prediction"] == item["label"]  # the others are left alone by this one
    assert right.sum() == 36
    assert np.array_equal(item["adversarial"][right], other["adversarial"][right])


def test_weights_of_another_network_are_refused_in_one_line(tmp_path):
    given = files(tmp_path)
    other = Architecture(16, 1, 10, 1, 8, (0.3,), (0.38,))
    with pytest.raises(ValueError, match=r"weights\.safetensors: not the weights of a WRN-16-1"):
        training_attack.attack_as_in_training(**given, settings=attack(architecture=other))
