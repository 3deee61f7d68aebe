"""Samplers and the job that fills a shard: what an image depends on, and what interruptions change (nothing)."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from robustlaws import registry
from robustlaws.data import shards
from robustlaws.generators import SAMPLERS, dg, edm, heun, network_files
from robustlaws.generators.latents import Draws
from robustlaws.networks import ddpmpp, discriminator
from robustlaws.runtime import device
from robustlaws.runtime.signals import Stopped
from robustlaws.seeds import derive
from robustlaws.settings import Churn, Compute, Guidance, as_params
from robustlaws.storage.atomic import digest
from tests.support.sampled_shards import (
    DISCRIMINATOR,
    GUIDED,
    NETWORK,
    random_weights,
    sample,
    sampling_settings,
)

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")


def batch(files, settings, indices=range(16)):
    return registry.load(settings.sampler, SAMPLERS)(files[settings.sampler], settings, CPU).batch(indices)


@pytest.mark.parametrize(
    ("sampler", "changes"),
    [
        ("edm", {}),
        ("edm", {"churn": Churn(30, 0.01, None, 1.0), "labels": "random"}),
        ("pfgmpp", {"labels": "random"}),
        ("dg", {}),
    ],
)
def test_an_image_is_a_function_of_its_index_whatever_the_shards(sampler, changes, files, tmp_path):
    images, labels = sample(files, tmp_path, sampling_settings(sampler, **changes))
    for first, count in ((0, 7), (7, 20), (27, 21)):
        part, part_labels = sample(
            files, tmp_path, sampling_settings(sampler, first=first, count=count, **changes), f"from-{first}"
        )
        assert np.array_equal(part, images[first : first + count])
        assert np.array_equal(part_labels, labels[first : first + count])
    assert len({image.tobytes() for image in images}) == 48


@pytest.mark.parametrize("sampler", ["edm", "pfgmpp", "dg"])
def test_another_batch_changes_rounding_at_most(sampler, files, tmp_path):
    item = sample(files, tmp_path, sampling_settings(sampler, count=32))[0].astype(int)
    other = sample(files, tmp_path, sampling_settings(sampler, count=32, batch=7))[0].astype(int)
    assert np.abs(item - other).max() <= 1
    assert (item != other).mean() < 2e-3


def test_the_draws_of_an_image_are_those_of_old():
    # of a generator seeded from the seed of the images and the index, latent before class: so were the datasets that
    # exist, and their images must not change
    draws = Draws([3, 4], sampling_settings(labels="random"))
    ours = draws.normal(), draws.labels(), draws.noise(0)
    for place, index in enumerate((3, 4)):
        generator = torch.Generator().manual_seed(derive(5, "image", index))
        assert torch.equal(ours[0][place], torch.randn((1, 8, 8), generator=generator))
        assert ours[1][place] == torch.randint(10, (), generator=generator)
        assert torch.equal(ours[2][place], torch.randn((1, 8, 8), dtype=torch.float64, generator=generator))


def test_balanced_labels_are_balanced_and_move_no_latent():
    balanced, random = Draws(range(100), sampling_settings()), Draws(range(100), sampling_settings(labels="random"))
    assert torch.equal(balanced.normal(), random.normal())
    drawn = random.labels()
    assert balanced.labels().tolist() == [i % 10 for i in range(100)]
    assert set(drawn.tolist()) == set(range(10))
    assert torch.equal(balanced.noise(0), random.noise(0))  # the class is drawn even where it is not asked for


def test_shared_labels_share_latents():
    draws = Draws(range(5, 25), sampling_settings(labels="shared"))
    latents = draws.normal()
    assert draws.labels().tolist() == [i % 10 for i in range(5, 25)]
    assert torch.equal(latents[:5], latents[:1].expand(5, -1, -1, -1))
    assert torch.equal(latents, Draws([i // 10 for i in range(5, 25)], sampling_settings()).normal())
    assert len({latent.numpy().tobytes() for latent in latents}) == 3


def test_seeds_from_the_index_ignore_the_seed_and_wrap():
    ours = Draws([7, 2**32 + 7], sampling_settings(seeds="index")).normal()
    assert torch.equal(ours[0], torch.randn((1, 8, 8), generator=torch.Generator().manual_seed(7)))
    assert torch.equal(ours[0], ours[1])
    assert torch.equal(ours, Draws([7, 7], sampling_settings(seeds="index", seed=6)).normal())


@pytest.mark.parametrize("changes", [{"labels": "sorted"}, {"seeds": "clock"}])
def test_unknown_ways_to_draw_are_named(changes):
    ((name, value),) = changes.items()
    with pytest.raises(ValueError, match=f"{name}: unknown '{value}'; known: "):
        Draws([0], sampling_settings(**changes))


def test_the_latents_are_standard_normal():
    latents = Draws(range(500), sampling_settings()).normal()
    assert abs(float(latents.mean())) < 0.02
    assert float(latents.std()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("sampler", ["edm", "pfgmpp", "dg"])
def test_seeds_steps_and_classes_change_images(sampler, files):
    images, labels = batch(files, sampling_settings(sampler))
    assert images.dtype == np.uint8
    assert images.shape == (16, 8, 8, 1)
    assert labels.dtype == np.int64
    for changes in ({"seed": 6}, {"steps": 9}):
        assert not np.array_equal(images, batch(files, sampling_settings(sampler, **changes))[0])
    same_latents, _ = batch(files, sampling_settings(sampler, labels="shared"))
    assert len({image.tobytes() for image in same_latents[:10]}) == 10  # one latent, ten classes


def test_churn_of_nothing_changes_nothing(files):
    images, _ = batch(files, sampling_settings())
    assert np.array_equal(images, batch(files, sampling_settings(churn=Churn(0, 0, None, 1)))[0])
    assert np.array_equal(
        images, batch(files, sampling_settings(churn=Churn(30, 90, None, 1)))[0]
    )  # no level is that high
    assert not np.array_equal(images, batch(files, sampling_settings(churn=Churn(30, 0, None, 1)))[0])


def test_guidance_of_no_weight_gives_the_images_of_edm(files):
    images, labels = batch(files, sampling_settings("edm", steps=8))
    for boosting in (False, True):  # without a log ratio there is nothing to boost
        guided = batch(files, sampling_settings("dg", guidance=Guidance(0, boosting, 0.01, 1.0)))
        assert np.array_equal(guided[0], images)
        assert np.array_equal(guided[1], labels)
    nowhere = batch(
        files, sampling_settings("dg", guidance=Guidance(1, True, 0.99, 1.0))
    )  # a window before the first level
    assert np.array_equal(nowhere[0], images)
    variants = (Guidance(1, False, 0.01, 1.0), GUIDED, Guidance(0, False, 0.01, 1.0, weight_second_order=1.0))
    others = [batch(files, sampling_settings("dg", guidance=guidance))[0] for guidance in variants]
    assert len({made.tobytes() for made in (images, *others)}) == 4


def test_only_images_taken_for_made_are_boosted(files):
    told_here = sampling_settings("dg", guidance=GUIDED)
    sampler, seen = dg.Sampler(files["dg"], told_here, CPU), {}
    draws = Draws(range(16), told_here)
    start, labels = sampler.start(draws)
    guide = dg.Guidance(
        lambda x, sigma: dg.field(lambda z, t: sampler._log_ratio(labels, z, t), x, sigma, 0, 1), GUIDED
    )
    heun.integrate(
        sampler.denoiser(labels), start, sampler.levels, noise=draws.noise, guidance=guide,
        record=lambda name, value: seen.setdefault(name, []).append(value),
    )  # fmt: skip
    before, level = seen["log_ratio"][4] < 0, sampler.levels[5]
    assert 0 < int(before.sum()) < 16
    raised = seen["sigma"][10]  # of the sixth first evaluation
    assert torch.allclose(raised, torch.where(before, level * (1 + 2**0.5 - 1), level))
    assert torch.equal(seen["x_hat"][5][~before], seen["x"][5][~before])
    assert not torch.isclose(seen["x_hat"][5][before], seen["x"][5][before]).flatten(1).all(1).any()


def test_the_field_is_the_gradient_of_the_log_ratio():
    # l(z) = a <z, z> has the gradient 2 a z, so g = -sigma^2 m 2 a m x with m^2 = 1/(1 + sigma^2)
    x, sigma = torch.randn(3, 1, 4, 4, dtype=torch.float64), torch.tensor([0.5, 2.0, 30.0], dtype=torch.float64)
    g, ratio = dg.field(lambda z, t: 0.01 * (z**2).flatten(1).sum(1), x, sigma, 0.01, 1.0)
    s = sigma[:, None, None, None]
    expected = -(s**2) * 0.02 * x / (1 + s**2)
    assert torch.allclose(g.double(), expected, rtol=1e-5)
    assert torch.allclose(ratio.double(), 0.01 * (x**2).flatten(1).sum(1) / (1 + sigma**2), rtol=1e-5)


def test_the_window_asks_the_earliest_time_of_the_batch():
    x, low, high = torch.ones(2, 1, 2, 2).double(), 0.02, 30.0  # tau 0.0018 and 0.8

    def asked(*sigma):
        g, ratio = dg.field(lambda z, t: z.flatten(1).sum(1), x, torch.tensor(sigma).double(), 0.01, 0.7)
        return bool(g.any()), bool((ratio == 1e7).all())

    assert asked(low, 1.0) == (False, True)
    assert asked(1.0, high) == (True, False)  # one beyond the upper limit does not count
    assert asked(high, high) == (False, True)


def test_a_second_order_weight_acts_on_the_second_evaluation():
    # D = 0 and g = sigma c: the slope is x/sigma, plus w1 c first and w2 c second; one full step by hand
    levels = heun.noise_levels(2, 0.5, 2.0)
    guide = dg.Guidance(
        lambda x, sigma: (torch.full_like(x, 3.0) * sigma, torch.ones(1)), Guidance(0.5, False, 0, 1, 0.25)
    )
    made = heun.integrate(lambda x, sigma: torch.zeros_like(x), torch.full((1, 1, 1, 1), 4.0), levels, guidance=guide)
    first = 4 / 2 + 0.5 * 3
    second = (4 - 1.5 * first) / 0.5 + 0.25 * 3
    state = 4 - 1.5 * (first + second) / 2
    assert float(made) == pytest.approx(state - 0.5 * (state / 0.5 + 0.5 * 3))


@pytest.mark.parametrize("steps", [0, 1])
def test_too_few_steps_are_refused(steps):
    with pytest.raises(ValueError, match=f"steps: {steps}; the sampler needs at least 2"):
        heun.noise_levels(steps)


def test_a_schedule_without_room_is_refused():
    with pytest.raises(ValueError, match="needs 0 < sigma_min < sigma_max"):
        heun.noise_levels(5, limits=(90.0, 100.0))


def test_truncation_after_128_rounds():
    grey = torch.tensor([-1.1, -1.0, -0.5 / 127.5, 0.49 / 127.5, 0.51 / 127.5, 1.0, 2.0], dtype=torch.float64)
    assert edm.to_uint8(grey[None, None, None]).flatten().tolist() == [0, 0, 127, 128, 128, 255, 255]


def test_a_shard_says_where_it_comes_from(files, tmp_path):
    sample(files, tmp_path, sampling_settings("dg", first=16, count=16))
    output = shards.attributes(tmp_path / "shard.h5")
    assert output["weights_sha256"] == digest(files["dg"]["weights"])
    assert output["discriminator_weights_sha256"] == digest(files["dg"]["discriminator_weights"])
    assert (output["dataset"], output["sampler"], output["steps"], output["first_index"]) == ("d-3", "dg", 8, 16)
    assert (output["seed"], output["seeds"], output["labels"], output["revision"]) == (
        5,
        "derived",
        "balanced",
        "sampler-r1",
    )
    assert (output["last_index"], output["device"], "seed_range" in output) == (31, "cpu", False)
    packages = ("torch", "robustlaws", "numpy", "h5py")
    assert {name: output[name] for name in packages} == {name: metadata.version(name) for name in packages}
    assert json.loads(output["settings"])["guidance"]["time_min"] == 0.01


def test_seeds_from_the_index_are_told_as_a_range(files, tmp_path):
    for labels, expected in (("balanced", [20, 35]), ("shared", [2, 3])):
        sample(files, tmp_path, sampling_settings(first=20, count=16, seeds="index", labels=labels))
        assert shards.attributes(tmp_path / "shard.h5")["seed_range"] == expected


@pytest.mark.parametrize(
    ("sampler", "given", "changes", "message"),
    [
        ("edm", "pfgmpp", {}, r"pfgmpp.json: a generator of kind 'pfgmpp'; the sampler 'edm' takes 'edm'"),
        ("edm", "extractor", {}, r"extractor.json: a generator of kind 'extractor'; the sampler 'edm' takes 'edm'"),
        ("edm", "edm", {"image_size": 32}, "makes images of 8x8 pixels, 1 channels, 10 classes; the study has images"),
        ("dg", "dg", {"guidance": None}, "the sampler 'dg' needs a block 'guidance'"),
        ("edn", "edm", {}, "unknown 'edn'; known: dg, edm"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(sampler, given, changes, message, files, tmp_path):
    with pytest.raises(ValueError, match=message) as caught:
        sample({sampler: files[given]}, tmp_path, sampling_settings(sampler, **changes))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "shard.h5").exists()


@pytest.mark.parametrize(("table", "fits"), [(4, False), (0, True), (12, True)])
def test_a_pair_for_fewer_classes_is_refused(table, fits, files, tmp_path):
    other = {"discriminator": tmp_path / "d.json", "discriminator_weights": tmp_path / "d.safetensors"}
    module = discriminator.build(replace(DISCRIMINATOR, label_table=table))
    network_files.save(*other.values(), module, {"kind": "discriminator"})
    given = {"dg": files["dg"] | other}
    if fits:
        sample(given, tmp_path, sampling_settings("dg", count=16))
        return
    with pytest.raises(ValueError, match=r"d.json network.label_table: 4 classes; the study has 10 classes; take"):
        sample(given, tmp_path, sampling_settings("dg"))


PROGRAM = """
import json, os, signal, sys
from pathlib import Path
import torch
from robustlaws.generators import edm, sample_shard
from robustlaws.settings import Compute, Sampling
torch.set_num_threads(1)
folder, killed_at = Path(sys.argv[1]), int(sys.argv[4])
files, settings = json.loads(sys.argv[2]), json.loads(sys.argv[3])
batch = edm.Sampler.batch
def killing(self, indices):
    if indices.start >= killed_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return batch(self, indices)
