"""Candidate runs: WideResNets and numbers of images within a budget or a schedule, with their costs.

The settings of the study (`told` below) are `settings.Plan`.
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

    `flops`: as the paper charges them; `held`: whether fewer images than affordable are used, as the paper has no run
    between 200 and 300 million images to take the batch from.
    """

    network: Network
    images: int
    batch: int
    learning_rate: float
    epoch_images: int | None
    passes: int
    pool: str
    held: bool = False
    real_fraction: float = 0.0
    shares: tuple = ()
    unique_images: int | None = None

    @property
    def flops(self):
        """Training FLOPs."""
        return float(self.passes * self.network.forward_flops * self.draws)


def network(depth, width, told):
    """Return a WideResNet under the name that the study has for its shape, or a new one."""
    a = told.architecture
    known = {(one["depth"], one["width"]): one["name"] for one in told.models}
    name = known.get((depth, width))
    if name is None:
        name = f"wrn-{depth}-{width}"
        while name in {*known.values(), *told.taken}:
            name += "-new"
    return Network(
        name,
        depth,
        width,
        wrn_flops.wrn_parameters(depth, width, a.classes, a.channels),
        wrn_flops.wrn_forward_flops(depth, width, a.image_size, a.classes, a.channels),
    )


def of_study(told):
    """Return the networks of the study, smallest first."""
    return sorted((network(one["depth"], one["width"], told) for one in told.models), key=lambda one: one.params)


def aspects(told):
    """Return the least and largest depth / width of the study, with a little room."""
    found = [one["depth"] / one["width"] for one in told.models]
    return min(found) / _SLACK, max(found) * _SLACK


def networks_near(params, told):
    """Return real WideResNets of about `params` parameters in shapes like the study's: some depths for each width.

    At one width the parameters are linear in the depth, so that the depth of N* is known without a search.
    """
    low, high = aspects(told)
    a = told.architecture
    found, width = [], 1
    while True:
        one, two = (wrn_flops.wrn_parameters(depth, width, a.classes, a.channels) for depth in (10, 16))
        blocks = max(1, round(1 + (params - one) / (two - one)))
        depths = [4 + 6 * n for n in range(blocks - _BESIDE, blocks + _BESIDE + 1) if n >= 1]
        found += [network(depth, width, told) for depth in depths if low <= depth / width <= high]
        if one > 2 * params and (found or width * low > 10):
            break
        width += 1
    return found or of_study(told)


def around(told):
    """Return the networks of the study and their neighbours in depth and width, in shapes like the study's."""
    low, high = aspects(told)
    shapes = {(one["depth"], one["width"]) for one in told.models}
    for depth, width in list(shapes):
        beside = [(depth - 6, width), (depth + 6, width), (depth, width - 1), (depth, width + 1), (depth, 2 * width)]
        shapes |= {(d, w) for d, w in beside if d >= 10 and w >= 1 and low <= d / w <= high}
    return [network(depth, width, told) for depth, width in sorted(shapes)]


def on_images(network, images, told):
    """Return the run of a network on at most `images` images, in whole batches or accounting epochs.

    Returns
    -------
    Candidate or None
        None where the schedule needs more images than these.
    """
    held = False
    for _ in range(2):  # rounding may cross an end of the paper's table
        batch, rate, images, now_held = _batch(images, told)
        held |= now_held
        unit = told.accounting_epoch or batch
        images = images // unit * unit
        if images < max(told.least_images, batch):
            return None
    passes = wrn_flops.passes_per_step(told.attack_steps)
    return Candidate(network, images, batch, rate, told.accounting_epoch, passes, told.pool, held)


def for_flops(network, flops, told):
    """Return the longest run of a network within a budget, or None where the schedule needs more than it buys."""
    passes = wrn_flops.passes_per_step(told.attack_steps)
    images = math.floor(flops / (passes * network.forward_flops) * (1 + 1e-12))
    longest = on_images(network, images, told)
    if longest is None or longest.flops <= flops * (1 + 1e-12):
        return longest
    # accounting epochs are all of full batches and so draw a little more than they count
    return on_images(network, math.floor(images * longest.images / longest.draws), told)


def _batch(images, told):
    """Return batch, learning rate, images, and whether these are held at what the paper has a batch for."""
    if told.batch is not None and told.learning_rate is not None:
        return told.batch, told.learning_rate, images, False
    most = accounting.TABLE[-1][0]
    held = most < images < accounting.LARGE[0]
    images = most if held else images
    batch, rate = accounting.batch_and_rate(images)
    return told.batch or batch, told.learning_rate or rate, images, held


def images_needed(candidate):
    """Return the images of its dataset that a run needs."""
    return candidate.synthetic_images


def images_to_sample(candidate, dataset, told):
    """Return how many images a run needs beyond those that the config says of its dataset (None: it has none)."""
    there = next((one["images"] for one in told.datasets if one["name"] == dataset), 0)
    return max(0, images_needed(candidate) - there)


def stored_bytes(images, told):
    """Return the bytes that images take in shards: pixels of one byte, label and digest, uncompressed."""
    a = told.architecture
    return images * (a.image_size**2 * a.channels + _BYTES_BESIDE)
