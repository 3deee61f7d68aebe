"""FID of a dataset: Frechet distance to real images in a network's features.

Colour images are compared in Inception's features, as everywhere (spec/interop.md 4f, 4h). Digits of 8x8 pixels mean
nothing to Inception, so a small classifier trained on the study's own training images gives theirs. FIDs in different
features cannot be compared, which is why every number comes with the name of its features.
"""

import zipfile

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from robustlaws.data import shards
from robustlaws.data.sample_order import permutation
from robustlaws.data.tensors import to_network
from robustlaws.networks import checkpoint, wrn
from robustlaws.quality import moments
from robustlaws.runtime import device
from robustlaws.runtime.logger import log
from robustlaws.runtime.progress import Progress
from robustlaws.seeds import derive
from robustlaws.storage.atomic import write_json
from robustlaws.storage.embedded import content_digest


def train_features(*, train_path, test_path, weights_path, settings, compute):
    """Train the classifier whose penultimate layer gives the features.

    Parameters
    ----------
    train_path, test_path : path
        Real images; the test images only tell how good the classifier is.
    weights_path : path
        safetensors to write.
    settings : settings.Features
    compute : settings.Compute
    """
    s = settings
    where = device.prepare(compute.threads, compute.gpus)
    torch.manual_seed(derive(s.seed, "weights"))
    network = wrn.build(s.architecture).to(where).train()
    images, labels = (torch.from_numpy(part) for part in shards.read(train_path))
    steps = s.epochs * (len(labels) // s.batch)
    optimiser = torch.optim.SGD(
        network.parameters(), lr=s.learning_rate, momentum=0.9, nesterov=True, weight_decay=s.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=s.learning_rate, total_steps=steps)
    # 100 batches say more about these images than the running average of a short training
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1
    progress = Progress("training the features", steps, "steps")
    for epoch in range(s.epochs):
        order = permutation(len(labels), s.seed, "epoch", epoch)
        for start in range(0, len(labels) - s.batch + 1, s.batch):
            chosen = order[start : start + s.batch]
            value = F.cross_entropy(network(to_network(images[chosen], where)), labels[chosen].to(where))
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            optimiser.step()
            schedule.step()
            progress.advance(1, f"loss {float(value.detach()):.3f}")
    network.eval()
    test_images, test_labels = (torch.from_numpy(part) for part in shards.read(test_path))
    with torch.inference_mode():
        right = network(to_network(test_images, where)).argmax(1).cpu() == test_labels
    log.info("features: %.1f %% of the test images classified right", 100 * float(right.float().mean()))
    checkpoint.save(weights_path, network, settings)


def measure(*, moments_paths, real_path, test_moments_path, quality_path, settings):
    """Write the FID of one dataset against the real training images, and the floor it can be held against.

    Parameters
    ----------
    moments_paths : list of path
        Moments of the dataset's shards, in order (:func:`moments.measure_moments`).
    real_path : path
        Moments of the real training images, or official reference statistics (`.npz`).
    test_moments_path : path or None
        Moments of the real test images, whose FID is the floor.
    quality_path : path
        JSON to write: `fid` is the mean over the subsets and `fid_sd` their standard deviation (null for one subset);
        `fid_all` is of all images whose moments are given.
    settings : settings.Quality

    Raises
    ------
    ValueError
        If a subset or prefix does not end where a piece of the moments ends, if there are fewer images than it
        needs, or if features differ.
    """
    s = settings
    real = _real(real_path, s.features)
    distances = {}  # the first subset, a prefix and everything may be the same images
    for key, made in _parts(moments_paths, s):
        if key not in distances:
            distances[key] = moments.frechet_distance(real, made.gaussian())
            log.info("%s: FID %.4f of images %s to %s", s.dataset, distances[key], f"{key[0]:,}", f"{key[1] - 1:,}")
    fids = [distances[key] for key in _subsets(s)]
    quality = {
        "dataset": s.dataset,
        "generator": s.generator,
        "steps": s.steps,
        "fid": float(np.mean(fids)),
        "fid_sd": float(np.std(fids, ddof=1)) if len(fids) > 1 else None,
        "fid_subsets": fids,
        "fid_all": distances[key],  # the last one
        "images": s.images,
        "subsets": s.subsets,
        "images_all": made.count,
        "prefixes": [{"images": stop, "fid": distances[0, stop]} for stop in s.prefixes],
        "real_images": real.count,
        "real_sha256": content_digest(real_path),
        "features": made.features,
        "floor": None,
    }
    if test_moments_path is not None:
        test = moments.merge(moments.read(test_moments_path))
        against = "training images" if real.features else "reference statistics"
        quality["floor"] = {
            "fid": moments.frechet_distance(real, test.gaussian()),
            "images": test.count,
            "meaning": f"FID of the test images against the {against}",
        }
    write_json(quality_path, quality)


def _real(path, features):
    """Return the Gaussian of the real images, of either kind of file."""
    if not zipfile.is_zipfile(path):
        return moments.merge(moments.read(path)).gaussian()
    if features != "inception":
        raise ValueError(f"{path}: reference statistics are of Inception's features, quality.features is {features!r}")
    return moments.reference_moments(path)


def _subsets(settings):
    """Return (first image, end) of each subset."""
    return [(number * settings.images, (number + 1) * settings.images) for number in range(settings.subsets)]


def _parts(paths, settings):
    """Yield ((first image, end), moments) of every subset and prefix as they end, and of all images last."""
    s, subsets = settings, _subsets(settings)
    ends = dict.fromkeys(s.prefixes, "quality.prefixes")
    ends |= {stop: "quality.images times quality.subsets" for _, stop in subsets}
    total, subset, seen = None, None, 0
    for path in paths:
        for piece in moments.read(path):
            stop = seen + piece.count
            inside = [end for end in sorted(ends) if seen < end < stop]
            if inside:
                raise ValueError(
                    f"{path}: images {seen} to {stop - 1} of {s.dataset} are one piece, and {ends[inside[0]]} needs one"
                    f" that ends after {inside[0]}; measure its moments with a cut there"
                )
            total = piece if total is None else moments.merge([total, piece])
            if seen < subsets[-1][1]:
                first = seen // s.images * s.images
                subset = piece if seen == first else moments.merge([subset, piece])
                if (first, stop) in subsets:
                    yield (first, stop), subset
            if stop in s.prefixes:
                yield (0, stop), total
            seen = stop
    if seen < max(ends):
        raise ValueError(f"{s.dataset}: moments of {seen} images; {ends[max(ends)]} needs {max(ends)}")
    yield (0, seen), total
