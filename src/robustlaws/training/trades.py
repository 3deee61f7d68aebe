"""The TRADES step as the paper's code does it.

Source: spec/training.md 3, 11 (items 5 and 6) and 13. p = softmax f(x); the inner attack maximises
KL(p || softmax f(x')) from a uniform start, clipped to the ball and to [0, 1] at every step, with the
statistics of the batch but without updating the running ones; the outer loss is smoothed
cross-entropy(z, y) + beta KL(softmax z || softmax z') and nothing in it is detached. The paper's text
(its equation 2) lets the attack maximise the cross-entropy instead: `objective="cross_entropy"`.
"""

from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from robustlaws import threat
from robustlaws.networks import wrn


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


def attack(network, images, target, unit_noise, epsilon, step_size, steps, objective="kl"):
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
    attacked = threat.start(images, unit_noise, epsilon)
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
            attacked = threat.ascend(attacked.detach(), images, gradient, step_size, epsilon)
    return attacked


def outer(logits, attacked_logits, labels, *, beta, label_smoothing, total=None):
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
    kl = divergence(logits, attacked_logits).sum() / total
    return cross_entropy + beta * kl, cross_entropy, kl


def step(
    network,
    images,
    labels,
    unit_noise,
    *,
    epsilon,
    step_size,
    attack_steps,
    beta,
    label_smoothing,
    objective="kl",
    reuse_clean_pass=True,
    total=None,
):
    """Return the :class:`Step` of one batch; call backward on its loss.

    Weights and batch are the same in the target of the attack and in the outer clean pass, so one
    pass can serve both: 26 forward equivalents are spent where the paper's code spends 27. The running
    statistics are updated by the clean images first, then by the attacked ones.

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
        What the inner attack maximises, see :func:`attack`.
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
    attacked = attack(network, images, target, unit_noise, epsilon, step_size, attack_steps, objective)
    if logits is None:
        logits = network(images)
    attacked_logits = network(attacked)
    parts = outer(logits, attacked_logits, labels, beta=beta, label_smoothing=label_smoothing, total=total)
    return Step(*parts, attacked, logits, attacked_logits)


def _target_logits(network, images):
    with _frozen(network):
        return network(images)
