"""Train the two networks of discriminator guidance: the feature extractor and the discriminator.

The extractor is a classifier of noisy images under the variance-preserving process: ADM's recipe, scaled down. The
discriminator separates noisy training images from noisy generated ones by the extractor's features.

Source: spec/generators.md 9.1, 9.2 and 9.5 (Kim et al. 2023; Dhariwal and Nichol 2021).
"""

import numpy as np
import torch
from torch.nn import functional

from robustlaws.data import shards
from robustlaws.data.sample_order import Walk, permutation
from robustlaws.data.tensors import to_network
from robustlaws.generators import network_files
from robustlaws.generators.training import loop
from robustlaws.networks import discriminator
from robustlaws.runtime import device, resumable_state
from robustlaws.seeds import derive
from robustlaws.settings import as_params
from robustlaws.storage.embedded import content_digest

_FIRST_TIME, _LAST_TIME = 1e-5, 1.0
_BETA_0, _BETA_1 = discriminator.BETA_MIN, discriminator.BETA_MAX


def train_extractor(*, train_path, config_path, weights_path, state_path, settings, revision, compute):
    """Train the feature extractor as a classifier of noisy training images.

    Adam with decoupled weight decay; the cross entropy is averaged over times that are uniform, as ADM's are.

    Parameters
    ----------
    train_path : path
        Shard of the training images.
    config_path, weights_path : path
        Files to write, see :func:`robustlaws.generators.network_files.save`.
    state_path : path
        Folder of the states of unfinished training; whoever finds its own there goes on from it and ends with
        the same bytes as if never interrupted (on the CPU of one machine, same threads; on a GPU not tested).
    settings : settings.EncoderTraining
    revision : str
        Of the code: a state of another one is not taken up.
    compute : settings.Compute
        One process, on the CPU or the first GPU.

    Raises
    ------
    ValueError
        If the network does not fit the images, or the loss is no longer finite.
    Stopped
        After SIGTERM, SIGUSR1 or Ctrl-C, or when the time budget is used up: the state is saved.
    """
    where = device.prepare_generating(compute)
    owner = _owner(settings, revision, {"real": train_path})
    with resumable_state.locked(state_path):
        images, labels = shards.read(train_path)
        _check(settings, labels, settings.network.outputs, "outputs")
        work = _Extractor(settings, images, labels, where, compute.compile)
        loop.carry_out(work, state_path, owner, compute)
        _write(work, "extractor", config_path, weights_path)
        resumable_state.forget(state_path)


def train_discriminator(
    *,
    train_path,
    fake_paths,
    extractor_config_path,
    extractor_weights_path,
    config_path,
    weights_path,
    state_path,
    settings,
    revision,
    compute,
):
    """Train the discriminator of training images (1) and generated ones (0).

    Parameters
    ----------
    train_path : path
        Shard of the training images.
    fake_paths : list of path
        Shards of the base generator's images, in order; the first `settings.fakes` images are used.
    extractor_config_path, extractor_weights_path : path
        The extractor, which stays as it is.
    config_path, weights_path, state_path, settings, revision, compute
        As for :func:`train_extractor`.

    Raises
    ------
    ValueError
        If the shards hold too few images, the networks do not fit the images or one another, or the loss is
        no longer finite.
    Stopped
        As for :func:`train_extractor`.
    """
    where = device.prepare_generating(compute)
    named = {"real": train_path} | {f"fake {index}": path for index, path in enumerate(fake_paths)}
    owner = _owner(settings, revision, named) | {"extractor": content_digest(extractor_weights_path)}
    with resumable_state.locked(state_path):
        images, labels = shards.read(train_path)
        fakes, fake_labels = shards.read_prefix(fake_paths, settings.fakes)
        if images.shape[1:] != fakes.shape[1:]:
            raise ValueError(f"{fake_paths[0]}: images of {_shape(fakes)}; those of {train_path} are {_shape(images)}")
        extractor, about = network_files.load(extractor_config_path, extractor_weights_path, where)
        if about["kind"] != "extractor":
            raise ValueError(f"{extractor_config_path} kind: {about['kind']!r}; 'extractor' is needed here")
        labels = np.concatenate([labels, fake_labels])
        if settings.network.label_table:
            _check(settings, labels, settings.network.label_table, "label_table")
        real = np.repeat(np.array([1, 0], np.float32), [len(images), len(fakes)])
        work = _Discriminator(
            extractor, real, settings, np.concatenate([images, fakes]), labels, where, compute.compile
        )
        loop.carry_out(work, state_path, owner, compute)
        _write(work, "discriminator", config_path, weights_path)
        resumable_state.forget(state_path)


