"""Forward passes of the repeated stages, by arithmetic. Imports no torch.

And which network a published file holds, so that this can be said before the file is there.
"""

import math
import re
from typing import Any

from robustlaws.settings import Encoder, Network
from robustlaws.study.image_settings import _ARCHITECTURES

# pyautoattack 0.2.0: iterations of APGD and FAB, target classes, queries of Square; and around each attack five passes
# that look for randomness, one each for range, dynamics and the clean prediction, and one of what the attack made
_ITERATIONS, _TARGETS, _QUERIES, _AROUND = 100, 9, 5000, 9


def measured_images(settings, test_images=None):
    """Return how many images a run attacks while it trains: for its curve, and held-out ones for the best weights.

    Parameters
    ----------
    settings : settings.Training
    test_images : int or None
        Of the test split; None: not known, so as many as the curve asks for.

    Source: `training.curve`, which a run follows.
    """
    s = settings
    rows = {0, *(round(fraction * s.steps) for fraction in s.curve.fractions)}
    looks = s.steps // s.steps_per_epoch if s.epoch_images else len(rows - {0} | {s.steps})
    tested = s.curve.images if test_images is None else min(s.curve.images, test_images)
    return len(rows) * tested + looks * s.validation_images


def pgd_passes(steps):
    """Return the passes of an image that PGD attacks and measures, at most: it stops once an image is wrong."""
    return 2 * steps + 2


def autoattack_passes(settings):
    """Return the passes of an image that AutoAttack attacks and that survives to the end: at most so many.

    Parameters
    ----------
    settings : settings.AutoAttack

    Source: pyautoattack 0.2.0, which a test counts.
    """
    restarts = 1 if settings.version == "standard" else 5
    apgd = 2 * (_ITERATIONS + 1)
    total, fab_restarts = 2, restarts  # ours: whether it can be attacked, and its clean prediction
    for name in settings.names:
        if name == "fab-t":
            fab_restarts = 1  # and so it stays in the package
        total += (
            _AROUND
            + {
                "apgd-ce": 1 + restarts * apgd,
                "apgd-dlr": 1 + restarts * apgd,
                "apgd-t": 1 + _TARGETS * (1 + apgd),
                "fab": 1 + fab_restarts * (2 + _ITERATIONS * (2 + settings.architecture.classes)),
                "fab-t": 1 + _TARGETS * (3 + 3 * _ITERATIONS),
                "square": 3 + _QUERIES,
            }[name]
        )
    return total


def guided(sampling):
    """Return how often the discriminator is asked for one image of a guided dataset.

    Its times are those of the schedule; images that are boosted may leave the window a step later.

    Parameters
    ----------
    sampling : settings.Sampling

    Source: spec/generators.md 3, 9.1 and 9.3.
    """
    s, g = sampling, sampling.guidance
    low, high = s.sigma_min ** (1 / s.rho), s.sigma_max ** (1 / s.rho)
    levels = [(high + i / (s.steps - 1) * (low - high)) ** s.rho for i in range(s.steps)]
    times = [(math.sqrt(0.01 + 39.8 * math.log1p(level**2)) - 0.1) / 19.9 for level in levels]
    inside = [g.time_min <= time <= g.time_max for time in times]
    return sum(inside) * (g.weight != 0) + sum(inside[1:]) * (g.weight_second_order != 0)


def official(path):
    """Return the network in a published file, by the name of the file; None for any other file.

    Returns
    -------
    settings.Network or settings.Encoder or None

    Source: spec/generators.md 5 and 9.2.
    """
    name = str(path).rsplit("/", 1)[-1]
    encoders = {
        "32x32_classifier.pt": Encoder(32, 3, 128, (1, 2, 4), 4, (1, 2, 4), 1000),
        "discriminator_250.pt": Encoder(8, 512, 128, (1,), 2, (1,), 1, 1000),
        "discriminator_60.pt": Encoder(8, 512, 128, (1,), 2, (1,), 1),
    }
    if name in encoders:
        return encoders[name]
    edm = re.fullmatch(r"edm-cifar10-32x32-(?P<cond>(?:un)?cond)-(?P<kind>vp|ve)\.pkl", name)
    pfgmpp = re.fullmatch(r"pfgmpp-cifar10-(?P<kind>ddpmpp|ncsnpp)-D-\d+-(?P<cond>(?:un)?cond)\.(?:pt|pkl)", name)
    if not (match := edm or pfgmpp):
        return None
    shape: dict[str, Any] = dict(_ARCHITECTURES[{"vp": "ddpmpp", "ve": "ncsnpp"}.get(match["kind"], match["kind"])])
    return Network(
        img_resolution=32,
        in_channels=3,
        out_channels=3,
        label_dim=10 if match["cond"] == "cond" else 0,
        augment_dim=9,
        model_channels=128,
        channel_mult=(2, 2, 2),
        channel_mult_emb=4,
        num_blocks=4,
        attn_resolutions=(16,),
        dropout=0.13,
        label_dropout=0.0,
        channel_mult_noise=shape.pop("noise"),
        decoder_type="standard",
        **shape,
    )
