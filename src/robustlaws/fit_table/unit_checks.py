"""Check that numbers of a table are in the expected units.

N, D and FLOPs are counts that are often written in millions or worse. F = K N D, with one K for one kind of network and
training. A column in the wrong unit shows in K, or against the parameters of a WideResNet of that depth and width.
"""

import statistics

from robustlaws.networks import wrn_flops

USUAL = 7822  # K of the paper's networks (32 x 32 pixels, 10-step attack)
# K: 6 for plain training of a network that uses each weight once, 27 for a 10-step attack on one; times the positions
# that each weight of a convolution is used at.
_LOWEST, _HIGHEST = 1.0, 1e6
_APART = 3.0  # factor between one run's K and the others'
_FEWEST_PARAMS = _FEWEST_IMAGES = 1000
_FAR = 1e4  # factor below the largest D at which a D below _FEWEST_IMAGES cannot be meant
_OFF = 10.0  # factor between N and that of a WideResNet
_CLASSES, _CHANNELS = (2, 1000), (1, 3)


def check_counts(table, params, images):
    """Raise ValueError if a run's N or D, lists of numbers, looks as if it were in thousands or millions."""
    most = max(images)
    for row, (count, seen) in enumerate(zip(params, images, strict=True)):
        if count < _FEWEST_PARAMS:
            raise table.wrong("params", row, "too few for a network; in millions? Give a count, as 5849050")
        if seen < _FEWEST_IMAGES and (most < _FEWEST_IMAGES or seen * _FAR < most):
            raise table.wrong("images", row, "too few images; in millions? Give a count, as 5000000")


def check_shapes(table, params, depths, widths):
    """Raise ValueError if N is ten times off that of a WideResNet of this depth and width, whatever its classes.

    Depths that no WideResNet has (6n + 4) are passed over.
    """
    for row, (count, depth, width) in enumerate(zip(params, depths, widths, strict=True)):
        if depth is None or width is None or depth < 10 or (depth - 4) % 6:
            continue
        few, many = (
            wrn_flops.wrn_parameters(depth, width, classes, channels)
            for classes, channels in zip(_CLASSES, _CHANNELS, strict=True)
        )
        if not few / _OFF < count < many * _OFF:
            about = wrn_flops.wrn_parameters(depth, width)
            why = f"a WRN-{depth}-{width} has about {about}; give a count, or leave depth and width out"
            raise table.wrong("params", row, why)


def check_flops(table, params, images, flops, recipes):
    """Raise ValueError if K = FLOPs / (N D) of a run cannot be, or is not that of the other runs of its recipe.

    Parameters
    ----------
    table : table_reader.GivenTable
    params, images, flops : lists of numbers above 0
    recipes : list of str or None
    """
    ratios = [cost / (count * seen) for cost, count, seen in zip(flops, params, images, strict=True)]
    for row, ratio in enumerate(ratios):
        if not _LOWEST <= ratio <= _HIGHEST:
            raise table.wrong("flops", row, f"{_ratio_text(ratio)}, which cannot be; usual is {USUAL}: {_CHECK}")
    groups = {recipe: [] for recipe in recipes}
    for ratio, recipe in zip(ratios, recipes, strict=True):
        groups[recipe].append(ratio)
    usuals = {recipe: statistics.median(group) for recipe, group in groups.items()}
    for row, ratio in enumerate(ratios):
        usual = usuals[recipes[row]]
        if not usual / _APART <= ratio <= usual * _APART:
            raise table.wrong("flops", row, f"{_ratio_text(ratio)}; in the other runs it is {usual:.4g}: {_CHECK}")


_CHECK = "params and images are counts, flops are FLOPs"


def _ratio_text(ratio):
    return f"FLOPs / (N D) is {ratio:.3g}"
