"""Sampling, quality and what is stored of a generator."""

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel

from robustlaws.data import shards
from robustlaws.generators import edm, fitting, quality, storage
from robustlaws.networks import wrn
from robustlaws.settings import Architecture, GeneratorTraining, Sampling


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """A tiny generator, trained for two updates, and its folder."""
    folder = tmp_path_factory.mktemp("generator")
    rng = np.random.default_rng(0)
    shards.write(folder / "train.h5", rng.integers(0, 256, (64, 8, 8, 1), dtype=np.uint8), np.arange(64) % 10, {})
    told = GeneratorTraining(
        kind="edm", seed=1, classes=10, channels=1, image_size=8, widths=(8, 16), blocks=1, attention=True, dropout=0.1,
        batch=8, updates=2, learning_rate=1e-3, ramp_images=0, ema_half_life_images=100, p_mean=-1.2, p_std=1.2,
        sigma_data=0.5, crop_padding=1, mirror=True,
    )  # fmt: skip
    for name in ("a", "b"):
        fitting.train_edm(
            train_path=folder / "train.h5",
            config_path=folder / name / "config.json",
            weights_path=folder / name / "diffusion_pytorch_model.safetensors",
            settings=told,
            n_threads=1,
            n_gpus=0,
        )
    return folder


def sample(folder, first, count, **changes):
    given = {
        "dataset": "edm-3", "generator": "edm", "sampler": "edm", "steps": 3, "sigma_min": 0.002, "sigma_max": 80,
        "rho": 7, "seed": 5, "labels": "balanced", "classes": 10, "first": first, "count": count, "batch": 16,
    }  # fmt: skip
    path = folder / f"{first}-{count}.h5"
    edm.sample(
        config_path=folder / "a/config.json",
        weights_path=folder / "a/diffusion_pytorch_model.safetensors",
        shard_path=path,
        settings=Sampling(**(given | changes)),
        n_threads=1,
        n_gpus=0,
    )
    return shards.read(path)


def test_an_image_is_a_function_of_its_index_whatever_the_shards(generator):
    images, labels = sample(generator, 0, 48)
    for first, count in ((0, 7), (7, 20), (27, 21), (40, 8)):
        part, part_labels = sample(generator, first, count)
        assert np.array_equal(part, images[first : first + count])
        assert np.array_equal(part_labels, labels[first : first + count])
    assert labels.tolist() == [i % 10 for i in range(48)]
    assert len({image.tobytes() for image in images}) == 48


def test_another_batch_changes_rounding_at_most(generator):
    one, other = sample(generator, 0, 48)[0].astype(int), sample(generator, 0, 48, batch=7)[0].astype(int)
    assert np.abs(one - other).max() <= 1
    assert (one != other).mean() < 1e-3


def test_other_seeds_and_step_counts_give_other_images(generator):
    images, _ = sample(generator, 0, 8)
    assert not np.array_equal(images, sample(generator, 0, 8, seed=6)[0])
    assert not np.array_equal(images, sample(generator, 0, 8, steps=4)[0])


def test_random_labels_do_not_move_the_latents():
    given = (range(100), 5, (1, 8, 8), 10)
    balanced, random = (edm.latents_and_labels(*given, labels) for labels in ("balanced", "random"))
    assert torch.equal(balanced[0], random[0])
    assert set(random[1].tolist()) == set(range(10))
    assert not torch.equal(balanced[1], random[1])


def test_the_latents_are_standard_normal():
    latents, _ = edm.latents_and_labels(range(500), 1, (1, 8, 8), 10, "balanced")
    assert abs(float(latents.mean())) < 0.02
    assert float(latents.std()) == pytest.approx(1, abs=0.02)


def test_training_a_generator_twice_gives_the_same_bytes(generator):
    names = "config.json", "diffusion_pytorch_model.safetensors"
    assert all((generator / "a" / name).read_bytes() == (generator / "b" / name).read_bytes() for name in names)


def test_diffusers_reads_what_is_stored(generator):
    theirs = UNet2DModel.from_pretrained(generator / "a").eval()
    ours, about = storage.load(generator / "a/config.json", generator / "a/diffusion_pytorch_model.safetensors", "cpu")
    given = torch.randn(2, 1, 8, 8), torch.tensor([0.1, 0.2]), torch.tensor([3, 4])
    with torch.no_grad():
        assert torch.equal(theirs(*given).sample, ours(*given).sample)
    assert about["sigma_data"] == 0.5


def test_the_network_is_conditioned_on_the_class(generator):
    ours, _ = storage.load(generator / "a/config.json", generator / "a/diffusion_pytorch_model.safetensors", "cpu")
    x, noise = torch.randn(1, 1, 8, 8), torch.tensor([0.1])
    with torch.no_grad():
        made = [ours(x, noise, torch.tensor([label])).sample for label in (0, 1)]
    assert not torch.equal(*made)


def gaussian_distance(one, other):
    """Return the Frechet distance of two samples by its formula, with numpy's eigenvalues."""
    mean = np.square(one.mean(0) - other.mean(0)).sum()
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = np.sqrt(np.linalg.eigvals(first @ second).astype(complex)).real.sum()
    return mean + np.trace(first) + np.trace(second) - 2 * root


def test_the_fid_is_the_frechet_distance_of_the_features():
    torch.manual_seed(0)
    network = wrn.build(Architecture(10, 1, 10, 1, 8, (0.3,), (0.4,))).eval()
    rng = np.random.default_rng(1)
    real = rng.integers(0, 256, (300, 8, 8, 1), dtype=np.uint8)
    made = rng.integers(0, 128, (200, 8, 8, 1), dtype=np.uint8)
    with torch.no_grad():
        features = [
            network.features(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).double().numpy()
            for images in (real, made)
        ]
    measured = quality.frechet_distance(network, real, made, batch=64)
    assert measured == pytest.approx(gaussian_distance(*features), rel=1e-4)
    assert quality.frechet_distance(network, real, real) == pytest.approx(0, abs=1e-4 * measured)
