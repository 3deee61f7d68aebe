"""Training of generators and of the pair of discriminator guidance: what they learn; no kill changes a byte."""

import contextlib
import json
import random
import signal
import time
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from PIL import Image

from robustlaws.data import shards
from robustlaws.generators import network_files, sample_sheet
from robustlaws.generators.training import augmentation, guidance, losses
from robustlaws.generators.training import generator as fitting
from robustlaws.runtime.signals import Stopped
from robustlaws.settings import Compute, EncoderTraining, GeneratorTraining

KILLS = 3
NETWORK = {
    "img_resolution": 8, "in_channels": 1, "out_channels": 1, "label_dim": 10, "augment_dim": 9, "model_channels": 8,
    "channel_mult": (1,), "channel_mult_emb": 2, "num_blocks": 1, "attn_resolutions": (), "dropout": 0.1,
    "label_dropout": 0.0, "embedding_type": "fourier", "channel_mult_noise": 1, "encoder_type": "residual",
    "decoder_type": "standard", "resample_filter": (1, 3, 3, 1),
}  # fmt: skip
GENERATOR = {
    "kind": "pfgmpp", "seed": 1, "network": NETWORK, "batch": 8, "updates": 20, "learning_rate": 1e-3,
    "ramp_images": 100, "ema_half_life_images": 100, "p_mean": -1.2, "p_std": 1.2, "sigma_data": 0.5, "augment": 0.3,
    "mirror": True, "augmented_dimension": 16,
}  # fmt: skip
ENCODER = {
    "img_resolution": 8, "in_channels": 1, "model_channels": 32, "channel_mult": (1, 1), "depth": 1, "attention": (2,),
    "outputs": 10, "head_channels": 32,
}  # fmt: skip
JUDGE = {
    "img_resolution": 4, "in_channels": 32, "model_channels": 32, "channel_mult": (1,), "depth": 1, "attention": (),
    "outputs": 1, "label_table": 10, "head_channels": 32,
}  # fmt: skip
PAIR = {
    "generator": "dg",
    "seed": 2,
    "classes": 10,
    "batch": 8,
    "updates": 60,
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
}