edm.Sampler.batch = killing
sample_shard.sample_shard(
    files=files, shard_path=folder / "shard.h5", state_path=folder / "shard.partial", settings=Sampling(**settings),
    revision="sampler-r1", compute=Compute(state_minutes=0.0),
)
"""


@pytest.fixture
def counted(monkeypatch):
    """Return the list of the first indices of all batches made from now on."""
    made, real = [], edm.Sampler.batch

    def counting(self, indices):
        made.append(indices.start)
        return real(self, indices)

    monkeypatch.setattr(edm.Sampler, "batch", counting)
    return made


def test_sample_shard_resumes_a_killed_job_to_equal_bytes(files, tmp_path, counted):
    settings = sampling_settings(first=5, count=60)  # batches from 0 to 64, the first and the last in part
    sample(files, tmp_path, settings, "left-alone")
    given = json.dumps({name: str(path) for name, path in files["edm"].items()}), json.dumps(as_params(settings))
    ended = subprocess.run([sys.executable, "-c", PROGRAM, tmp_path, *given, "48"], cwd=ROOT)
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "shard.h5").exists()
    counted.clear()
    sample(files, tmp_path, settings)
    assert counted == [48, 64]
    assert (tmp_path / "shard.h5").read_bytes() == (tmp_path / "left-alone.h5").read_bytes()
    assert not (tmp_path / "shard.partial").exists()


def interrupted(files, folder, monkeypatch, settings):
    """Start a shard in this process; SIGTERM comes during its second batch. Return the message."""
    real = edm.Sampler.batch

    def stopping(self, indices):
        if indices.start == 16:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, indices)

    with monkeypatch.context() as patched:
        patched.setattr(edm.Sampler, "batch", stopping)
        with pytest.raises(Stopped) as caught:
            sample(files, folder, settings, state_minutes=60)
    return str(caught.value)


def test_a_signal_stops_between_batches_and_loses_none(files, tmp_path, monkeypatch, counted):
    message = interrupted(files, tmp_path, monkeypatch, sampling_settings())
    assert (
        message == "d-3: stopped (SIGTERM) at image 32 of 48 of the shard, images kept; the same job goes on from there"
    )
    assert not (tmp_path / "shard.h5").exists()
    counted.clear()
    images, _ = sample(files, tmp_path, sampling_settings())
    assert counted == [32]
    assert np.array_equal(images, sample(files, tmp_path, sampling_settings(), "left-alone")[0])


@pytest.mark.parametrize("changed", ["settings", "weights"])
def test_sample_shard_ignores_images_of_other_settings(changed, files, tmp_path, monkeypatch, counted):
    interrupted(files, tmp_path, monkeypatch, sampling_settings())
    counted.clear()
    settings = sampling_settings(seed=6) if changed == "settings" else sampling_settings()
    other = dict(files["edm"])
    if changed == "weights":
        module = random_weights(ddpmpp.Preconditioned(ddpmpp.build(NETWORK), 0.5), 9)
        other = {"network": tmp_path / "network.json", "weights": tmp_path / "other.safetensors"}
        network_files.save(*other.values(), module, {"kind": "edm"})
    sample({"edm": other}, tmp_path, settings)
    assert counted == [0, 16, 32]


@pytest.mark.parametrize("changed", ["compile", "device"])
def test_images_of_two_roundings_do_not_make_one_shard(changed, files, tmp_path, monkeypatch, counted):
    interrupted(files, tmp_path, monkeypatch, sampling_settings())
    counted.clear()
    if changed == "device":
        monkeypatch.setattr(device, "name", lambda where: "NVIDIA H100 80GB HBM3")
    monkeypatch.setattr(edm.Sampler, "compile", lambda self: None)  # compiling takes a minute
    sample(files, tmp_path, sampling_settings(), compile=changed == "compile")
    assert counted == [0, 16, 32]


def test_a_generating_job_is_told_full_float32_and_one_order(monkeypatch):
    for backend, name, value in (("cudnn", "allow_tf32", True), ("cudnn", "deterministic", False)):
        monkeypatch.setattr(getattr(torch.backends, backend), name, value)
    assert device.prepare_generating(Compute()) == CPU
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == (False, False)
    assert torch.backends.cudnn.deterministic


def test_a_time_budget_stops_the_job(files, tmp_path):
    with pytest.raises(Stopped, match="the time budget is used up"):
        sample(files, tmp_path, sampling_settings(), budget_minutes=1e-9)
