"""Train a generator of the EDM family, EDM or PFGM++, on the study's own training images.

Source: spec/generators.md 7 and 8 (Karras et al. 2022, Xu et al. 2023).
"""

import copy
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import one_hot

from robustlaws.data import shards
from robustlaws.data.sample_order import Walk, permutation
from robustlaws.data.tensors import to_network
from robustlaws.generators import edm, heun, network_files, sample_sheet
from robustlaws.generators.training import augmentation, loop, losses
from robustlaws.networks import ddpmpp
from robustlaws.runtime import device, resumable_state
from robustlaws.seeds import derive
from robustlaws.settings import as_params

KINDS = "edm", "pfgmpp"

_GRID_COLUMNS, _GRID_ROWS, _GRID_STEPS = 8, 25, 18
_GRID_SHARE = 0.05  # of the time, at most, goes into grids while training


def train_generator(*, train_path, config_path, weights_path, grid_path, state_path, settings, revision, compute):
    """Train a generator; write the moving average of its weights and a grid of its images.

    Parameters
    ----------
    train_path : path
        Shard of the training images (never the test images).
    config_path, weights_path : path
        Files to write, see :func:`robustlaws.generators.network_files.save`.
    grid_path : path
        PNG to write: images of the trained generator, one row for each class.
    state_path : path
        Folder of the states of unfinished training; whoever finds its own there goes on from it and ends with
        the same bytes as if never interrupted (on the CPU of one machine, same threads; on a GPU not tested).
        At each state a grid of the images so far, `grid-<update>.png`, is put there too.
    settings : settings.GeneratorTraining
    revision : str
        Of the code: a state of another one is not taken up.
    compute : settings.Compute
        One process, on the CPU or the first GPU.

    Raises
    ------
    ValueError
        If the settings do not fit the images or one another, or the loss is no longer finite.
    Stopped
        After SIGTERM, SIGUSR1 or Ctrl-C, or when the time budget is used up: the state is saved.
    """
    where = device.prepare_generating(compute)
    about = shards.attributes(train_path)
    owner = {"revision": revision, "settings": as_params(settings), "images": about["checksum"]}
    with resumable_state.locked(state_path):
        work = _Generator(settings, *shards.read(train_path), about.get("class_names", ()), where, compute.compile)
        loop.carry_out(work, state_path, owner, compute)
        work.draw_grid(grid_path)
        network_files.save(config_path, weights_path, work.average, work.about())
        resumable_state.forget(state_path)


def learning_rate(seen, highest, ramp_images):
    """Return the learning rate of an update that `seen` images were seen before: up to `highest` on a straight ramp."""
    return highest * min(seen / max(ramp_images, 1e-8), 1.0)


def average_weight(seen, batch, half_life):
    """Return beta of the moving average after an update that `seen` images were seen before.

    The half-life is `half_life` images, and at most a twentieth of what was seen.
    """
    return 0.5 ** (batch / max(min(half_life, 0.05 * seen), 1e-8))