def diffusion_times(uniform):
    """Return the times at which the discriminator is trained, float32 (batch,), for draws from U(0, 1).

    ln sigma^2 is uniform between its values at times 1e-5 and 1. Evaluated in float32 term by term, as published.
    1 + sigma^2 and the ends lose digits there: other formulas move times near 0 by 5e-7.
    """
    slope = _BETA_1 - _BETA_0
    low, high = (_log_variance(torch.tensor(time)) for time in (_FIRST_TIME, _LAST_TIME))
    variance = (low + uniform * (high - low)).exp()
    return ((_BETA_0**2 + 2 * slope * (1 + variance).log()).sqrt() - _BETA_0) / slope


def _log_variance(time):
    """Return ln sigma^2 = ln(exp(Bt) - 1) at `time`, by way of ln(1 - exp(-Bt)) + Bt in the precision of `time`."""
    exponent = time**2 * (_BETA_1 - _BETA_0) / 2 + time * _BETA_0
    return (1 - (-exponent).exp()).log() + exponent


def diffused(images, time, normal):
    """Return images at `time` of the variance-preserving process.

    Parameters
    ----------
    images : float32 tensor (batch, channels, height, width)
        Clean, in [-1, 1].
    time : float32 tensor (batch,)
    normal : float32 tensor like `images`
        Standard normal.
    """
    mean, std = (each(time)[:, None, None, None] for each in (discriminator.m, discriminator.std))
    return mean * images + std * normal


class _Encoder(loop.Work):
    """A network of the pair while it trains, on uint8 images (count, height, width, channels) and their classes."""

    def __init__(self, name, optimiser, settings, images, labels, where, compiled):
        s = settings
        torch.manual_seed(derive(s.seed, "weights"))
        self.network = discriminator.build(s.network).to(where, memory_format=torch.channels_last).train()
        self.compiled = device.compiled(self.network, compiled)
        self.optimiser = optimiser(
            self.network.parameters(), lr=s.learning_rate, weight_decay=s.weight_decay, fused=True
        )
        super().__init__(name, s, where, {"network": self.network, "optimiser": self.optimiser})
        self.images, self.labels = torch.from_numpy(images), torch.from_numpy(labels)
        self.walk = Walk(len(labels), lambda turn: permutation(len(labels), s.seed, "order", turn))

    def step(self, generator):
        chosen = self.walk.at(self.update * self.settings.batch, self.settings.batch)
        time = self.times(torch.rand(len(chosen), generator=generator)).to(self.where, non_blocking=True)
        images = to_network(self.images[chosen], self.where) * 2 - 1
        noise = torch.randn(images.shape, generator=generator).to(self.where, non_blocking=True)
        labels = self.labels[chosen].to(self.where, non_blocking=True)
        loss = self.loss(diffused(images, time, noise), time, labels, chosen)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss


class _Extractor(_Encoder):
    def __init__(self, *given):
        super().__init__("extractor", torch.optim.AdamW, *given)

    def times(self, uniform):
        return _FIRST_TIME + uniform * (_LAST_TIME - _FIRST_TIME)

    def loss(self, images, time, labels, chosen):
        return functional.cross_entropy(self.compiled(images, time), labels)


class _Discriminator(_Encoder):
    """`real` float32 (count,): 1 for training images, 0 for generated ones."""

    def __init__(self, extractor, real, *given):
        super().__init__("discriminator", torch.optim.Adam, *given)
        self.extractor, self.real = extractor, torch.from_numpy(real)

    def times(self, uniform):
        return diffusion_times(uniform)

    def loss(self, images, time, labels, chosen):
        with torch.no_grad():
            features = self.extractor.features(images, time)
        logits = self.compiled(features, time, labels if self.settings.network.label_table else None)[:, 0]
        real = self.real[chosen].to(self.where, non_blocking=True)
        return functional.binary_cross_entropy_with_logits(logits, real)


def _owner(settings, revision, paths):
    """Return the owner of a state: the settings, the code, and the images by their checksums."""
    images = {name: shards.attributes(path)["checksum"] for name, path in paths.items()}
    return {"revision": revision, "settings": as_params(settings), "images": images}


def _check(settings, labels, rows, what):
    """Raise ValueError if a class of `labels` has no row of the `rows` of the network."""
    if labels.max() >= rows:
        raise ValueError(
            f"{settings.generator}: network.{what} is {rows}; the images have {labels.max() + 1} classes, give as many"
        )


def _shape(images):
    return "x".join(map(str, images.shape[1:]))


def _write(work, kind, config_path, weights_path):
    s = work.settings
    about = {"kind": kind, "generator": s.generator, "classes": s.classes, "updates": s.updates, "batch": s.batch}
    network_files.save(config_path, weights_path, work.network, about)
