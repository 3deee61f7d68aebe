"""Draw, and keep what was drawn: every figure comes with the table of its points, lines and bands (`records.DRAWN`).

Each function draws on matplotlib axes and adds rows to the figure's own list; `style.drawing` writes them. The panel is
the title that the axes have in the end, or their number.
"""

import numpy as np

_LIST = "robustlaws_drawn"


def start(figure):
    """Give a matplotlib figure an empty list."""
    setattr(figure, _LIST, [])


def keep(axes, kind, series, *, x=None, y=None, low=None, high=None, z=None, label=None):
    """Add rows without drawing, for what the functions below do not draw.

    Parameters
    ----------
    axes : matplotlib axes
    kind : str
        points, line, band, level, region, contour, bar or image.
    series : str
        What is drawn: a dataset, model, law, ...
    x, y, low, high, z : numbers or arrays of one length, optional
        As on the axes; None for none.
    label : str or sequence of str, optional
        The run or image that each row means.
    """
    numbers = {"x": x, "y": y, "low": low, "high": high, "z": z}
    given = {
        name: np.atleast_1d(np.asarray(value, dtype=float)) for name, value in numbers.items() if value is not None
    }
    length = max([len(value) for value in given.values()] or [1])
    labels = [label] * length if label is None or isinstance(label, str) else list(label)
    for index in range(length):
        row = {name: float(value[index if len(value) > 1 else 0]) for name, value in given.items()}
        row = {name: value if np.isfinite(value) else None for name, value in row.items()}
        head = {"panel": axes, "series": str(series), "kind": kind, "label": labels[index]}
        getattr(axes.get_figure(root=True), _LIST).append(head | row)


def rows(figure):
    """Return the rows of `records.DRAWN` that the figure's axes have kept."""
    numbers = {axes: f"{index + 1}" for index, axes in enumerate(figure.axes)}
    return [
        row | {"panel": row["panel"].get_title().replace("\n", " ") or numbers.get(row["panel"], "")}
        for row in getattr(figure, _LIST)
    ]


def points(axes, x, y, *, series, label=None, **options):
    """Draw markers; `options` as `axes.plot`."""
    keep(axes, "points", series, x=x, y=y, label=label)
    return axes.plot(x, y, **{"linestyle": "", "markeredgewidth": 0} | options)


def line(axes, x, y, *, series, **options):
    """Draw a line; `options` as `axes.plot`."""
    keep(axes, "line", series, x=x, y=y)
    return axes.plot(x, y, **options)


def band(axes, x, low, high, *, series, **options):
    """Fill between two lines; `options` as `axes.fill_between`."""
    keep(axes, "band", series, x=x, low=low, high=high)
    return axes.fill_between(x, low, high, **{"linewidth": 0} | options)


def level(axes, y, *, series, **options):
    """Draw a horizontal line over the whole panel; `options` as `axes.axhline`."""
    keep(axes, "level", series, y=y)
    return axes.axhline(y, **options)
