"""Pictures made of small images: enlarged without smoothing, side by side with gaps."""

import math

import numpy as np

from robustlaws.figures.drawing import plotted_data, style

TILE = 72  # pixels of an enlarged image, at least


def as_rgb(images):
    """Return images (count, height, width, 1 or 3), uint8 or float in [0, 1], as float RGB in [0, 1].

    Raises
    ------
    ValueError
        If the images have neither one channel nor three.
    """
    images = np.asarray(images)
    images = images / np.float32(255) if images.dtype == np.uint8 else images.astype(np.float32)
    if images.shape[-1] not in (1, 3):
        raise ValueError(f"images {images.shape} cannot be drawn: 1 (grey) or 3 (RGB) channels are needed")
    return np.clip(np.broadcast_to(images, (*images.shape[:-1], 3)), 0, 1)


def mosaic(tiles, gap=3):
    """Return one picture of a grid of images, enlarged by whole factors.

    Parameters
    ----------
    tiles : list of rows, each a list of float arrays (height, width, 3) or None
        None leaves its place white.
    gap : int
        White pixels between enlarged images.

    Returns
    -------
    picture : float array (rows, columns, 3)
    centres : list of float
        Horizontal pixel of the middle of each column.
    """
    height, width, _ = next(tile.shape for row in tiles for tile in row if tile is not None)
    factor = max(1, math.ceil(TILE / max(height, width)))
    high, wide = height * factor, width * factor
    columns = len(tiles[0])
    picture = np.ones((len(tiles) * (high + gap) - gap, columns * (wide + gap) - gap, 3), dtype=np.float32)
    for r, row in enumerate(tiles):
        for c, tile in enumerate(row):
            if tile is not None:
                large = np.repeat(np.repeat(tile, factor, axis=0), factor, axis=1)
                picture[r * (high + gap) : r * (high + gap) + high, c * (wide + gap) : c * (wide + gap) + wide] = large
    return picture, [c * (wide + gap) + (wide - 1) / 2 for c in range(columns)]


def show(axes, tiles, labels, title, meant, *, series, gap=3, below=False):
    """Draw a grid of images with a title, and a label over (or below) each column.

    Labels that are too long to stand side by side take turns on two levels.

    Parameters
    ----------
    axes : matplotlib axes
    tiles : list of rows, as for :func:`mosaic`
    labels : list of str, one a column
    title : str
    meant : list of rows of (int, str)
        Label of each tile in the table: index of the image in its file, class or the like.
    series : str
        Whose images they are.
    gap : int
    below : bool
        Whether the labels stand below.
    """
    picture, centres = mosaic(tiles, gap)
    there = [(c, r, *meant[r][c]) for r, row in enumerate(tiles) for c, tile in enumerate(row) if tile is not None]
    x, y, z, what = zip(*there, strict=True)
    # "none": no smoothing, and the SVG holds the picture itself instead of a redrawn one
    plotted_data.image(axes, picture, series=series, x=x, y=y, z=z, label=what, interpolation="none")
    axes.set_axis_off()
    room = max(4, 56 // len(labels))  # letters over one column, where two blocks stand side by side
    levels = 2 if len(labels) > 1 and max(map(len, labels)) > room else 1
    for i, (centre, label) in enumerate(zip(centres, labels, strict=True)):
        lift = -10 if below else 3.5 + 10 * (i % levels)
        axes.annotate(
            style.short(label, levels * room), (centre, len(picture) - 0.5 if below else -0.5), (0, lift),
            textcoords="offset points", ha="center", va="baseline", fontsize=style.SMALLEST,
        )  # fmt: skip
    axes.set_title(title, fontsize=9, pad=5 if below else 5 + 10.5 * levels)
