"""Small studies on the SLURM of the machine."""

import re
import sys
from pathlib import Path

from tests.support.checkouts import without_humans

SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))


LONG = "runs/wrn-10-1/edm-4/1024/1"


def small(config):
    """Make the tiny study smaller: one generator, three runs, one law."""
    config["source"]["test_images"] = 40
    config["generators"] = {"edm": config["generators"]["edm"]}
    config["datasets"] = {
        "edm-2": {"generator": "edm", "steps": 2, "images": 512},
        "edm-4": {"generator": "edm", "steps": 4, "images": 1024},
    }
    config["sampling"]["shard_images"] = 512
    del config["mixtures"]
    model = {"models": ["wrn-10-1"], "sizes": [128]}
    config["grid"] = [{**model, "datasets": ["edm-2", "edm-4"]}, {**model, "datasets": ["edm-4"], "sizes": [1024]}]
    config["attacks"]["autoattack"] |= {
        "runs": [LONG.removeprefix("runs/")],
        "version": "custom",
        "attacks": ["apgd-ce"],
        "chunk": 20,
    }
    without_humans(config)
    config["laws"]["fit"] = ["additive"]
    config["figures"] = ["samples", "learning_curves"]
    # so slow that the longest run is not done in the two seconds that SLURM leaves it, past its limit
    config["training"]["attack_steps"] = 80
    config["compute"]["state_minutes"] = 0.001


def site(checkout, **decided):
    """Write what the site decides into the one place of the profile, as a user would."""
    path = checkout.folder / "profiles/slurm/config.yaml"
    text = path.read_text()
    for name, value in decided.items():
        text, result = re.subn(rf"(?m)^  {name}: .*$", f"  {name}: {value}", text)
        assert result == 1, name
    path.write_text(text)
