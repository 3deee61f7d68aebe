"""Plans of the next run over refits with a known spread."""

import numpy as np

from robustlaws import settings as told_to
from robustlaws.laws import published
from tests.support.law_forecasts import drawn

PAPER = ((28, 4), (40, 4), (82, 4), (28, 12), (58, 12), (82, 12), (70, 16), (82, 16))


def plan(**given):
    """The planner's settings for the paper's shapes."""
    defaults = {
        "law": "additive",
        "dataset": "dg",
        "fid": None,
        "flops": 2e20,
        "gpu_hours": None,
        "accuracy": None,
        "speed": 1e14,
        "overhead": 0.1,
        "quantity": "N_star",
        "architecture": told_to.Architecture(28, 4, 10, 3, 32, (), ()),
        "attack_steps": 10,
        "batch": 1024,
        "learning_rate": 0.2,
        "accounting_epoch": None,
        "models": tuple({"name": f"wrn-{d}-{w}", "depth": d, "width": w} for d, w in PAPER),
        "datasets": ({"name": "dg", "images": 100_000_000},),
        "runs": ("wrn-28-4/dg/5000000/1", "wrn-28-4/dg/10000000/1"),
        "level": 0.9,
        "seed": 1,
    }
    return told_to.Plan(**(defaults | given))


def spread(name, count=60, seed=0):
    """Refits of a law: its published constants with some noise in each."""
    rng = np.random.default_rng(seed)
    truth = published.ADDITIVE if name == "additive" else published.BOTTLENECK
    return drawn(name, **{p: v * np.exp(0.02 * rng.standard_normal(count)) for p, v in truth.items()})
