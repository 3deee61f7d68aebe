"""The TRADES step as the paper's code does it.

Source: spec/training.md 3. p = softmax f(x); the inner attack maximises KL(p || softmax f(x')) from a
uniform start, with the statistics of the batch but without updating the running ones; the outer
loss is smoothed cross-entropy(z, y) + beta KL(softmax z || softmax z') and nothing in it is detached.
"""

from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from robustlaws import threat


@dataclass(frozen=True)
class Step:
    """What one TRADES step gives.

    `loss`, `cross_entropy`, `divergence` are 0-d tensors, `attacked` is (batch, c, h, w), `logits` and
    `attacked_logits` are (batch, classes).
    """

    loss: torch.Tensor
    cross_entropy: torch.Tensor
    divergence: torch.Tensor
    attacked: torch.Tensor
    logits: torch.Tensor
    attacked_logits: torch.Tensor


def divergence(logits, attacked_logits):
    """Return KL(softmax `logits` || softmax `attacked_logits`) per image, float (batch,), in nats."""
    log_p = F.log_softmax(logits, dim=1)
    return (log_p.exp() * (log_p - F.log_softmax(attacked_logits, dim=1))).sum(1)


@contextmanager
def _frozen(network):
    """No parameter gradients and no statistics updates; BatchNorm still uses the batch at hand."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for module in norms:
        module.track_running_stats = False
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for module in norms:
            module.track_running_stats = True
        for parameter in parameters:
            parameter.requires_grad_(True)


def attack(network, images, probabilities, unit_noise, epsilon, step_size, steps):
    """Return the attacked images of the inner maximisation.

    Parameters
    ----------
    network : nn.Module in train mode
    images, unit_noise : float tensors (batch, channels, height, width)
        Pixels in [0, 1]; noise uniform in [-1, 1], the start of the attack.
    probabilities : float tensor (batch, classes)
        softmax f(images), constant.
    epsilon, step_size : float
        Linf radius and step, pixels in [0, 1].
    steps : int
        Gradient steps.
    """
    attacked = threat.start(images, unit_noise, epsilon)
    with _frozen(network):
        for _ in range(steps):
            attacked.requires_grad_(True)
            # the sum, not the mean: only the sign is used, and small gradients stay clear of underflow
            loss = F.kl_div(F.log_softmax(network(attacked), dim=1), probabilities, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, attacked)
            attacked = threat.ascend(attacked.detach(), images, gradient, step_size, epsilon)
    return attacked


def step(network, images, labels, unit_noise, *, epsilon, step_size, attack_steps, beta, label_smoothing):
    """Return the :class:`Step` of one batch; call backward on its loss.

    Weights and batch are the same in the target of the attack and in the outer clean pass, so one
    pass serves both: 26 forward equivalents are spent where the paper's code spends 27. The running
    statistics are updated by the clean images first, then by the attacked ones.

    Parameters
    ----------
    network : nn.Module in train mode
    images, unit_noise : float tensors (batch, channels, height, width)
        Pixels in [0, 1]; noise uniform in [-1, 1].
    labels : int64 tensor (batch,)
    epsilon, step_size : float
        Linf radius and step, pixels in [0, 1].
    """
    logits = network(images)
    probabilities = F.softmax(logits.detach(), dim=1)
    attacked = attack(network, images, probabilities, unit_noise, epsilon, step_size, attack_steps)
    attacked_logits = network(attacked)
    cross_entropy = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    kl = divergence(logits, attacked_logits).mean()
    return Step(cross_entropy + beta * kl, cross_entropy, kl, attacked, logits, attacked_logits)
