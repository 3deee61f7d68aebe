"""Projected gradient descent on the Carlini-Wagner objective, and the numbers reported of it.

Source: spec/training.md 7.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustlaws.attacks import record, sanity_checks, threat_model
from robustlaws.attacks.kl_attack import divergence
from robustlaws.data import shards
from robustlaws.data.tensors import to_network
from robustlaws.networks import checkpoint
from robustlaws.runtime import device
from robustlaws.runtime.progress import Progress
from robustlaws.seeds import derive
from robustlaws.settings import Compute, PgdCw
from robustlaws.storage.embedded import content_digest

_COMPACT = 64  # images; a batch shrinks in steps of this size, as each new size costs the kernels a set-up


def cw_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the margin of the best wrong class over the right one.

    Parameters
    ----------
    logits : float tensor (batch, classes)
    labels : int64 tensor (batch,)

    Returns
    -------
    float tensor (batch,)
        In logits; positive where the image is misclassified.

    Raises
    ------
    ValueError
        If the two do not describe the same batch.

    Source: Carlini and Wagner 2017, objective f6 with the true label. The attack's objective clips it
    at zero (spec/training.md 7); this margin does not.
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} do not describe one batch")
    right = logits.gather(1, labels[:, None]).squeeze(1)
    wrong = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    return wrong - right


def _gain(objective, logits, labels):
    """Return the objective, 0-d, and which images still have a gradient, bool (batch,)."""
    if objective == "cross_entropy":
        return F.cross_entropy(logits, labels, reduction="sum"), torch.ones_like(labels, dtype=torch.bool)
    margin = cw_margin(logits, labels)
    if objective == "cw_unclipped":
        return margin.sum(), torch.ones_like(labels, dtype=torch.bool)
    return margin.clamp(max=0).sum(), margin.detach() < 0


def attack(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    unit_noise: Tensor,
    *,
    epsilon: float,
    step_size: float,
    steps: int,
    objective: str = "cw",
) -> Tensor:
    """Return the last iterate of the attack.

    The paper's objective is the margin clipped at zero. A misclassified image has no gradient and never moves again, so
    it is dropped from the computation. (The paper's text names Carlini and Wagner's loss, which is not clipped. Losses
    comparable with its table need the clipped one.)

    Parameters
    ----------
    network : nn.Module in eval mode, parameters frozen
    images, unit_noise : float tensors (batch, channels, height, width)
        Pixels in [0, 1]; noise uniform in [-1, 1].
    labels : int64 tensor (batch,)
    epsilon, step_size : float
        Linf radius and step, pixels in [0, 1].
    steps : int
        Gradient steps.
    objective : str
        "cw", "cw_unclipped" or "cross_entropy".
    """
    attacked = threat_model.start(images, unit_noise, epsilon)
    active = torch.arange(len(images), device=images.device)
    for _ in range(steps):
        current = attacked[active].requires_grad_(True)
        gain, moving = _gain(objective, network(current), labels[active])
        if not moving.any():
            break
        (gradient,) = torch.autograd.grad(gain, current)
        attacked[active] = threat_model.ascend(current.detach(), images[active], gradient, step_size, epsilon)
        if moving.sum() <= len(active) - _COMPACT:
            # those still moving, and some that stand still to fill the batch up to its next size
            keep = -(-int(moving.sum()) // _COMPACT) * _COMPACT
            active = active[torch.argsort(moving.to(torch.uint8), descending=True, stable=True)[:keep].sort().values]
    return attacked


def evaluate(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    step_size: float,
    steps: int,
    beta: float,
    seed: int,
    batch: int,
    objective: str = "cw",
    first: int = 0,
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Return predictions and losses on clean and attacked images, per image.

    Parameters
    ----------
    network : nn.Module in eval mode, parameters frozen
    images : uint8 tensor (count, height, width, channels)
    labels : int64 tensor (count,)
    epsilon, step_size : float
        Linf radius and step, pixels in [0, 1].
    beta : float
        Weight of the divergence in the adversarial loss.
    seed : int
        Of the random starts; the start of image i depends on the seed and i only.
    batch : int
        Images attacked at once.
    objective : str
        See :func:`attack`.
    first : int
        Index of the first of these images.
    progress : progress.Progress, optional

    Returns
    -------
    dict of numpy arrays (count,)
        `clean_prediction`, `adversarial_prediction` (int64); `clean_loss`, `adversarial_loss` (float64,
        nats: cross-entropy, and that + beta KL(clean || attacked)); and `adversarial`, float32
        (count, height, width, channels) in [0, 1].
    """

    def outcome(x, y, noise):
        attacked = attack(network, x, y, noise, epsilon=epsilon, step_size=step_size, steps=steps, objective=objective)
        with torch.no_grad():
            logits, attacked_logits = network(x).double(), network(attacked).double()
        clean_loss = F.cross_entropy(logits, y, reduction="none")
        return {
            "clean_prediction": logits.argmax(1),
            "adversarial_prediction": attacked_logits.argmax(1),
            "clean_loss": clean_loss,
            "adversarial_loss": clean_loss + beta * divergence(logits, attacked_logits),
            "adversarial": attacked.permute(0, 2, 3, 1),
        }

    return in_batches(network, images, labels, outcome, seed=seed, batch=batch, first=first, progress=progress)


