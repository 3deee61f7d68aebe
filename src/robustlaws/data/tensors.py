"""Stored images as the tensors that networks take."""

import torch
from torch import Tensor


def to_network(images: Tensor, device: torch.device | str) -> Tensor:
    """Return uint8 NHWC images as float32 NCHW in [0, 1], channels-last in memory, on `device`."""
    return images.to(device, non_blocking=True).permute(0, 3, 1, 2).to(torch.float32).div(255)
