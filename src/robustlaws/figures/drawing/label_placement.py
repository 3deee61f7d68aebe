"""Place labels beside points without collisions."""

from robustlaws.figures.drawing import style

# In points from the marker's middle, and how the text hangs there; tried in this order.
_PLACES = (
    ((6, 0), "left", "center"),
    ((-6, 0), "right", "center"),
    ((0, 6), "center", "bottom"),
    ((0, -6), "center", "top"),
    ((5, 5), "left", "bottom"),
    ((-5, 5), "right", "bottom"),
    ((5, -5), "left", "top"),
    ((-5, -5), "right", "top"),
)

_LARGE, _SMALL = 4.0, 2.2  # half the width of markers that have a text and of others, in points


def beside(axes, texts, points=(), lines=(), alone=False):
    """Write each text beside its point where there is room; leave it out where there is none.

    Call it when nothing else will change the layout of the figure.

    Parameters
    ----------
    axes : matplotlib axes
    texts : iterable of (x, y, text)
        The most important first.
    points : iterable of (x, y)
        Markers that no text may cover, beside those of the texts.
    lines : iterable of (x, y)
        Points of lines, which a text covers only if it fits nowhere else.
    alone : bool
        Where markers are crowded: a text stands only level with its marker, and only if no other marker touches that,
        so that nobody reads it as another's.

    Returns
    -------
    list of bool
        Whether each text was written.
    """
    texts = list(texts)
    if not texts:
        return []
    figure = axes.get_figure(root=True)
    figure.draw_without_rendering()
    scale = figure.dpi / 72
    own = _boxes(axes, [(x, y) for x, y, _ in texts], _LARGE * scale)
    taken = own + _boxes(axes, list(points), _SMALL * scale)
    soft = _boxes(axes, list(lines), _SMALL * scale)
    places = _PLACES[:2] if alone else _PLACES
    # each overlaps itself
    touched = [alone and sum(_overlap(box, other) for other in taken) > 1 for box in own]
    return [
        not hidden and (_write(axes, text, taken, soft, places) or _write(axes, text, taken, (), places))
        for text, hidden in zip(texts, touched, strict=True)
    ]


def _boxes(axes, points, size):
    """Return the boxes (left, bottom, right, top) in pixels around points in the axes' own scales."""
    pixels = axes.transData.transform(points) if points else []
    return [(x - size, y - size, x + size, y + size) for x, y in pixels]


def _write(axes, label, taken, soft, places):
    """Write one text at the first place that is free, add its box to `taken`, and return whether there was one."""
    x, y, text = label
    frame = axes.get_window_extent().extents
    for offset, across, up in places:
        artist = axes.annotate(text, (x, y), xytext=offset, textcoords="offset points", ha=across, va=up,
                               fontsize=style.SMALLEST, zorder=5,
                               bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.3})  # fmt: skip
        artist.set_in_layout(False)
        box = artist.get_window_extent().extents
        inside = (box[:2] >= frame[:2]).all() and (box[2:] <= frame[2:]).all()
        if inside and not any(_overlap(box, other) for other in (*taken, *soft)):
            taken.append(box)
            return True
        artist.remove()
    return False


def _overlap(box, other):
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
