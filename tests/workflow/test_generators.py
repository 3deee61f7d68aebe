"""Every way to have a generator, through the rules: official files, a pipeline, and images sampled elsewhere."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch

from robustlaws.data import shards
from robustlaws.networks import ddpmpp, discriminator
from robustlaws.settings import Encoder
from tests.support import official_checkpoints
from tests.support.checkouts import fresh_checkout


def write_official_files(folder):
    """Write an EDM network and a guidance pair for grey images of 8x8 pixels as their authors keep them."""
    grey = dataclasses.replace(official_checkpoints.SMALL, in_channels=1, out_channels=1)
    checkpoint = official_checkpoints.small(img_channels=1)
    torch.manual_seed(1)
    checkpoint.tensors = ddpmpp.Preconditioned(ddpmpp.build(grey), 0.5).state_dict()
    with official_checkpoints.registered():
        official_checkpoints.write(folder / "edm.pkl", checkpoint.content(), "pickle 4")
    for name, settings in (
        ("extractor", Encoder(8, 1, 64, (1, 2), 1, (), 10)),
        ("discriminator", Encoder(4, 128, 64, (1,), 1, (1,), 1, 10)),
    ):
        torch.save(discriminator.build(settings).state_dict(), folder / f"{name}.pt")


def write_samples(folder):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (300, 8, 8, 1), dtype=np.uint8), np.repeat(np.arange(10), 30)
    np.savez(folder / "samples.npz", image=images, label=labels)
    return images, labels


def write_pipeline(folder):
    unet = diffusers.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler()).save_pretrained(folder / "ddpm")


def configure(config):
    config["generators"] |= {
        "official": {"kind": "edm", "checkpoint": "edm.pkl"},
        "guided": {
            "kind": "dg",
            "base": "official",
            "guidance": {"weight": 1.0, "boosting": True, "time_min": 0.01, "time_max": 1.0},
            "checkpoint": {"extractor": "extractor.pt", "discriminator": "discriminator.pt"},
        },
        "ddpm": {"kind": "pipeline", "source": "ddpm", "scheduler": "DDIMScheduler", "classifier": "features"},
        "own": {"kind": "files", "format": "npz", "files": ["samples.npz"]},
    }
    made = {"official-3": "official", "guided-3": "guided", "ddpm-2": "ddpm", "own": "own"}
    for name, generator in made.items():
        steps = {} if name == "own" else {"steps": int(name[-1])}
        config["datasets"][name] = {"generator": generator, "images": 256, **steps}
    config["sampling"] |= {"layout": "zstd"}


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """A checkout with a dataset of each of these generators, and what was in the npz."""
    checkout = fresh_checkout(tmp_path_factory.mktemp("generators") / "checkout")
    checkout.configure(configure)
    write_official_files(checkout.folder)
    write_pipeline(checkout.folder)
    samples = write_samples(checkout.folder)
    names = ["official-3", "guided-3", "ddpm-2", "own"]
    shard = [f"results/tiny/datasets/{name}/shard-00001.h5" for name in names]
    done = checkout.snakemake(*shard, *(f"results/tiny/quality/{name}.json" for name in names))
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout.folder / "results/tiny", samples


def test_the_shards_of_every_generator_are_whole(sampled):
    folder, _ = sampled
    command = [str(Path(sys.executable).with_name("robustlaws")), "verify", str(folder / "datasets")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "8 shards, 1,024 images: all whole")


def test_sampled_files_keep_labels_in_a_mixed_order(sampled):
    folder, (images, labels) = sampled
    known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    made = [shards.read(folder / f"datasets/own/shard-0000{index}.h5") for index in range(2)]
    pairs = [(image.tobytes(), label) for part in made for image, label in zip(*part, strict=True)]
    assert len({image for image, _ in pairs}) == 256
    assert all(known[image] == label for image, label in pairs)
    assert len(set(made[0][1][:32].tolist())) > 5


def test_a_shard_says_where_it_comes_from(sampled):
    folder, _ = sampled
    about = {name: shards.attributes(folder / f"datasets/{name}/shard-00001.h5") for name in ("guided-3", "ddpm-2")}
    assert about["guided-3"]["first_index"] == 128
    assert len(about["guided-3"]["discriminator_weights_sha256"]) == 64
    assert about["ddpm-2"]["scheduler"] == "DDIMScheduler"
    assert len(about["ddpm-2"]["classifier_sha256"]) == 64
