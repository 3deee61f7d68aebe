"""The memory of each job, and the size of its forward passes. Imports no torch.

Computed from the job's settings, as in :mod:`robustlaws.job_resources.job_costs`.

Activations: an element-wise layer leaves one number for each of its FLOPs. So the FLOPs that are not products count the
numbers that a forward pass leaves (`unet_flops.Tally.rest`, `wrn_flops.wrn_touched`). The share of them that a pass
holds at once was measured (torch 2.13, float32, on a CPU); the constants below give it for each kind of pass.
"""

import math
from dataclasses import dataclass

from robustlaws import registry
from robustlaws.job_resources.job_costs import NETWORKED
from robustlaws.networks import unet_flops, wrn_flops
from robustlaws.stages import RULES

_FLOAT = 4  # bytes
# of the numbers that a pass leaves, measured on WideResNets and on the U-Nets of config/cifar10.yaml, and rounded up
_STEP = 2.6  # of TRADES: two passes wait for their backward passes; measured 2.3 to 2.5
_ATTACK = 1.4  # to the input, parameters frozen; 1.2, and of AutoAttack 1.0 to 1.3 beside the images that it keeps
_LEARN = 1.5  # one pass that a U-Net or a classifier learns from; 1.3 to 1.45
_LOOK = 0.4  # without a gradient; 0.2 to 0.35
_INCEPTION = 20_000_000  # bytes an image, without a gradient; 16,000,000
# weights, gradient, optimiser, average, and what is copied while a state is written
_SGD, _ADAM, _BARE = 6, 7, 3
_ASSUMED = 100_000  # images of a split whose size is not known before it is imported
_UNKNOWN = 4_000_000_000  # bytes of a network of unknown size
_READ = 4096  # images that the moments read from a file at once
_MOMENTS = 14  # matrices of features: two Gaussians, their factors, the work space of LAPACK; 8 to 11


@dataclass(frozen=True)
class MemoryNeed:
    """The main memory of a job, and the size of its forward pass.

    Attributes
    ----------
    values : float
        Bytes, beside those of interpreter and libraries.
    loads : str
        "tables" (pandas, perhaps matplotlib), "torch", or "gpu": torch, and what a GPU has it map where it has one.
    processes : int
        That hold as much, on one node.
    pass_flops : int
        FLOPs of one forward pass of as many images as the job passes through its network at once.
    """

    values: float = 0.0
    loads: str = "tables"
    processes: int = 1
    pass_flops: int = 0


