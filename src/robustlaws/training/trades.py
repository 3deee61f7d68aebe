"""The TRADES step as in the paper's code.

Source: spec/training.md 3, 11 (items 5 and 6) and 13. p = softmax f(x); the inner attack maximises
KL(p || softmax f(x')) from a uniform start, clipped to the ball and to [0, 1] at every step, with the
statistics of the batch but without updating the running ones; the outer loss is smoothed
cross-entropy(z, y) + beta KL(softmax z || softmax z') and nothing in it is detached. The paper's text
(its equation 2) lets the attack maximise the cross-entropy instead: `objective="cross_entropy"`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustlaws.attacks import kl_attack


@dataclass(frozen=True)
class Step:
    """The result of one TRADES step.

    `loss`, `cross_entropy`, `divergence` are 0-d tensors, `attacked` is (batch, c, h, w), `logits` and
    `attacked_logits` are (batch, classes).
    """

    loss: torch.Tensor
    cross_entropy: torch.Tensor
    divergence: torch.Tensor
    attacked: torch.Tensor
    logits: torch.Tensor
    attacked_logits: torch.Tensor


def outer(
    logits: Tensor,
    attacked_logits: Tensor,
    labels: Tensor,
    *,
    beta: float,
    label_smoothing: float,
    total: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (loss, cross-entropy, divergence), 0-d: sums over the batch divided by `total` images.

    Parameters
    ----------
    logits, attacked_logits : float tensors (batch, classes)
        Of the clean and of the attacked images; the gradient flows through both.
    labels : int64 tensor (batch,)
    beta, label_smoothing : float
    total : int, optional
        Images of the whole batch that these are a part of; their own number if left out.
    """
    total = total or len(labels)
    cross_entropy = F.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="sum") / total
    kl = kl_attack.divergence(logits, attacked_logits).sum() / total
    return cross_entropy + beta * kl, cross_entropy, kl


def step(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    unit_noise: Tensor,
    *,
    epsilon: float,
    step_size: float,
    attack_steps: int,
    beta: float,
    label_smoothing: float,
    objective: str = "kl",
    reuse_clean_pass: bool = True,
    total: int | None = None,
) -> Step:
    """Return the :class:`Step` of one batch; call backward on its loss.

    Weights and batch are the same in the target of the attack and in the outer clean pass, so one pass can serve both.
    26 forward equivalents are spent where the paper's code spends 27. The running statistics are updated by the clean
    images first, then by the attacked ones.

    Parameters
    ----------
    network : nn.Module in train mode
    images, unit_noise : float tensors (batch, channels, height, width)
        Pixels in [0, 1]; noise uniform in [-1, 1].
    labels : int64 tensor (batch,)
    epsilon, step_size : float
        Linf radius and step, pixels in [0, 1].
    attack_steps : int
    beta, label_smoothing : float
    objective : str
        Objective of the inner attack, see :func:`robustlaws.attacks.kl_attack.attack`.
    reuse_clean_pass : bool
        False makes the pass for the attack's target anew, as the paper's code does.
    total : int, optional
        See :func:`outer`.
    """
    logits = network(images) if reuse_clean_pass else None
    target = labels
    if objective == "kl":
        with torch.no_grad():
            target = F.softmax(_target_logits(network, images) if logits is None else logits, dim=1)
    attacked = kl_attack.attack(network, images, target, unit_noise, epsilon, step_size, attack_steps, objective)
    if logits is None:
        logits = network(images)
    attacked_logits = network(attacked)
    parts = outer(logits, attacked_logits, labels, beta=beta, label_smoothing=label_smoothing, total=total)
    return Step(*parts, attacked, logits, attacked_logits)


def _target_logits(network, images):
    with kl_attack._frozen(network):
        return network(images)
