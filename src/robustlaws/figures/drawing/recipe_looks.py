"""Names, styles and significance of differences for the two figures about recipes.

The study's own training, null in the column "recipe", is the empty name here: it sorts first and is no name of another.
"""

import math

from scipy.stats import norm

from robustlaws.figures.drawing import style
from robustlaws.formatting import numbers

OWN = ""
LEVEL = 0.95  # of every interval here


def named(table):
    """Return a table of runs with the study's own recipe as `OWN`."""
    return table.assign(recipe=table["recipe"].astype(object).where(table["recipe"].notna(), OWN).astype(str))


def label(recipe, length=10_000):
    """Return a recipe's name for readers, shortened if long."""
    return style.short(recipe, length) if recipe != OWN else "the study's own"


def place(model, dataset, size, length):
    """Return `wrn-16-4, edm-20, D = 30M`, the names shortened to `length` characters together."""
    return f"{style.short(f'{model}, {dataset}', length)}, D = {numbers.count(size)}"


def looks(names):
    """Return recipe -> Look for sorted names: the study's own in ink, the others in colours."""
    others = [name for name in names if name != OWN]
    return {OWN: style.Look(style.INK)} | {
        name: style.Look(
            style.COLOURS[i % len(style.COLOURS)],
            style.MARKERS[(i + 1) % len(style.MARKERS)],
            style.DASHES[1 + i % (len(style.DASHES) - 1)],
        )
        for i, name in enumerate(others)
    }


def lead(share, images, other, other_images):
    """Return (difference, low, high) of two shares of so many images each.

    Source: Newcombe 1998 (Statistics in Medicine 17:873), method 10: from Wilson's interval of each share. The two
    are taken as if each had been tested on images of its own; on the same images the truth is rather narrower.
    """
    low, high = _wilson(share, images)
    other_low, other_high = _wilson(other, other_images)
    difference = share - other
    return (
        difference,
        difference - math.hypot(share - low, other_high - other),
        difference + math.hypot(high - share, other - other_low),
    )


def signed(number, digits=1):
    """Return a number with its sign, a real minus: +0.3, \N{MINUS SIGN}1.2, 0.0."""
    text = f"{number:+.{digits}f}"
    return text[1:] if not float(text) else text.replace("-", "\N{MINUS SIGN}")


def points(share, images, other, other_images):
    """Return the lead of one accuracy over another in percentage points, in words, and whether 0 is outside it.

    Without the number of images there is no interval, and nothing is outside it.
    """
    if not images or not other_images:
        return signed(100 * (share - other)), False
    difference, low, high = (100 * end for end in lead(share, images, other, other_images))
    ends = ", ".join(signed(end).removeprefix("+") for end in (low, high))
    return f"{signed(difference)} [{ends}]", low > 0 or high < 0


def _wilson(share, images):
    z = norm.ppf(0.5 + LEVEL / 2)
    middle = share + z * z / (2 * images)
    half = z * math.sqrt(share * (1 - share) / images + z * z / (4 * images * images))
    scale = 1 + z * z / images
    return (middle - half) / scale, (middle + half) / scale