class Memory:
    """The memory of the jobs of a study.

    Parameters
    ----------
    costs : costs.Costs
        Of the study.
    compute : settings.Compute
        On a GPU, activations are no concern of the main memory.
    """

    def __init__(self, costs, compute):
        self.costs, self.study, self.compute = costs, costs.study, compute
        self.train_images = costs.train_images or _ASSUMED
        self.test_images = costs.test_images or _ASSUMED

    def of(self, rule, wildcards):
        """Return the memory of a job; a rule without a method here works on tables; ValueError as `Costs.of`."""
        of_rule = _OF_RULES.get(registry.check(rule, RULES, "rule"))
        return of_rule(self, **wildcards) if of_rule else MemoryNeed()

    def _pixels(self, images, size=1):
        return images * self.costs.pixels * size

    def _passes(self, images, touched, share):
        return 0 if self.compute.gpus else images * touched * share * _FLOAT

    def _touched(self, architecture):
        a = architecture
        return wrn_flops.wrn_touched(a.depth, a.width, a.image_size)

    def _forward(self, architecture):
        a = architecture
        return wrn_flops.wrn_forward_flops(a.depth, a.width, a.image_size, a.classes, a.channels)

    def _weights(self, architecture):
        a = architecture
        return _FLOAT * wrn_flops.wrn_parameters(a.depth, a.width, a.classes, a.channels)

    # data

    def _import_data(self):
        # decoded, one behind the other, in a random order, written
        return MemoryNeed(4 * self._pixels(self.train_images + self.test_images))

    # generators

    def _train_generator(self, generator):
        s = self.study.generator(generator)
        learning = unet_flops.unet(s.network, augmented=True)
        grid = 8 * min(s.network.label_dim or 1, 25)
        passes = max(
            self._passes(s.batch / s.accumulate, learning.rest, _LEARN), self._passes(grid, learning.rest, _LOOK)
        )
        values = self._pixels(self.train_images) + _ADAM * _FLOAT * learning.parameters + passes
        return MemoryNeed(values, loads="gpu", pass_flops=s.batch // s.accumulate * learning.flops)

    def _train_encoder(self, generator, which, images=0):
        s = self.study.encoder(generator, which)
        learning = unet_flops.encoder(s.network)[1]
        under = self.costs.pair(generator)[0] if which == "discriminator" else None
        looked = unet_flops.encoder(under)[0].rest if under else 0
        passes = self._passes(s.batch, learning.rest, _LEARN) + self._passes(s.batch, looked, _LOOK)
        values = 2 * self._pixels(self.train_images + images) + _ADAM * _FLOAT * learning.parameters + passes
        return MemoryNeed(values, loads="gpu", pass_flops=s.batch * learning.flops)

    def _train_extractor(self, generator):
        return self._train_encoder(generator, "extractor")

    def _train_discriminator(self, generator):
        return self._train_encoder(generator, "discriminator", self.study.fakes(generator)[1])

    def _import_generator(self, generator):
        network = self.costs.denoiser(generator)
        return MemoryNeed(_BARE * _FLOAT * unet_flops.unet(network).parameters if network else _UNKNOWN, loads="torch")

    def _import_pair(self, generator):
        pair = [network for network in self.costs.pair(generator) if network]
        weights = sum(_FLOAT * unet_flops.encoder(network)[1].parameters for network in pair)
        return MemoryNeed(_BARE * weights if len(pair) == 2 else _UNKNOWN, loads="torch")

    # sampling

    def _sample_shard(self, dataset, shard):
        s = self.study.sampling(dataset, shard)
        images = self._pixels(s.batch, 1 + 8 * 6)  # float64: latents, and what the method of Heun keeps of them
        if s.sampler == "files":
            return MemoryNeed(self._pixels(2 * s.batch), loads="gpu")
        network = None if s.sampler not in NETWORKED else self.costs.denoiser(self.study.base_of(s.generator))
        if network is None:
            return MemoryNeed(_UNKNOWN + images, loads="gpu")
        tally = unet_flops.unet(network)
        weights, passes = _FLOAT * tally.parameters, self._passes(s.batch, tally.rest, _LOOK)
        pass_flops = s.batch * tally.flops
        pair = self.costs.pair(s.generator) if s.sampler == "dg" else ()
        for network in pair:
            tally = unet_flops.encoder(network)[1] if network else None
            weights += _FLOAT * tally.parameters if tally else _UNKNOWN
            passes += self._passes(s.batch, tally.rest, _LEARN) if tally else 0
        return MemoryNeed(_BARE * weights + images + passes, loads="gpu", pass_flops=pass_flops)

    # quality

    def _train_features(self):
        s = self.study.features()
        touched = self._touched(s.architecture)
        passes = max(self._passes(s.batch, touched, _LEARN), self._passes(self.test_images, touched, _LOOK))
        images = self._pixels(self.train_images) + self._pixels(self.test_images, 1 + _FLOAT)
        values = images + _SGD * self._weights(s.architecture) + passes
        return MemoryNeed(values, loads="gpu", pass_flops=s.batch * self._forward(s.architecture))

    def _moments(self, settings):
        a = settings.architecture
        width = 64 * a.width if a else unet_flops.INCEPTION_FEATURES
        if a:
            passes, flops = self._passes(settings.batch, self._touched(a), _LOOK), self._forward(a)
        else:
            passes, flops = 0 if self.compute.gpus else settings.batch * _INCEPTION, unet_flops.INCEPTION_FLOPS
        matrices = 8 * width**2 * (max(1, len(settings.cuts)) + 4)
        images = self._pixels(_READ + settings.batch, 1 + _FLOAT)
        return MemoryNeed(images + passes + matrices, loads="gpu", pass_flops=settings.batch * flops)

    def _measure_split(self, split):
        return self._moments(self.study.moments())

    def _measure_shard(self, dataset, shard):
        return self._moments(self.study.shard_moments(dataset, shard))

    def _measure_quality(self, dataset):
        a = self.study.quality(dataset).architecture
        return MemoryNeed(_MOMENTS * 8 * (64 * a.width if a else unet_flops.INCEPTION_FEATURES) ** 2, loads="torch")

    # training

    def _train_run(self, model, dataset, size, seed):
        s = self.study.training(self.study.run(f"{model}/{dataset}/{size}/{seed}"))
        ranks, touched = self.compute.ranks, self._touched(s.architecture)
        part = s.batch / s.accumulate / ranks
        real = self.train_images if s.real_fraction or s.validation_images else 0
        # this window and the next, each with its order; never more than all there are
        window = min(s.window_images, sum(images for images, _ in s.parts))
        images = self._pixels(2 * window + self.test_images + real)
        measured = min(s.curve.batch, max(s.curve.images, s.validation_images))
        passes = max(
            self._passes(part, touched, _STEP),
            self._passes(measured / ranks, touched, _ATTACK),
        )
        weights = (_SGD + bool(s.validation_images)) * self._weights(s.architecture)
        processes, flops = self.compute.processes_per_node, math.ceil(part * self._forward(s.architecture))
        return MemoryNeed(images + weights + passes, loads="gpu", processes=processes, pass_flops=flops)

    # attacks

    def _attack_run(self, victim, attack):
        s = self.study.attack(attack, victim)
        images = min(n for n in (s.images, self.test_images) if n is not None)
        batch, a = min(s.batch, images), s.architecture
        kept = self._pixels(self.test_images) + self._pixels(images, 3 * _FLOAT)
        values = kept + _BARE * self._weights(a) + self._passes(batch, self._touched(a), _ATTACK)
        return MemoryNeed(values, loads="gpu", pass_flops=batch * self._forward(a))

    def _attack_chunk(self, victim, attack, chunk):
        s = self.study.attack(attack, victim)
        images, a = min(s.chunk, s.images), s.architecture
        kept = self._pixels(images, 30 * _FLOAT)  # the package keeps best images, steps and gradients side by side
        values = kept + _BARE * self._weights(a) + self._passes(images, self._touched(a), _ATTACK)
        return MemoryNeed(values, loads="gpu", pass_flops=images * self._forward(a))

    def _gather_chunks(self, victim, attack):
        return MemoryNeed(self._pixels(self.study.attack(attack, victim).images, 3 * _FLOAT))

    # the human study

    def _attack_inner(self, bundle):
        s = self.study.inner_attack(bundle)
        there = {"train": self.train_images, "test": self.test_images}[bundle]
        images, a = min(s.images, there), s.architecture
        kept = self._pixels(there) + self._pixels(images, 3 * _FLOAT)
        values = kept + _BARE * self._weights(a) + self._passes(min(s.batch, images), self._touched(a), _ATTACK)
        return MemoryNeed(values, loads="gpu", pass_flops=s.batch * self._forward(a))

    def _record_images(self, bundle):
        """Return the memory of a job that reads the attacked images of a record, and as many clean ones."""
        there = {"train": self.train_images, "test": self.test_images}[bundle]
        images = min(self.study.inner_attack(bundle).images, there)
        return MemoryNeed(self._pixels(there) + self._pixels(images, 3 * _FLOAT))

    _make_stimuli = _judge_images = _record_images

    # other networks

    def _import_checkpoint(self, checkpoint):
        return MemoryNeed(2 * _BARE * self._weights(self.study.checkpoint(checkpoint).architecture), loads="torch")

    def _export_run(self, model, dataset, size, seed):
        run = self.study.run(f"{model}/{dataset}/{size}/{seed}")
        weights = 2 * _BARE * self._weights(self.study.training(run).architecture)
        return MemoryNeed(weights + self._pixels(self.test_images, 3 * _FLOAT), loads="torch")


# {rule: method of its name}
_OF_RULES = {name: vars(Memory)[f"_{name}"] for name in RULES if f"_{name}" in vars(Memory)}
