"""The augmentation of generator training: flips and one geometric transform, with nine labels for the network.

Drawing the parameters and applying them are separate, so that recorded parameters can be applied.

Source: spec/generators.md 7.1 (Karras et al. 2020 and 2022).
"""

import math

import torch
from torch.nn import functional

LABELS = 9
XFLIP, YFLIP, SCALE, ROTATE, ANISO, ANISO_ANGLE, TRANSLATE_X, TRANSLATE_Y = range(8)

_STRENGTH = 0.2  # octaves of scale per unit
_SHIFT = 0.125  # of the image's side per unit
# the low-pass filter of the sym6 wavelet, of unit sum of squares
_FILTER = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
    0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
    0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
_REACH = len(_FILTER) // 2  # pixels that the filters take from around an output pixel


def draw(count, probability, mirror, generator):
    """Return the random parameters of `count` augmentations.

    Parameters
    ----------
    count : int
    probability : float
        Of each transform other than the left-right flip; 0 for none.
    mirror : bool
        Whether images are flipped: left-right with probability 1/2, and upside down as one of the transforms.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    float32 tensor (count, 8)
        Left-right flip (0 or 1), upside-down flip, scale w, rotation (radians), anisotropic scale w, angle of
        its axis (radians), shift w0 and w1 along x and y (eighths of the side). All zero: the image itself.
    """
    uniform = torch.rand((count, 4), generator=generator)
    normal = torch.randn((count, 4), generator=generator)
    chance = torch.rand((count, 6), generator=generator)
    flips = (uniform[:, :2] < 0.5).to(torch.float32) if mirror else torch.zeros(count, 2)
    angles = (uniform[:, 2:] * 2 - 1) * math.pi
    applied = chance < probability
    zero = torch.zeros(())
    return torch.stack(
        [
            flips[:, 0],
            torch.where(applied[:, 0], flips[:, 1], zero),
            torch.where(applied[:, 1], normal[:, 0], zero),
            torch.where(applied[:, 2], angles[:, 0], zero),
            torch.where(applied[:, 3], normal[:, 1], zero),
            torch.where(chance[:, 5] < 0.5, angles[:, 1], zero),  # on its own: it means nothing without a scale
            torch.where(applied[:, 4], normal[:, 2], zero),
            torch.where(applied[:, 4], normal[:, 3], zero),
        ],
        1,
    )


def labels(parameters):
    """Return the augmentation labels of `parameters` (count, 8): float32 (count, 9), all zero for the image itself."""
    p = parameters.unbind(1)
    return torch.stack(
        [
            p[XFLIP],
            p[YFLIP],
            p[SCALE],
            p[ROTATE].cos() - 1,
            p[ROTATE].sin(),
            p[ANISO] * p[ANISO_ANGLE].cos(),
            p[ANISO] * p[ANISO_ANGLE].sin(),
            p[TRANSLATE_X],
            p[TRANSLATE_Y],
        ],
        1,
    )


def augment(images, probability, mirror, generator):
    """Return randomly transformed images and their labels; `images` itself and zeros if nothing is asked for.

    Parameters
    ----------
    images : float32 tensor (batch, channels, height, width)
    probability, mirror, generator
        See :func:`draw`.

    Returns
    -------
    images : float32 tensor like `images`
    labels : float32 tensor (batch, 9) on the device of `images`
    """
    if not (probability or mirror):
        return images, images.new_zeros((len(images), LABELS))
    parameters = draw(len(images), probability, mirror, generator)
    return apply(images, parameters), labels(parameters).to(images.device, non_blocking=True)


def apply(images, parameters):
    """Return `images` transformed by `parameters`.

    Parameters
    ----------
    images : float32 tensor (batch, channels, height, width)
    parameters : float32 tensor (batch, 8)
        Of :func:`draw`, on the CPU. Images without a geometric transform are not resampled.

    Returns
    -------
    float32 tensor like `images`
    """
    where = images.device
    for column, axis in ((XFLIP, 3), (YFLIP, 2)):
        if parameters[:, column].any():
            flipped = (parameters[:, column] == 1).to(where, non_blocking=True)
            images = torch.where(flipped[:, None, None, None], images.flip(axis), images)
    geometric = [SCALE, ROTATE, ANISO, TRANSLATE_X, TRANSLATE_Y]
    moved = parameters[:, geometric].any(1).nonzero()[:, 0]
    if len(moved) == 0:
        return images
    inverse = _inverse_map(parameters[moved].to(torch.float64), *images.shape[2:])
    moved = moved.to(where, non_blocking=True)
    return images.index_copy(0, moved, _resampled(images[moved], inverse))


