"""AutoAttack in chunks, with fewer steps and queries than the package takes."""

from dataclasses import replace

import pyautoattack
import torch

from robustlaws.attacks import autoattack
from robustlaws.settings import Architecture, AutoAttack, Compute, Threat

ARCHITECTURE = Architecture(10, 1, 10, 1, 8, (0.3,), (0.38,))


SETTINGS = AutoAttack("m/d/1/1", ARCHITECTURE, Threat("Linf", 0.012), 11, "standard", 50, 50)


# Square first, and room for it: where a seed matters most.
CHUNKED = replace(SETTINGS, threat=Threat("Linf", 0.05), chunk=8, version="custom", attacks=("square", "apgd-ce"))


ORIGINAL = pyautoattack.AutoAttack.__init__


def shortened(self, *arguments, **options):
    """Build the package's attacks as it does, then give each less to do: both sides of every comparison run these."""
    ORIGINAL(self, *arguments, **options)
    for attack in (self.apgd, self.apgd_targeted, self.fab):
        attack.n_iter = 2
    self.square.n_queries = 40


def scaled(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255).contiguous()


def attack(folder, path, settings=SETTINGS, chunk=0, **changes):
    """Attack one chunk and write its record to `path`."""
    given = {
        "weights_path": folder / "weights.safetensors",
        "test_path": folder / "test.h5",
        "outcome_path": path,
        "state_path": f"{path}.partial",
        "chunk": chunk,
        "settings": settings,
        "compute": Compute(),
    }
    autoattack.attack_chunk(**(given | changes))
    return path
