"""Checks before an attack, against known ways to overestimate robust accuracy."""

import torch
from torch import Tensor, nn

_FEW = 8  # images that the batches are compared on
_SLICE = 256  # images of one forward pass
# Differences of logits, relative to the largest logit. The same batch twice runs the same kernels: the same
# bits, or all but the last ones where a GPU adds up in any order. Batches of other sizes run other kernels:
# 2e-6 measured in float32 on a CPU, WRN-10-1 to 28-4; a GPU that rounds factors to ten bits (TF32, 5e-4 each)
# needs more room. One BatchNorm that uses the statistics of the batch moves logits by 0.05 and more.
_SAME_BATCH, _OTHER_BATCH = 1e-5, 5e-3


def check(network: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Do nothing if `network` can be attacked on these images; say in one line why if it cannot.

    Costs one forward pass of the images and of a few more; leaves the network as it was.

    Parameters
    ----------
    network : nn.Module
    images : float tensor (count, channels, height, width)
        Pixels; on the device of the network.
    labels : int64 tensor (count,)

    Raises
    ------
    ValueError
        If pixels are outside [0, 1] or NaN, a module is in train mode, labels are no classes of the network, or
        logits are not finite, differ between two passes, or depend on the other images of the batch.
    """
    _check_images(images, labels)
    # before any pass: one in train mode would move the statistics of BatchNorm
    training = [name or "the whole" for name, module in network.named_modules() if module.training]
    if training:
        raise ValueError(f"network: {len(training)} modules in train mode, first {training[0]!r}; call network.eval()")
    with torch.no_grad():
        _check_logits(torch.cat([_rows(network, part) for part in images.split(_SLICE)]), labels)
        _check_batch(network, images[:_FEW])


def _check_images(images, labels):
    if images.ndim != 4 or labels.shape != images.shape[:1] or not len(images):
        raise ValueError(f"images {tuple(images.shape)} and labels {tuple(labels.shape)}: one label an image is needed")
    bad = torch.nonzero(~torch.isfinite(images).flatten(1).all(1)).flatten()
    if len(bad):
        raise ValueError(f"images: {len(bad)} hold NaN or infinity, first image {int(bad[0])}; import the data again")
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        raise ValueError(f"images: pixels from {low:g} to {high:g}; an attack needs [0, 1]: divide grey levels by 255")


def _rows(network, images):
    logits = network(images)
    if logits.ndim != 2 or len(logits) != len(images):
        raise ValueError(
            f"network: gives {tuple(logits.shape)} for {len(images)} images; one row of logits for each is needed"
        )
    return logits


def _check_logits(logits, labels):
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= logits.shape[1]:
        raise ValueError(f"labels: {low} to {high}; the network knows classes 0 to {logits.shape[1] - 1}")
    bad = torch.nonzero(~torch.isfinite(logits).all(1)).flatten()
    if len(bad):
        raise ValueError(
            f"logits: not finite for {len(bad)} images, first image {int(bad[0])}; attacks would count these as held: "
            "train with a lower learning rate or take other weights"
        )


def _check_batch(network, images):
    first = network(images)
    scale = first.abs().max()
    if (network(images) - first).abs().max() > _SAME_BATCH * scale:
        raise ValueError(
            "logits: two passes of the same images differ; gradients of a random network mislead attacks: "
            "switch dropout and noise off"
        )
    ways = {
        "alone": torch.cat([network(image) for image in images.split(1)]),
        "in reverse order": network(images.flip(0)).flip(0),
        "among others": network(torch.cat([1 - images, images]))[len(images) :],
    }
    for way, logits in ways.items():
        difference = float((logits - first).abs().max() / scale.clamp(min=1e-30))
        if difference > _OTHER_BATCH:
            raise ValueError(
                f"logits: an image {way} gets other logits (by {difference:.2g} of the largest) than in its batch; "
                "a network must judge each image by itself: use running statistics in BatchNorm"
            )