def _inverse_map(parameters, height, width):
    """Return the maps of output pixels to input pixels, centred, float64 (count, 3, 3)."""
    p = parameters.unbind(1)
    scale, aniso = (2 ** (_STRENGTH * p[column]) for column in (SCALE, ANISO))
    return (
        _scaling(1 / scale, 1 / scale)
        @ _rotation(p[ROTATE])
        @ _rotation(-p[ANISO_ANGLE])
        @ _scaling(1 / aniso, aniso)
        @ _rotation(p[ANISO_ANGLE])
        @ _translation(-_SHIFT * width * p[TRANSLATE_X], -_SHIFT * height * p[TRANSLATE_Y])
    )


def _resampled(images, inverse):
    """Return `images` under the inverse maps, low-pass filtered at twice their resolution."""
    count, _, height, width = images.shape
    left, top, right, bottom = _margins(inverse, height, width)
    padded = functional.pad(images, (left, right, top, bottom), mode="reflect")
    inverse = _translation((left - right) / 2, (top - bottom) / 2) @ inverse

    fine = _upsampled(padded)
    # in pixels of the fine image, whose centres lie a quarter of an old pixel off
    inverse = _scaling(2, 2) @ inverse @ _scaling(0.5, 0.5)
    inverse = _translation(-0.5, -0.5) @ inverse @ _translation(0.5, 0.5)

    fine_height, fine_width = fine.shape[2:]
    # in the coordinates of affine_grid, -1 to 1 on both sides
    inverse = _scaling(2 / fine_width, 2 / fine_height) @ inverse @ _scaling(width + _REACH, height + _REACH)
    theta = inverse[:, :2].to(images.device, torch.float32, non_blocking=True)
    size = (count, images.shape[1], 2 * (height + _REACH), 2 * (width + _REACH))
    grid = functional.affine_grid(theta, size, align_corners=False)
    return _downsampled(functional.grid_sample(fine, grid, "bilinear", "zeros", align_corners=False))


def _margins(inverse, height, width):
    """Return how many pixels beyond its sides (left, top, right, bottom) the images are looked at."""
    x, y = (width - 1) / 2, (height - 1) / 2
    corners = torch.tensor([[-x, -y, 1], [x, -y, 1], [x, y, 1], [-x, y, 1]], dtype=torch.float64).T
    seen = (inverse @ corners)[:, :2]
    sides = torch.cat([-seen, seen], 1).amax((0, 2)) + torch.tensor([_REACH - x, _REACH - y] * 2)
    # a reflection has no more than all pixels but the first
    return sides.clip(min=0).minimum(torch.tensor([width - 1, height - 1] * 2)).ceil().int().tolist()


def _upsampled(images):
    taps = images.new_tensor(_FILTER)
    flat = images.flatten(0, 1)[:, None]
    flat = functional.conv_transpose2d(flat, taps[None, None, None], stride=(1, 2), padding=(0, _REACH - 1))
    flat = functional.conv_transpose2d(flat, taps[None, None, :, None], stride=(2, 1), padding=(_REACH - 1, 0))
    return flat.reshape(*images.shape[:2], *flat.shape[2:])


def _downsampled(fine):
    """Return every second pixel of the filtered images, without the `_REACH` pixels around them."""
    taps = fine.new_tensor(_FILTER)
    flat = fine.flatten(0, 1)[:, None, 1:-1, 1:-1]
    flat = functional.conv2d(flat, taps[None, None, None], stride=(1, 2))
    flat = functional.conv2d(flat, taps[None, None, :, None], stride=(2, 1))
    return flat.reshape(*fine.shape[:2], *flat.shape[2:])


def _scaling(x, y):
    return _matrix([[x, 0, 0], [0, y, 0]])


def _rotation(angle):
    return _matrix([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0]])


def _translation(x, y):
    return _matrix([[1, 0, x], [0, 1, y]])


def _matrix(rows):
    """Return homogeneous matrices, float64 (..., 3, 3), of rows of numbers or tensors (...)."""
    cells = [torch.as_tensor(cell, dtype=torch.float64) for row in [*rows, [0, 0, 1]] for cell in row]
    return torch.stack(torch.broadcast_tensors(*cells), -1).unflatten(-1, (3, 3))
