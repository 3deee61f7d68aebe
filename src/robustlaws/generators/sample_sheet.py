"""A sheet of generated images to look at: one row for each class."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from robustlaws.storage.atomic import replacing

_SIDE = 48  # pixels that an image should have at least on each side
_GAP = 4
_PAPER, _INK = 255, 40


def write(path, images, labels, names=()):
    """Write `images` as a PNG, one row for each class that occurs, its name or number before it.

    Small images are enlarged by a whole number, pixel by pixel, so that what is seen is what is there.

    Parameters
    ----------
    path : path
    images : uint8 array (count, height, width, channels)
        Grey (1 channel) or colour (3).
    labels : integer array (count,)
        A row holds its class's images in their order here.
    names : sequence of str
        Of the classes; empty for numbers.

    Raises
    ------
    ValueError
        If there are no images, or they are neither grey nor in colour.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if images.ndim != 4 or len(images) == 0 or images.shape[3] not in (1, 3) or images.dtype != np.uint8:
        raise ValueError(f"{path}: a grid needs uint8 images (count, height, width, 1 or 3), not {images.shape}")
    rows = [(label, images[labels == label]) for label in np.unique(labels)]
    words = [names[label] if label < len(names) else str(label) for label, _ in rows]
    height, width = images.shape[1:3]
    factor = max(1, math.ceil(_SIDE / min(height, width)))
    font = ImageFont.load_default(size=max(12, factor * height // 3))
    margin = math.ceil(max(font.getlength(word) for word in words)) + 2 * _GAP
    across, down = width * factor + _GAP, height * factor + _GAP
    sheet = Image.new(
        "RGB", (margin + across * max(len(row) for _, row in rows), down * len(rows) + _GAP), (_PAPER,) * 3
    )
    pen = ImageDraw.Draw(sheet)
    for place, (word, (_, row)) in enumerate(zip(words, rows, strict=True)):
        top = _GAP + place * down
        pen.text((margin - _GAP, top + height * factor / 2), word, fill=(_INK,) * 3, font=font, anchor="rm")
        for column, pixels in enumerate(row):
            enlarged = np.broadcast_to(pixels, (height, width, 3)).repeat(factor, 0).repeat(factor, 1)
            sheet.paste(Image.fromarray(np.ascontiguousarray(enlarged)), (margin + column * across, top))
    with replacing(path) as partial:
        sheet.save(partial, format="PNG")