class _Generator(loop.Work):
    """A generator while it trains, on images uint8 (count, height, width, channels) and labels int64 (count,)."""

    def __init__(self, settings, images, labels, class_names, where, compiled):
        s = settings
        _check(s, images, labels)
        torch.manual_seed(derive(s.seed, "weights"))
        network = ddpmpp.Preconditioned(ddpmpp.build(s.network), s.sigma_data)
        self.network = network.to(where, memory_format=torch.channels_last).train()
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=s.learning_rate, fused=True)
        kept = {"network": self.network, "average": self.average, "optimiser": self.optimiser}
        super().__init__(f"generator {s.kind}", s, where, kept)
        self.denoiser = device.compiled(self.network, compiled)
        self.images, self.labels, self.class_names = torch.from_numpy(images), torch.from_numpy(labels), class_names
        self.walk = Walk(len(labels), lambda turn: permutation(len(labels), s.seed, "order", turn))
        self._grid_seconds, self._grid_drawn = 0.0, -float("inf")

    def step(self, generator):
        s, seen = self.settings, self.update * self.settings.batch
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(seen, s.learning_rate, s.ramp_images)
        self.optimiser.zero_grad(set_to_none=True)
        total = 0
        for part in self._parts(generator):
            loss = self._loss(*part)
            loss.backward()
            total = total + loss.detach()
        for parameter in self.network.parameters():
            if parameter.grad is not None:
                torch.nan_to_num_(parameter.grad, nan=0.0, posinf=1e5, neginf=-1e5)
        self.optimiser.step()
        beta = average_weight(seen, s.batch, s.ema_half_life_images)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - beta)
        return total

    def _parts(self, generator):
        """Return the parts of the next batch: images, class labels, augmentation labels, sigma, perturbation.

        All is drawn for the whole batch, on the CPU: no image depends on the parts or on the processor.
        """
        s = self.settings
        chosen = self.walk.at(self.update * s.batch, s.batch)
        sigma = losses.noise_level(torch.randn(s.batch, generator=generator), s.p_mean, s.p_std)
        images = to_network(self.images[chosen], self.where) * 2 - 1
        images, told_of = augmentation.augment(images, s.augment, s.mirror, generator)
        noise = torch.randn(images.shape, generator=generator)
        if s.kind == "pfgmpp":
            draws = np.random.default_rng(derive(s.seed, "beta", self.update))
            beta = draws.beta(noise[0].numel() / 2, s.augmented_dimension / 2, s.batch)
            perturbation = losses.poisson(sigma, torch.from_numpy(beta), noise, s.augmented_dimension)
        else:
            perturbation = losses.gaussian(sigma, noise)
        batch = images, self._onehot(self.labels[chosen]), told_of, sigma, perturbation
        moved = [self._moved(part) for part in batch]
        return zip(*(part.chunk(s.accumulate) for part in moved), strict=True)

    def _loss(self, images, onehot, told_of, sigma, perturbation):
        s = self.settings

        def denoiser(noisy, level):
            return self.denoiser(
                noisy, level, onehot if s.network.label_dim else None, told_of if s.network.augment_dim else None
            )

        return losses.elements(denoiser, images, sigma, perturbation, s.sigma_data).sum() / s.batch

    def _onehot(self, labels):
        return one_hot(labels, max(self.settings.network.label_dim, int(labels.max()) + 1)).to(torch.float32)

    def _moved(self, part):
        part = part.to(self.where, non_blocking=True)
        return part.contiguous(memory_format=torch.channels_last) if part.ndim == 4 else part

    def saved(self, folder):
        if time.monotonic() - self._grid_drawn > self._grid_seconds / _GRID_SHARE:
            started = time.monotonic()
            self.draw_grid(Path(folder) / f"grid-{self.update:06d}.png")
            self._grid_drawn = time.monotonic()
            self._grid_seconds = self._grid_drawn - started

    def draw_grid(self, path):
        """Write a grid of the average's images, all grids from the same random numbers."""
        s = self.settings
        labels = torch.arange(min(s.network.label_dim, _GRID_ROWS) or 1).repeat_interleave(_GRID_COLUMNS)
        levels = heun.noise_levels(_GRID_STEPS)
        onehot = self._moved(self._onehot(labels)) if s.network.label_dim else None
        generator = torch.Generator().manual_seed(derive(s.seed, "grid"))
        normal = torch.randn((len(labels), *self.images.shape[:0:-1]), generator=generator)
        sigma = levels[0].expand(len(labels))
        if s.kind == "pfgmpp":  # the prior is the perturbation at the highest noise level
            draws = np.random.default_rng(derive(s.seed, "grid"))
            beta = draws.beta(normal[0].numel() / 2, s.augmented_dimension / 2, len(labels))
            start = losses.poisson(sigma, torch.from_numpy(beta), normal, s.augmented_dimension)
        else:
            start = losses.gaussian(sigma, normal)
        with torch.no_grad():
            made = heun.integrate(lambda x, level: self.average(x, level, onehot), self._moved(start), levels)
        names = self.class_names if s.network.label_dim else [""]
        sample_sheet.write(path, edm.to_uint8(made).cpu().numpy(), labels.numpy(), names)

    def about(self):
        """Return the values stored beside the network."""
        s = self.settings
        about = {"kind": s.kind, "sigma_data": s.sigma_data, "updates": s.updates, "batch": s.batch}
        return about | ({"augmented_dimension": s.augmented_dimension} if s.kind == "pfgmpp" else {})


def _check(s, images, labels):
    """Raise ValueError if settings and images do not fit."""
    n, where = s.network, f"generator {s.kind}"
    if s.kind not in KINDS:
        raise ValueError(f"kind: unknown {s.kind!r}; trained here are: {', '.join(KINDS)}")
    if s.kind == "pfgmpp" and not (s.augmented_dimension or 0) > 0:
        raise ValueError(f"{where}: augmented_dimension is {s.augmented_dimension}; PFGM++ needs one, such as 128")
    if n.augment_dim not in (0, augmentation.LABELS):
        raise ValueError(f"{where}: network.augment_dim is {n.augment_dim}; give {augmentation.LABELS}, or 0 for none")
    if s.augment and not n.augment_dim:
        raise ValueError(
            f"{where}: augment is {s.augment} and network.augment_dim is 0; give {augmentation.LABELS}: a network that "
            "is not told of the augmentation makes augmented images"
        )
    if s.batch % s.accumulate:
        raise ValueError(f"{where}: a batch of {s.batch} has no {s.accumulate} equal parts; change its accumulate")
    wanted = (n.img_resolution, n.img_resolution, n.in_channels)
    if images.shape[1:] != wanted:
        given, wanted = ("x".join(map(str, shape)) for shape in (images.shape[1:], wanted))
        raise ValueError(f"{where}: its network takes images of {wanted}, the training images are of {given}")
    if n.label_dim and labels.max() >= n.label_dim:
        raise ValueError(
            f"{where}: network.label_dim is {n.label_dim}; the training images have {labels.max() + 1} classes"
        )
