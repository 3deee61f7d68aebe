"""Draw lines, points, bands and pictures, and keep their data for the figure's table (`tables.DRAWN`).

Each function draws on matplotlib axes and adds rows to the figure's own list; `style.drawing` writes them. A panel has
the name `name`, else its title, else its number. Of two with one name the second gets " (2)".
"""

import numpy as np
import pandas as pd

_LIST, _NAME = "robustlaws_drawn", "robustlaws_panel"
_NUMBERS = ("x", "y", "low", "high", "z")


def start(figure):
    """Give a matplotlib figure an empty list."""
    setattr(figure, _LIST, [])


def name(axes, text):
    """Say what the table calls a panel, where its title is short, missing or that of several panels.

    Axes that share one place (a twin) may be given one name, and are one panel then.
    """
    setattr(axes, _NAME, str(text))


def keep(axes, kind, series, *, x=None, y=None, low=None, high=None, z=None, label=None):
    """Add rows without drawing, for what the functions below do not draw.

    Parameters
    ----------
    axes : matplotlib axes
        Of the figure, or of a subfigure of it.
    kind : str
        points, line, band, level, region, contour, bar or image.
    series : str
        Name of the series: a dataset, model, law, ...
    x, y, low, high, z : numbers or arrays of one length, optional
        As on the axes; None for none. What is not finite becomes null, and a point without a place no row.
    label : str or sequence of str, optional
        The run or image that each row means.

    Raises
    ------
    ValueError
        If the arrays differ in length.
    """
    given = {
        what: np.atleast_1d(_floats(value))
        for what, value in zip(_NUMBERS, (x, y, low, high, z), strict=True)
        if value is not None
    }
    labels = [label] if label is None or isinstance(label, str) else list(label)
    sizes = {len(column) for column in (*given.values(), labels)} - {1} or {1}
    if len(sizes) > 1:
        lengths = ", ".join(f"{what} {len(value)}" for what, value in (*given.items(), ("label", labels)))
        raise ValueError(f"figure {series!r}: columns of several lengths ({lengths}); give one number a row, or one")
    (length,) = sizes
    columns = {what: np.broadcast_to(value, length) for what, value in given.items()}
    head = {"panel": axes, "series": str(series), "kind": kind}
    rows = getattr(axes.get_figure(root=True), _LIST)
    for index in range(length):
        row = {what: float(value[index]) if np.isfinite(value[index]) else None for what, value in columns.items()}
        if kind in ("points", "bar") and None in (row.get("x", 0), row.get("y", 0)):
            continue
        text = labels[index if len(labels) > 1 else 0]
        rows.append(head | {"label": None if pd.isna(text) else str(text)} | row)


def _floats(value):
    # pandas' own missing values are no floats for numpy
    return pd.to_numeric(pd.Series(value)).to_numpy(dtype=float, na_value=np.nan) if np.ndim(value) else float(value)


def rows(figure):
    """Return the rows of `tables.DRAWN` that the figure's axes have kept."""
    names = {}
    for index, axes in enumerate(figure.axes):
        given = getattr(axes, _NAME, None)
        title = next((text for side in ("center", "left", "right") if (text := axes.get_title(loc=side))), "")
        text = given or " ".join(title.split()) or f"{index + 1}"
        # a name that was given twice is meant to be one panel
        taken = {other for axes, other in names.items() if given is None or getattr(axes, _NAME, None) != given}
        count = 1
        while (unique := text if count == 1 else f"{text} ({count})") in taken:
            count += 1
        names[axes] = unique
    return [row | {"panel": names.get(row["panel"], "")} for row in getattr(figure, _LIST)]


def points(axes, x, y, *, series, label=None, low=None, high=None, **options):
    """Draw markers; `options` as `axes.plot`, with error bars from `low` to `high` where given.

    Parameters
    ----------
    low, high : arrays, optional
        Ends of the bars, as on the axis.
    """
    keep(axes, "points", series, x=x, y=y, low=low, high=high, label=label)
    drawn = axes.plot(x, y, **{"marker": "o", "linestyle": "", "markeredgewidth": 0} | options)
    if low is not None:
        axes.vlines(x, low, high, color=drawn[0].get_color(), linewidth=0.9, zorder=drawn[0].get_zorder())
    return drawn


def line(axes, x, y, *, series, label=None, **options):
    """Draw a line; `options` as `axes.plot`."""
    keep(axes, "line", series, x=x, y=y, label=label)
    return axes.plot(x, y, **options)


def band(axes, x, low, high, *, series, kind="band", **options):
    """Fill between two lines; `options` as `axes.fill_between`; `kind` "region" for what is no interval."""
    keep(axes, kind, series, x=x, low=low, high=high)
    return axes.fill_between(x, low, high, **{"linewidth": 0} | options)


def level(axes, y, *, series, **options):
    """Draw a horizontal line over the whole panel; `options` as `axes.axhline`."""
    keep(axes, "level", series, y=y)
    return axes.axhline(y, **options)


def upright(axes, x, *, series, **options):
    """Draw a vertical line over the whole panel; `options` as `axes.axvline`."""
    keep(axes, "level", series, x=x)
    return axes.axvline(x, **options)


def bars(axes, x, height, *, series, label=None, low=None, high=None, **options):
    """Draw upright bars; `options` as `axes.bar`, with error bars from `low` to `high` where given."""
    keep(axes, "bar", series, x=x, y=height, low=low, high=high, label=label)
    drawn = axes.bar(x, height, **options)
    if low is not None:
        axes.vlines(x, low, high, color="black", linewidth=0.9)
    return drawn


def contours(axes, x, y, z, *, series, **options):
    """Draw contour lines of `z` (ny, nx) over `x` (nx,) and `y` (ny,); `options` as `axes.contour`."""
    drawn = axes.contour(x, y, z, **options)
    for height, pieces in zip(drawn.levels, drawn.allsegs, strict=True):
        for number, piece in enumerate(pieces):
            if len(piece):
                keep(axes, "contour", series, x=piece[:, 0], y=piece[:, 1], z=height, label=f"piece {number + 1}")
    return drawn


def image(axes, picture, *, series, x=0, y=0, z=None, label=None, **options):
    """Draw a picture; `options` as `axes.imshow`.

    For a mosaic, `x` (column), `y` (row), `z` (index of the image) and `label` hold one entry a tile.
    """
    keep(axes, "image", series, x=x, y=y, z=z, label=label)
    return axes.imshow(picture, **options)
