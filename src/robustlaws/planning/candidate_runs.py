"""Candidate runs: WideResNets and numbers of images within a budget or a schedule, with their costs.

The `settings` of the study are `settings.Plan`.
"""

import math
from dataclasses import dataclass

from robustlaws.networks import wrn_flops
from robustlaws.settings import accounting

_BYTES_BESIDE = 16  # of a shard, for each image: label and digest, 8 bytes each
_SLACK = 1.1  # of the study's aspect ratios
_BESIDE = 2  # depths looked at on either side of the one of N*


@dataclass(frozen=True)
class Network:
    """A WideResNet: `params` N, `forward_flops` of one image."""

    name: str
    depth: int
    width: int
    params: int
    forward_flops: int


@dataclass(frozen=True)
class Candidate(accounting.Accounting):
    """A run that could be trained on `images` images (D as a config gives it; `draws` are those drawn).

    `flops`: as the paper charges them; `capped`: whether fewer images than affordable are used, as the paper has no run
    between 200 and 300 million images to take the batch from.
    """

    network: Network
    images: int
    batch: int
    learning_rate: float
    epoch_images: int | None
    passes: int
    pool: str
    capped: bool = False
    real_fraction: float = 0.0
    shares: tuple = ()
    unique_images: int | None = None

    @property
    def flops(self):
        """Training FLOPs."""
        return float(self.passes * self.network.forward_flops * self.draws)


def network(depth, width, settings):
    """Return a WideResNet under the name that the study has for its shape, or a new one."""
    a = settings.architecture
    known = {(model["depth"], model["width"]): model["name"] for model in settings.models}
    name = known.get((depth, width))
    if name is None:
        name = f"wrn-{depth}-{width}"
        while name in {*known.values(), *settings.taken}:
            name += "-new"
    return Network(
        name,
        depth,
        width,
        wrn_flops.wrn_parameters(depth, width, a.classes, a.channels),
        wrn_flops.wrn_forward_flops(depth, width, a.image_size, a.classes, a.channels),
    )


def of_study(settings):
    """Return the networks of the study, smallest first."""
    return sorted(
        (network(model["depth"], model["width"], settings) for model in settings.models), key=lambda model: model.params
    )


def aspects(settings):
    """Return the least and largest depth / width of the study, with a little room."""
    ratios = [model["depth"] / model["width"] for model in settings.models]
    return min(ratios) / _SLACK, max(ratios) * _SLACK


def networks_near(params, settings):
    """Return real WideResNets of about `params` parameters in shapes like the study's: some depths for each width.

    At one width the parameters are linear in the depth, so that the depth of N* is known without a search.
    """
    low, high = aspects(settings)
    a = settings.architecture
    near, width = [], 1
    while True:
        smallest, two = (wrn_flops.wrn_parameters(depth, width, a.classes, a.channels) for depth in (10, 16))
        blocks = max(1, round(1 + (params - smallest) / (two - smallest)))
        depths = [4 + 6 * n for n in range(blocks - _BESIDE, blocks + _BESIDE + 1) if n >= 1]
        near += [network(depth, width, settings) for depth in depths if low <= depth / width <= high]
        if smallest > 2 * params and (near or width * low > 10):
            break
        width += 1
    return near or of_study(settings)


def around(settings):
    """Return the networks of the study and their neighbours in depth and width, in shapes like the study's."""
    low, high = aspects(settings)
    shapes = {(model["depth"], model["width"]) for model in settings.models}
    for depth, width in list(shapes):
        beside = [(depth - 6, width), (depth + 6, width), (depth, width - 1), (depth, width + 1), (depth, 2 * width)]
        shapes |= {(d, w) for d, w in beside if d >= 10 and w >= 1 and low <= d / w <= high}
    return [network(depth, width, settings) for depth, width in sorted(shapes)]


def on_images(network, images, settings):
    """Return the run of a network on at most `images` images, in whole batches or accounting epochs.

    Returns
    -------
    Candidate or None
        None where the schedule needs more images than these.
    """
    capped = False
    for _ in range(2):  # rounding may cross an end of the paper's table
        batch, rate, images, now_held = _batch(images, settings)
        capped |= now_held
        unit = settings.accounting_epoch or batch
        images = images // unit * unit
        if images < max(settings.least_images, batch):
            return None
    passes = wrn_flops.passes_per_step(settings.attack_steps)
    return Candidate(network, images, batch, rate, settings.accounting_epoch, passes, settings.pool, capped)


def for_flops(network, flops, settings):
    """Return the longest run of a network within a budget, or None where the schedule needs more than it buys."""
    passes = wrn_flops.passes_per_step(settings.attack_steps)
    images = math.floor(flops / (passes * network.forward_flops) * (1 + 1e-12))
    longest = on_images(network, images, settings)
    if longest is None or longest.flops <= flops * (1 + 1e-12):
        return longest
    # accounting epochs are all of full batches and so draw a little more than they count
    return on_images(network, math.floor(images * longest.images / longest.draws), settings)


def _batch(images, settings):
    """Return batch, learning rate, images, and whether these are capped at what the paper has a batch for."""
    if settings.batch is not None and settings.learning_rate is not None:
        return settings.batch, settings.learning_rate, images, False
    most = accounting.TABLE[-1][0]
    capped = most < images < accounting.LARGE[0]
    images = most if capped else images
    batch, rate = accounting.batch_and_rate(images)
    return settings.batch or batch, settings.learning_rate or rate, images, capped


def images_needed(candidate):
    """Return the images of its dataset that a run needs."""
    return candidate.synthetic_images


def images_to_sample(candidate, dataset, settings):
    """Return the number of images that a run needs beyond its dataset in the config (None: it has none)."""
    there = next(
        (dataset_entry["images"] for dataset_entry in settings.datasets if dataset_entry["name"] == dataset), 0
    )
    return max(0, images_needed(candidate) - there)


def stored_bytes(images, settings):
    """Return the bytes that images take in shards: pixels of one byte, label and digest, uncompressed."""
    a = settings.architecture
    return images * (a.image_size**2 * a.channels + _BYTES_BESIDE)
