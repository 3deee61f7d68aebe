"""Studies whose law is known: the paper's grid of runs, losses by a law, and noise."""

import numpy as np

from robustlaws.laws.observations import Observations
from robustlaws.networks import wrn_flops

SHAPES = ((28, 4), (40, 4), (82, 4), (28, 12), (58, 12), (82, 12), (70, 16), (82, 16))
FIDS = {"EDM-5": 35.54, "EDM-6": 14.26, "EDM-7": 6.79, "EDM-10": 2.48, "EDM-20": 1.82, "PFGM++": 1.76, "DG": 1.65}
SIZES = (5e6, 1e7, 3e7, 7e7, 1e8)
SMALL = {"EDM-5", "EDM-6", "EDM-10"}  # of these there were 30 million images
FLOPS = 7822.0  # per parameter and image


def grid(datasets=tuple(FIDS)):
    """Return dataset, params, images, fid (n,): every run of the paper's grid on `datasets`."""
    params = [wrn_flops.wrn_parameters(*shape) for shape in SHAPES]
    rows = [
        (dataset, size, images, FIDS[dataset])
        for dataset in datasets
        for size in params
        for images in (SIZES[:3] if dataset in SMALL else SIZES)
    ]
    names, *numbers = zip(*rows, strict=True)
    return np.array(names, dtype=object), *(np.array(column, dtype=float) for column in numbers)


def observations(law, parameters, noise, rng, datasets=tuple(FIDS)):
    """Return a study's `Observations`: losses of `law` (a module) times exp(noise x normal)."""
    dataset, params, images, fid = grid(datasets)
    loss = law.loss(parameters, params, images, fid) * np.exp(noise * rng.standard_normal(len(params)))
    run = np.array([f"{size:.0f}/{name}/{seen:.0f}" for name, size, seen in zip(dataset, params, images, strict=True)])
    return Observations(run, params.astype(str), dataset, params, images, fid, FLOPS * params * images, loss, {})