@pytest.fixture
def folder(tmp_path):
    """Return a folder with real images, of classes that differ in brightness, and white noise as fakes."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 10
    images = rng.integers(0, 20, (80, 8, 8, 1)) + 20 * labels[:, None, None, None]
    shards.write(tmp_path / "real.h5", images.astype(np.uint8), labels, {"class_names": list("abcdefghij")})
    shards.write(tmp_path / "fake.h5", rng.integers(0, 256, images.shape, dtype=np.uint8), labels, {})
    return tmp_path


def generator(folder, name="g", compute=None, **changes):
    fitting.train_generator(
        train_path=folder / "real.h5",
        config_path=folder / f"{name}.json",
        weights_path=folder / f"{name}.safetensors",
        grid_path=folder / f"{name}.png",
        state_path=folder / f"{name}.partial",
        settings=GeneratorTraining(**(GENERATOR | changes)),
        revision="r1",
        compute=compute or Compute(),
    )


def extractor(folder, name="extractor", **changes):
    guidance.train_extractor(
        train_path=folder / "real.h5",
        config_path=folder / f"{name}.json",
        weights_path=folder / f"{name}.safetensors",
        state_path=folder / f"{name}.partial",
        settings=EncoderTraining(**(PAIR | {"network": ENCODER} | changes)),
        revision="r1",
        compute=Compute(),
    )


def discriminator(folder, name="discriminator", compute=None, **changes):
    guidance.train_discriminator(
        train_path=folder / "real.h5",
        fake_paths=[folder / "fake.h5"],
        extractor_config_path=folder / "extractor.json",
        extractor_weights_path=folder / "extractor.safetensors",
        config_path=folder / f"{name}.json",
        weights_path=folder / f"{name}.safetensors",
        state_path=folder / f"{name}.partial",
        settings=EncoderTraining(**(PAIR | {"network": JUDGE, "fakes": 80} | changes)),
        revision="r1",
        compute=compute or Compute(),
    )


def killed_at(update, train, state_path):
    """Train in a process of its own and kill it in or after `update`; return whether it was killed."""
    job = get_context("fork").Process(target=train, daemon=True)  # torch is loaded already
    job.start()
    while job.is_alive() and step_of(state_path) < update:
        time.sleep(0.001)
    job.kill()
    job.join()
    return job.exitcode == -signal.SIGKILL


def step_of(state_path):
    """Return the update of the newest state, -1 without one."""
    steps = [-1]
    for path in state_path.glob("state-*.json"):
        with contextlib.suppress(FileNotFoundError):  # forgotten by now
            steps.append(json.loads(path.read_text())["step"])
    return max(steps)


@pytest.mark.parametrize("kind", ["generator", "discriminator"])
def test_kills_at_random_updates_change_no_byte(folder, kind):
    extractor(folder, updates=2)
    train = generator if kind == "generator" else discriminator
    train(folder, "alone", updates=24)
    often = partial(train, folder, "killed", Compute(state_minutes=1e-6), updates=24)
    for update in sorted(random.Random(2).sample(range(1, 20), KILLS)):
        assert killed_at(update, often, folder / "killed.partial")
        assert update <= step_of(folder / "killed.partial") < 24
        if kind == "generator":
            assert list((folder / "killed.partial").glob("grid-*.png"))
    assert not (folder / "killed.safetensors").exists()
    train(folder, "killed", updates=24)
    for suffix in [".json", ".safetensors", *([".png"] if kind == "generator" else [])]:
        assert (folder / f"killed{suffix}").read_bytes() == (folder / f"alone{suffix}").read_bytes(), suffix
    assert not (folder / "killed.partial").exists()


def test_training_budget_saves_a_state_for_its_owner_only(folder):
    with pytest.raises(Stopped, match=r"generator pfgmpp: stopped \(the time budget is used up\) at update 0 of 2"):
        generator(folder, updates=2, compute=Compute(budget_minutes=1e-9))
    with pytest.raises(ValueError, match="other settings"):
        generator(folder, updates=3)
    generator(folder, updates=2)
    assert (folder / "g.png").exists()


def test_what_is_trained_is_stored_with_what_it_needs(folder):
    generator(folder, updates=2)
    module, about = network_files.load(folder / "g.json", folder / "g.safetensors", torch.device("cpu"))
    assert about["kind"] == "pfgmpp"
    assert about["augmented_dimension"] == 16
    assert module(torch.zeros(2, 1, 8, 8), torch.ones(2), torch.eye(10)[:2]).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("kind", ["edm", "pfgmpp"])
def test_a_generator_learns_the_brightness_of_its_classes(folder, kind):
    plain = NETWORK | {"dropout": 0.0, "augment_dim": 0}
    settings = {"augmented_dimension": 128} if kind == "pfgmpp" else {"augmented_dimension": None}
    generator(
        folder,
        kind=kind,
        network=plain,
        batch=32,
        updates=60,
        learning_rate=1e-2,
        augment=0.0,
        mirror=False,
        **settings,
    )
    module, _ = network_files.load(folder / "g.json", folder / "g.safetensors", torch.device("cpu"))
    with torch.no_grad():  # at a high noise level the best guess is the mean of the class
        guess = module(80 * torch.randn(10, 1, 8, 8), torch.tensor(80.0), torch.eye(10))
    levels = (guess.mean((1, 2, 3)) + 1) * 127.5
    assert np.corrcoef(levels.numpy(), np.arange(10))[0, 1] > 0.9


def test_parts_of_a_batch_change_rounding_at_most(folder):
    # without dropout, whose masks are drawn part by part; rates so low that no rounding grows
    settings = {"network": NETWORK | {"dropout": 0.0}, "updates": 3, "learning_rate": 1e-6}
    generator(folder, "whole", **settings)
    generator(folder, "parts", accumulate=4, **settings)
    whole, parts = (
        network_files.load(folder / f"{name}.json", folder / f"{name}.safetensors", torch.device("cpu"))[0].state_dict()
        for name in ("whole", "parts")
    )
    assert all(torch.allclose(whole[name], parts[name], atol=2e-6) for name in whole)


def test_the_discriminator_tells_fakes_from_real_images(folder):
    extractor(folder, updates=20)
    discriminator(folder, updates=60, batch=32)
    load = [
        network_files.load(folder / f"{n}.json", folder / f"{n}.safetensors", "cpu")
        for n in ("extractor", "discriminator")
    ]
    assert [about["kind"] for _, about in load] == ["extractor", "discriminator"]
    time, ratios = torch.full((80,), 0.01), {}
    for name in ("real", "fake"):
        images, labels = (torch.from_numpy(part) for part in shards.read(folder / f"{name}.h5"))
        x = images.permute(0, 3, 1, 2) / 127.5 - 1
        with torch.no_grad():
            ratios[name] = load[1][0](load[0][0].features(x, time), time, labels)[:, 0]
    right = torch.cat([ratios["real"] > 0, ratios["fake"] < 0]).float().mean()
    assert right > 0.8


def test_no_augmentation_gives_the_images_themselves():
    images = torch.rand(4, 3, 8, 8)
    given, labels = augmentation.augment(images, 0.0, False, torch.Generator())
    assert given is images
    assert torch.equal(labels, torch.zeros(4, 9))


def test_parameters_of_zero_change_nothing():
    images, parameters = torch.rand(4, 3, 8, 10), torch.zeros(4, 8)
    assert torch.equal(augmentation.apply(images, parameters), images)
    assert not augmentation.labels(parameters).any()
    parameters[:, augmentation.SCALE] = 1e-9  # so close to nothing that all filters are passed
    assert torch.allclose(augmentation.apply(images, parameters), images, atol=5e-6)


def test_flips_and_quarter_turns_move_pixels():
    # smooth, as a turn goes through an interpolation
    coarse = torch.rand((3, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    images = torch.nn.functional.interpolate(coarse, (16, 16), mode="bicubic")
    parameters = torch.zeros(3, 8)
    parameters[0, augmentation.XFLIP] = parameters[1, augmentation.YFLIP] = 1
    parameters[2, augmentation.ROTATE] = np.pi / 2
    given = augmentation.apply(images, parameters)
    assert torch.equal(given[0], images[0].flip(2))
    assert torch.equal(given[1], images[1].flip(1))
    inner = slice(2, -2)  # what is reflected at the border is not smooth
    assert torch.allclose(given[2, :, inner, inner], images[2].rot90(1, (1, 2))[:, inner, inner], atol=0.02)


def test_how_often_each_transform_is_drawn():
    count = 20_000
    parameters = augmentation.draw(count, 0.12, True, torch.Generator().manual_seed(0))
    shares = (parameters != 0).float().mean(0).tolist()
    # the upside-down flip is drawn by one coin and applied by another
    expected = [0.5, 0.06, 0.12, 0.12, 0.12, 0.5, 0.12, 0.12]
    assert shares == pytest.approx(expected, abs=0.015)
    assert torch.equal(parameters[:, 6] != 0, parameters[:, 7] != 0)
    assert not augmentation.draw(count, 0.12, False, torch.Generator())[:, :2].any()


def test_poissons_perturbation_tends_to_the_gaussian():
    dimension, rng = 10**8, np.random.default_rng(0)
    normal = torch.from_numpy(rng.standard_normal((200, 3, 8, 8))).float()
    beta = torch.from_numpy(rng.beta(96, dimension / 2, 200))
    radii = losses.poisson_radius(torch.full((200,), 2.0), beta.clip(1e-3), 10)  # clipped: the least there is
    assert torch.allclose(radii, torch.full((200,), 2 * (10 * (1e-3 / 0.999 + 1e-8)) ** 0.5, dtype=torch.float64))
    beta = torch.from_numpy(rng.beta(96, 4096 / 2, 200))
    sizes = losses.poisson(torch.full((200,), 2.0), beta, normal, 4096).flatten(1).square().sum(1)
    # E[R^2] = sigma^2 D N / (D - 2)
    assert float(sizes.mean()) == pytest.approx(4 * 192 * 4096 / 4094, rel=0.05)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"learning_rate": 1e30, "ramp_images": 0}, r"pfgmpp: the loss is (nan|inf) at update \d; lower its learning"),
        ({"augmented_dimension": None}, "augmented_dimension is None; PFGM"),
        ({"network": NETWORK | {"augment_dim": 7}}, "augment_dim is 7; give 9, or 0"),
        ({"network": NETWORK | {"augment_dim": 0}}, "augment is 0.3 and network.augment_dim is 0; give 9"),
        ({"network": NETWORK | {"img_resolution": 16}}, "takes images of 16x16x1, the training images are of 8x8x1"),
        ({"network": NETWORK | {"label_dim": 4}}, "label_dim is 4; the training images have 10 classes"),
        ({"accumulate": 3}, "a batch of 8 has no 3 equal parts"),
        ({"kind": "ddpm"}, "unknown 'ddpm'; trained here are: edm, pfgmpp"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused_in_one_line(folder, changes, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        generator(folder, **changes)
    assert "\n" not in str(caught.value)


def test_the_pair_refuses_what_does_not_fit(folder):
    with pytest.raises(ValueError, match="network.outputs is 4; the images have 10 classes"):
        extractor(folder, network=ENCODER | {"outputs": 4})
    with pytest.raises(ValueError, match=r"extractor: the loss is (nan|inf) at update \d+; lower its learning_rate"):
        extractor(folder, learning_rate=1e30)
    extractor(folder, updates=1)
    with pytest.raises(ValueError, match="81 wanted"):
        discriminator(folder, fakes=81)
    shards.write(folder / "fake.h5", np.zeros((80, 4, 4, 1), np.uint8), np.zeros(80, int), {})
    with pytest.raises(ValueError, match="images of 4x4x1; those of .*real.h5 are 8x8x1"):
        discriminator(folder)


def test_a_grid_shows_every_pixel_in_the_row_of_its_class(tmp_path):
    images = np.zeros((5, 8, 8, 3), np.uint8)
    images[:, :, :, 0] = [[[value]] for value in (10, 20, 30, 40, 50)]
    images[4, 0, 0] = (1, 2, 3)
    sample_sheet.write(tmp_path / "grid.png", images, np.array([1, 0, 1, 0, 1]), ["zero", "one"])
    seen = np.asarray(Image.open(tmp_path / "grid.png"))
    assert seen.shape[2] == 3
    rows = [np.unique(seen[half][:, :, 0][(seen[half][:, :, 1] == 0)]) for half in (slice(0, 54), slice(54, None))]
    assert [row.tolist() for row in rows] == [[20, 40], [10, 30, 50]]
    assert (seen == (1, 2, 3)).all(2).sum() == 36  # one pixel enlarged six times


def test_a_grid_needs_images(tmp_path):
    with pytest.raises(ValueError, match="a grid needs uint8 images"):
        sample_sheet.write(tmp_path / "grid.png", np.zeros((2, 8, 8, 2), np.uint8), np.zeros(2, int))
