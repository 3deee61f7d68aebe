"""Random shifts and mirroring of training images."""

import torch
from torch import Tensor


def augment(images: Tensor, padding: int, mirror: bool, generator: torch.Generator) -> Tensor:
    """Return randomly shifted and mirrored images.

    Parameters
    ----------
    images : uint8 tensor (batch, height, width, channels)
    padding, mirror
        See :func:`draw`.
    generator : torch.Generator

    Returns
    -------
    uint8 tensor like `images`
    """
    return moved(images, padding, *draw(len(images), padding, mirror, generator))


def draw(count: int, padding: int, mirror: bool, generator: torch.Generator) -> tuple[Tensor | None, Tensor | None]:
    """Return the random choices of an augmentation: (offsets, flips), see :func:`moved`.

    Parameters
    ----------
    count : int
        Images.
    padding : int
        Zero pixels added on every side before a crop of the old size at a uniform offset.
    mirror : bool
        Mirror left-right with probability 1/2.
    generator : torch.Generator
    """
    offsets = torch.randint(0, 2 * padding + 1, (count, 2), generator=generator) if padding else None
    return offsets, torch.rand(count, generator=generator) < 0.5 if mirror else None


def moved(images: Tensor, padding: int, offsets: Tensor | None, flips: Tensor | None) -> Tensor:
    """Return `images` shifted by `offsets` and mirrored where `flips`.

    Parameters
    ----------
    images : uint8 tensor (batch, height, width, channels)
    padding : int
    offsets : int64 tensor (batch, 2), or None for no shift
        See :func:`crop`.
    flips : bool tensor (batch,), or None for none
    """
    if offsets is not None:
        images = crop(images, padding, offsets)
    if flips is not None:
        images = torch.where(flips[:, None, None, None], images.flip(2), images)
    return images


def crop(images: Tensor, padding: int, offsets: Tensor) -> Tensor:
    """Return each image zero-padded by `padding` and cropped to its old size at (row, column) = `offsets`.

    Parameters
    ----------
    images : uint8 tensor (batch, height, width, channels)
    padding : int
    offsets : int64 tensor (batch, 2)
        Each within 0..2 padding; `padding` leaves the image where it is.
    """
    count, height, width, _ = images.shape
    where = images.device
    padded = torch.nn.functional.pad(images, (0, 0, padding, padding, padding, padding))
    rows = torch.arange(height, device=where) + offsets[:, :1]
    columns = torch.arange(width, device=where) + offsets[:, 1:]
    return padded[torch.arange(count, device=where)[:, None, None], rows[:, :, None], columns[:, None, :]]
