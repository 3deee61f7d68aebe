"""The other source: real colour images from the public hub's Parquet layout, through the same rules."""

from pathlib import Path

import h5py
import pytest

from robustlaws.data import shards
from tests.support.checkouts import fresh_checkout, without_humans

CIFAR10 = Path(__file__).parents[3] / "shared" / "cifar10"


@pytest.mark.skipif(not CIFAR10.exists(), reason="the real CIFAR-10 files are not beside this checkout")
def test_real_colour_images_go_the_same_way(tmp_path):
    def cifar(config):
        config.update(
            study="cifar",
            source={
                "name": "hub_parquet",
                "train_files": [str(CIFAR10 / "train-00000-of-00001.parquet")],
                "test_files": [str(CIFAR10 / "test-00000-of-00001.parquet")],
                "train_images": 256,
                "test_images": 32,
                "image_column": "img",
                "label_column": "label",
            },
            image={
                "size": 32,
                "channels": 3,
                "classes": 10,
                "mean": [0.4914, 0.4822, 0.4465],
                "std": [0.2471, 0.2435, 0.2616],
            },
            threat={"norm": "Linf", "epsilon": 0.03137254901960784},
        )
        config["generators"] = {"edm": config["generators"]["edm"]}
        config["generators"]["edm"]["training"].update(updates=3, batch=8)
        config["datasets"] = {"edm-2": {"generator": "edm", "steps": 2, "images": 64}}
        config["sampling"].update(shard_images=64, batch=32)
        config["quality"].update(images=32)
        del config["mixtures"]
        config["grid"] = [{"models": ["wrn-10-1"], "datasets": ["edm-2"], "sizes": [64]}]
        config["training"].update(attack_steps=1, mirror=True, crop_padding=4)
        config["training"]["curve"].update(fractions=[1.0], images=8, attack_steps=1)
        without_humans(config)
        config["attacks"] = {"pgd_cw": {"steps": 2, "step_size": 0.0078, "batch": 32}}
        config["figures"] = ["samples"]

    checkout = fresh_checkout(tmp_path / "checkout")
    checkout.configure(cifar)
    target = "results/cifar/runs/wrn-10-1/edm-2/64/1/pgd_cw.h5"
    done = checkout.snakemake(target, "results/cifar/quality/edm-2.json")
    assert done.returncode == 0, done.stdout + done.stderr
    images, labels = shards.read(checkout.folder / "results/cifar/datasets/edm-2/shard-00000.h5")
    assert images.shape == (64, 32, 32, 3)
    assert sorted(set(labels.tolist())) == list(range(10))
    with h5py.File(checkout.folder / target) as record:
        assert record["adversarial"].shape == (32, 32, 32, 3)
        assert record.attrs["epsilon"] == 8 / 255