def in_batches(
    network: nn.Module, images: Tensor, labels: Tensor, outcome: Callable[[Tensor, Tensor, Tensor], dict[str, Tensor]],
    *, seed: int, batch: int, first: int = 0, progress: Progress | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return the outcomes of an attack on all images, joined.

    Parameters
    ----------
    network, images, labels, seed, batch, first, progress
        As of :func:`evaluate`.
    outcome : function
        Of x, float (batch, channels, height, width) in [0, 1], y, int64 (batch,), and the unit noise of the random
        starts, as x; returns {name: tensor (batch, ...)}.

    Returns
    -------
    dict of numpy arrays (count, ...)
    """
    where = next(network.parameters()).device
    columns: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(images), batch):
        x, y = to_network(images[start : start + batch], where), labels[start : start + batch].to(where)
        noise = torch.stack([unit_noise(x.shape[1:], seed, first + start + i) for i in range(len(x))]).to(where)
        for name, values in outcome(x, y, noise).items():
            columns.setdefault(name, []).append(values.cpu().numpy())
        if progress:
            progress.advance(len(x))
    return {name: np.concatenate(values) for name, values in columns.items()}


def averages(outcome: dict[str, np.ndarray], labels: Tensor | np.ndarray) -> dict[str, float]:
    """Return `clean_loss`, `clean_acc`, `adv_loss`, `adv_acc` of an outcome of :func:`evaluate`."""
    classes = np.asarray(labels)
    return {
        "clean_loss": float(outcome["clean_loss"].mean()),
        "clean_acc": float((outcome["clean_prediction"] == classes).mean()),
        "adv_loss": float(outcome["adversarial_loss"].mean()),
        "adv_acc": float((outcome["adversarial_prediction"] == classes).mean()),
    }


def pgd_cw(
    *,
    weights_path: Path | str,
    test_path: Path | str,
    outcome_path: Path | str,
    settings: PgdCw,
    compute: Compute,
) -> None:
    """Attack one run and write its per-image outcome.

    Parameters
    ----------
    weights_path, test_path, outcome_path : path
        Weights of the run, test images, HDF5 to write (:mod:`robustlaws.attacks.record`).
    settings : PgdCw
    compute : Compute
    """
    where = device.prepare(compute.threads, compute.gpus)
    network = checkpoint.load(weights_path, settings.architecture, where)
    images, labels = shards.read(test_path)
    images, labels = images[: settings.images], labels[: settings.images]
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    sanity_checks.check(network, to_network(x, where), y.to(where))
    outcome = evaluate(
        network,
        x,
        y,
        epsilon=settings.threat.epsilon,
        step_size=settings.step_size,
        steps=settings.steps,
        beta=settings.beta,
        seed=settings.seed,
        batch=settings.batch,
        objective=settings.objective,
        progress=Progress(f"PGD-{settings.steps} on {settings.run}", len(images)),
    )
    robust = outcome["adversarial_prediction"] == labels
    about = {"attacks": ["pgd_cw"], "weights_sha256": content_digest(weights_path)}
    record.write(outcome_path, labels, robust, outcome, settings, about | averages(outcome, labels))


def unit_noise(shape: Sequence[int], seed: int, index: int) -> Tensor:
    """Return the noise that an attack on image `index` starts from, float tensor (*shape), uniform in [-1, 1]."""
    generator = torch.Generator().manual_seed(derive(seed, "attack start", index))
    return torch.rand(shape, generator=generator) * 2 - 1
