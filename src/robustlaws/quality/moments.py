"""Mean and covariance of image features: measured once per file, merged without the images.

Moments of two disjoint sets of images give those of their union (Chan, Golub and LeVeque 1979). So the moments of one
shard serve every prefix and subset of its dataset, and a growing dataset costs only its new shards. All sums are
float64. Moments in different features mean nothing beside each other: each file names its features and the SHA-256 of
their weights.
"""

import json
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from robustlaws import registry
from robustlaws.data import shards
from robustlaws.data.tensors import to_network
from robustlaws.networks import checkpoint
from robustlaws.quality import inception
from robustlaws.runtime import device
from robustlaws.runtime.progress import Progress
from robustlaws.storage import embedded, provenance
from robustlaws.storage.atomic import replacing
from robustlaws.storage.embedded import content_digest

FORMAT = "robustlaws-moments-1"
_READ = 4096  # images read from a file at once, about


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean and covariance, which the Frechet distance compares.

    Parameters
    ----------
    mean : float64 array (dimensions,)
    covariance : float64 array (dimensions, dimensions)
    features : dict or None
        Name, dimensions and sha256 of the features; None where the file does not say (official statistics).
    count : int or None
        Images; None where the file does not say.
    origin : str
        File, for errors.
    """

    mean: np.ndarray
    covariance: np.ndarray = field(repr=False)
    features: dict | None = None
    count: int | None = None
    origin: str = ""

    @cached_property
    def factor(self):
        """F, float64 (dimensions, rank), with F F' the covariance: kept, for it takes a second to compute."""
        values, vectors = np.linalg.eigh(self.covariance)
        # what rounding leaves of an eigenvalue 0; its root would be 1e-8, not 1e-16, of the others
        kept = values > len(values) * np.finfo(np.float64).eps * values[-1]
        return vectors[:, kept] * np.sqrt(values[kept])


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of a set of images.

    Parameters
    ----------
    count : int
    mean : float64 array (dimensions,)
    scatter : float64 array (dimensions, dimensions)
        Sum of products of the features less their mean.
    features, origin
        As in :class:`Gaussian`.
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray = field(repr=False)
    features: dict | None = None
    origin: str = ""

    def gaussian(self):
        """Return mean and unbiased covariance; ValueError for fewer than two images."""
        if self.count < 2:
            raise ValueError(f"{self.origin}: {self.count} image has no covariance; measure more")
        return Gaussian(self.mean, self.scatter / (self.count - 1), self.features, self.count, self.origin)


def merge(parts):
    """Return the moments of all images of `parts`, an iterable of :class:`Moments` of disjoint sets.

    Raises
    ------
    ValueError
        If there are none, or if they are moments of different features.
    """
    merged = None
    for part in parts:
        if merged is None:
            merged = part
            continue
        check_features(merged, part)
        own, other = ((m.count, m.mean, m.scatter) for m in (merged, part))
        merged = Moments(*_merged(own, other), merged.features, merged.origin)
    if merged is None:
        raise ValueError("no moments to merge")
    return merged


def check_features(first, other):
    """Raise ValueError if `first` and `other` (moments or gaussians) are of different features."""
    if None in (first.features, other.features) and len(first.mean) != len(other.mean):
        names = [f"{m.origin} with {len(m.mean)} dimensions" for m in (first, other)]
        raise ValueError(f"moments of different features: {names[0]}, {names[1]}; measure both in the same")
    if first.features and other.features and first.features != other.features:
        names = [f"{m.origin} in {m.features['name']} ({m.features['sha256'][:8]})" for m in (first, other)]
        raise ValueError(f"moments of different features: {names[0]}, {names[1]}; measure both in the same")


def _merged(first, other):
    """Return (count, mean, scatter) of two such triples, of arrays or of tensors."""
    (count, mean, scatter), (more, other_mean, other_scatter) = first, other
    total, apart = count + more, other_mean - mean
    product = apart[:, None] * apart[None, :] * (count * more / total)
    return total, mean + apart * (more / total), scatter + other_scatter + product


def frechet_distance(first, other):
    """Return the squared Frechet distance of two :class:`Gaussian`: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)).

    With C = F F', the trace of the root is the sum of the singular values of F1' F2. These are real, and a small one is
    off by rounding of the largest; a root of an eigenvalue would be off by the root of that.

    Raises
    ------
    ValueError
        If the two are of different features.
    """
    check_features(first, other)
    apart = first.mean - other.mean
    root = np.linalg.svd(first.factor.T @ other.factor, compute_uv=False).sum()
    return float(apart @ apart + np.trace(first.covariance) + np.trace(other.covariance) - 2 * root)


