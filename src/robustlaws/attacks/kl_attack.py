"""The inner maximisation of TRADES: projected ascent on the KL divergence, or on the cross-entropy.

Source: spec/training.md 3, 11 (items 5 and 6) and 13.
"""

from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustlaws.attacks import threat_model
from robustlaws.networks import wrn


def divergence(logits: Tensor, attacked_logits: Tensor) -> Tensor:
    """Return KL(softmax `logits` || softmax `attacked_logits`) per image, float (batch,), in nats."""
    log_p = F.log_softmax(logits, dim=1)
    return (log_p.exp() * (log_p - F.log_softmax(attacked_logits, dim=1))).sum(1)


@contextmanager
def _frozen(network):
    """No parameter gradients and no statistics updates; BatchNorm still uses the batch at hand."""
    norms = wrn.batchnorms(network)
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


def attack(
    network: nn.Module,
    images: Tensor,
    target: Tensor,
    unit_noise: Tensor,
    epsilon: float,
    step_size: float,
    steps: int,
    objective: str = "kl",
) -> Tensor:
    """Return the attacked images of the inner maximisation.

    Parameters
    ----------
    network : nn.Module in train mode
    images, unit_noise : float tensors (batch, channels, height, width)
        Pixels in [0, 1]; noise uniform in [-1, 1], the start of the attack.
    target : float tensor (batch, classes), or int64 tensor (batch,)
        softmax f(images), constant, for "kl"; the labels for "cross_entropy".
    epsilon, step_size : float
        Linf radius and step, pixels in [0, 1].
    steps : int
        Gradient steps.
    objective : str
        "kl" or "cross_entropy".
    """
    attacked = threat_model.start(images, unit_noise, epsilon)
    with _frozen(network):
        for _ in range(steps):
            attacked.requires_grad_(True)
            log_q = F.log_softmax(network(attacked), dim=1)
            # the sum, not the mean: only the sign is used, and small gradients stay clear of underflow
            if objective == "kl":
                loss = F.kl_div(log_q, target, reduction="sum")
            else:
                loss = F.nll_loss(log_q, target, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, attacked)
            attacked = threat_model.ascend(attacked.detach(), images, gradient, step_size, epsilon)
    return attacked