def measure_moments(*, images_path, features_path, moments_path, settings, compute):
    """Write the moments of the images of one file, piece by piece, in memory that does not grow with their number.

    Parameters
    ----------
    images_path : path
        A shard, or real images.
    features_path : path
        Weights of the features: a classifier of this study or Inception's.
    moments_path : path
        safetensors to write, 8 bytes for each pair of features and piece.
    settings : settings.Moments
    compute : settings.Compute

    Raises
    ------
    ValueError
        If a file is not what it should be, or if the cuts do not fit the images.
    """
    s = settings
    where = device.prepare(compute.threads, min(1, compute.gpus))
    registry.check(s.features, FEATURES, "Moments.features")
    extract, features = FEATURES[s.features](features_path, s.architecture, where)
    about = {"format": FORMAT, "features": features, "images": shards.attributes(images_path)["checksum"]}
    length = shards.length(images_path)
    ends = list(s.cuts) or [length]
    if length < 1 or [0, *ends] != sorted({0, *ends}) or ends[-1] > length:
        raise ValueError(f"{images_path}: cuts {list(s.cuts)} do not ascend within its {length} images")
    progress = Progress(f"features of {images_path}", ends[-1])
    pieces = []
    # full float32 on a GPU too, and its convolutions in one fixed order
    with torch.inference_mode(), torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
        for first, end in pairwise([0, *ends]):
            pieces.append(_piece(images_path, first, end, extract, s.batch, where, progress))
    _write(moments_path, pieces, about)


def _piece(path, first, end, extract, batch, where, progress):
    """Return (count, mean, scatter) of images `first` to `end` (left out) of the file at `path`, as arrays."""
    moments = None
    step = batch * max(1, _READ // batch)
    for start in range(first, end, step):
        images = torch.from_numpy(shards.read_range(path, start, min(start + step, end))[0])
        for part in images.split(batch):
            features = extract(part.to(where)).to(torch.float64)
            mean = features.mean(0)
            centred = features - mean
            own = len(part), mean, centred.T @ centred
            moments = own if moments is None else _merged(moments, own)
            progress.advance(len(part))
    count, mean, scatter = moments
    return count, mean.cpu().numpy(), scatter.cpu().numpy()


def _write(path, pieces, about):
    rows, columns = np.tril_indices(about["features"]["dimensions"])
    counts = np.array([count for count, _, _ in pieces], dtype=np.int64)
    tensors = {
        "count": counts,
        "first": np.cumsum(counts) - counts,
        "mean": np.stack([mean for _, mean, _ in pieces]),
        "scatter": np.stack([scatter[rows, columns] for _, _, scatter in pieces]),
    }
    with replacing(path) as partial:
        embedded.save_tensors(save_file, tensors, partial, "about", json.dumps(about), provenance.current(path))


def about(path):
    """Return the metadata of a file of moments: `features` and the checksum of `images`.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = json.loads((file.metadata() or {}).get("about", "{}"))
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a readable file of moments ({str(error).splitlines()[0]})") from None
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: not a file of moments of this project (no format {FORMAT})")
    return metadata


def read(path):
    """Yield the :class:`Moments` of the pieces of a file, in the order of its images.

    Raises
    ------
    ValueError
        If it is no file of moments.
    """
    features = about(path)["features"]
    size = features["dimensions"]
    rows, columns = np.tril_indices(size)
    with safe_open(path, framework="numpy") as file:
        counts, means, packed = (file.get_slice(name) for name in ("count", "mean", "scatter"))
        for index, count in enumerate(counts[:]):
            scatter = np.empty((size, size))
            scatter[rows, columns] = scatter[columns, rows] = packed[index]
            yield Moments(int(count), means[index], scatter, features, str(path))


def reference_moments(path):
    """Return the :class:`Gaussian` of official reference statistics: an `.npz` with `mu` and `sigma`.

    Source: spec/interop.md 4f. Such a file does not say its features, which are Inception's, nor its images.

    Raises
    ------
    ValueError
        If the file holds no such statistics.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            mean, covariance = archive["mu"], archive["sigma"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: no reference statistics with arrays mu and sigma ({error})") from None
    if mean.ndim != 1 or covariance.shape != 2 * mean.shape:
        raise ValueError(f"{path}: mu {mean.shape} and sigma {covariance.shape} are no mean and covariance")
    mean, covariance = mean.astype(np.float64), covariance.astype(np.float64)
    finite = np.isfinite(mean).all() and np.isfinite(covariance).all()
    if not finite or np.abs(covariance - covariance.T).max() > 1e-6 * np.abs(covariance).max():
        raise ValueError(f"{path}: mu and sigma are not finite or sigma is not symmetric, so no mean and covariance")
    return Gaussian(mean, covariance, origin=str(path))


def _classifier(path, architecture, where):
    network = checkpoint.load(path, architecture, where)
    name = f"WRN-{architecture.depth}-{architecture.width} classifier trained on the study's own training images"
    identity = {"name": name, "dimensions": network.logits.in_features, "sha256": content_digest(path)}
    return lambda images: network.features(to_network(images, where)), identity


def _inception(path, _, where):
    network = inception.load(path, where)
    identity = {"name": "Inception-v3 (2015-12-05)", "dimensions": inception.DIMENSIONS, "sha256": inception.SHA256}
    return network.features, identity


# of uint8 images (batch, height, width, channels): (path of weights, architecture, device) -> (features, who they are)
FEATURES = {"classifier": _classifier, "inception": _inception}
