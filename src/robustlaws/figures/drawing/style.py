"""The style of all figures: colours, markers, scales, notes, and writing to files."""

import math
import textwrap
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from robustlaws.figures.drawing import inputs, plotted_data
from robustlaws.formatting import numbers
from robustlaws.storage import tables
from robustlaws.storage.atomic import replacing

WIDTH = 8.0  # inches: a page; at half of it the smallest text is still 4 points
DPI = 160

# Okabe and Ito's colours for all kinds of colour vision; their yellow, invisible on white, is left
# out, and a wine red and an olive follow that are no nearer to the others than these are among themselves.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#5A6B2A")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "p")
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)), (0, (2.5, 1)), (0, (8, 1.5)))
# Laws must not be taken for datasets, so they have colours of their own.
LAW_COLOURS = ("#332288", "#AA4499", "#A69A14", "#117733")
_LAWS = ("envelope", "additive", "bottleneck", "additive_two_stage")
INK, FAINT = "#1A1A1A", "#8A8A8A"
BEYOND = "beyond the study's budgets"
RED = "#C1121F"  # what is fitted to one panel's own points, and the human level
SMALLEST = 8.0  # points, of any text: 4 at half the width

_RC = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": DPI,
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same picture on every machine
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.labelsize": 9.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handlelength": 1.9,
    "legend.columnspacing": 1.5,
    "figure.titlesize": 11.5,
    "figure.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "text.parse_math": False,  # a dollar sign in a name is not the start of a formula
    "svg.fonttype": "none",
    "svg.hashsalt": "robustlaws",
}


@dataclass(frozen=True)
class Look:
    """Colour, marker and line style of one dataset, model or law."""

    colour: str
    marker: str = "o"
    dash: object = "-"


def dataset_looks(datasets):
    """Return dataset -> Look for names ordered by FID (:func:`inputs.fid_order`); past all colours, darker ones."""
    colours = [*COLOURS, *(to_hex(0.55 * np.array(to_rgb(colour))) for colour in COLOURS)]
    return {name: Look(colours[i % len(colours)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(datasets)}


def model_looks(models):
    """Return model -> Look for names ordered by size: light to dark, each with its line style."""
    shades = matplotlib.colormaps["viridis_r"](np.linspace(0.22, 1.0, max(len(models), 2)))
    return {
        name: Look(to_hex(shades[i if len(models) > 1 else -1]), dash=DASHES[i % len(DASHES)])
        for i, name in enumerate(models)
    }


def law_looks(laws):
    """Return name -> Look for law files in their order; a law looks the same beside whichever others."""
    names = [law["law"] for law in laws]
    places = {name: i for i, name in enumerate((*_LAWS, *(name for name in names if name not in _LAWS)))}
    return {
        name: Look(LAW_COLOURS[i % len(LAW_COLOURS)], MARKERS[i % len(MARKERS)], DASHES[i % len(DASHES)])
        for name in names
        for i in [places[name]]
    }


def handle(label, colour=INK, **options):
    """Return a legend's entry; `options` as of `Line2D`: marker, linestyle, ..."""
    return Line2D([], [], color=colour, label=label, **{"linestyle": "", "markeredgewidth": 0} | options)


def dataset_handles(looks, fids, **options):
    """Return one legend's entry a dataset, with its FID (dataset -> FID or None); `options` as of `Line2D`."""
    return [
        handle(dataset_label(name, fids[name]), look.colour, marker=look.marker, **options)
        for name, look in looks.items()
    ]


def model_handles(looks, **options):
    """Return one legend's entry a model; `options` as of `Line2D`."""
    return [handle(short(name, 22), look.colour, **{"linestyle": look.dash} | options) for name, look in looks.items()]


def short(text, length=30):
    """Return `text` with its middle left out where it is longer than `length`."""
    text = str(text)
    if len(text) > length:
        tail = length // 3
        text = f"{text[: length - tail - 1]}…{text[-tail:]}"
    return text


def wrapped(text, columns):
    """Return `text` broken into lines of at most `columns` characters."""
    return textwrap.fill(str(text), columns, break_long_words=True)


def dataset_label(dataset, fid, length=30):
    """Return `edm-18 (FID 2.1)` with a long name shortened; `FID 0 (no dataset)` without a name."""
    if dataset is None:
        return f"FID {numbers.fid(fid)} (no dataset)"
    return inputs.labelled(short(dataset, length), fid)


def _lay_out(figure):
    """Place all axes for good, at places that do not depend on where objects lie in memory.

    The solver behind the layout adds in the order of addresses, so its last bits change from call to call, and with
    them the files.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    parts = list(figure.subfigs)
    for part in parts:
        part.bbox_relative.set_points(np.round(part.bbox_relative.get_points(), 6))
        parts += part.subfigs
    for axes in figure.axes:
        place = axes.get_position(original=True).bounds
        axes.set_position([round(number, 6) for number in place], which="original")


@contextmanager
def drawing(paths, height):
    """Yield an empty figure of `height` inches; when the block ends well, write it to all paths.

    The files hold no date and no random name, so the same inputs give the same bytes.

    Parameters
    ----------
    paths : dict
        "png", "svg" and "parquet": the picture, and the table of what it shows (`tables.DRAWN`, see `drawn`).
    height : float
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a matplotlibrc of the user's must not change the figures
        matplotlib.rcParams.update(_RC)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        plotted_data.start(figure)
        figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06, wspace=0.03, hspace=0.04)
        yield figure
        _lay_out(figure)
        with replacing(paths["png"]) as png, replacing(paths["svg"]) as svg:
            figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
            figure.savefig(svg, format="svg", dpi=DPI, metadata={"Date": None, "Creator": None})
            tables.write(paths["parquet"], plotted_data.rows(figure), tables.DRAWN)


def panels(figure, count, columns=3, **options):
    """Return `count` axes on a grid of at most `columns`; four make a square; the rest stays empty."""
    columns = 2 if count == 4 and columns == 3 else min(columns, count)
    rows = math.ceil(count / columns)
    grid = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for axes in grid[count:]:
        axes.remove()
    # where a panel has none below it, a shared scale would leave it without numbers
    for axes in grid[max(0, count - columns) : count]:
        axes.tick_params(labelbottom=True)
    return list(grid[:count])


def nothing(axes, why):
    """Say in `axes` that there is nothing to show, and why; a figure of nothing else becomes low."""
    axes.set_axis_off()
    figure = axes.get_figure(root=True)
    if figure.axes == [axes]:
        figure.set_figheight(min(figure.get_figheight(), 2.0))
    axes.text(0.5, 0.5, wrapped(f"nothing to show: {why}", 60), ha="center", va="center", transform=axes.transAxes)


def _legend_columns(labels, most):
    """Return into how many columns, at most `most`, the labels of a legend go side by side on a page."""
    for columns in range(min(most, len(labels)), 1, -1):
        rows = math.ceil(len(labels) / columns)
        # inches: a letter, and the sample and the gaps beside each column
        widths = [0.066 * max(map(len, labels[i : i + rows])) + 0.6 for i in range(0, len(labels), rows)]
        if sum(widths) <= WIDTH:
            return columns
    return 1


def below(figure, handles=(), lines=(), columns=3):
    """Put one legend for all panels under them, and under it remarks, one paragraph each.

    The figure grows by the space that both need; its panels keep their size. (matplotlib's own placement would cover
    the remarks.) With long labels the legend has fewer columns than `columns`.
    """
    handles = list(handles)
    columns = _legend_columns([handle.get_label() for handle in handles], columns)
    text = "\n".join(wrapped(line, 124) for line in lines if line)
    remarks = 0.155 * (text.count("\n") + 1) + 0.1 if text else 0.0  # inches
    legend = 0.185 * math.ceil(len(handles) / columns) + 0.12 if handles else 0.0
    height = figure.get_figheight() + remarks + legend
    figure.set_figheight(height)
    taken = (remarks + legend) / height
    figure.get_layout_engine().set(rect=(0, taken, 1, 1 - taken))
    if text:
        figure.text(0.012, remarks / height, text, ha="left", va="top", fontsize=SMALLEST, linespacing=1.3)
    if handles:
        place = {"loc": "lower center", "bbox_to_anchor": (0.5, remarks / height), "borderaxespad": 0.3}
        figure.legend(handles=handles, ncols=min(columns, len(handles)), **place)


def outer_labels(grid, across, up):
    """Name the scales of panels that share them: below the lowest of each column, left of the first."""
    for axes in grid:
        place = axes.get_subplotspec()
        below = [other for other in grid if other.get_subplotspec().colspan == place.colspan]
        if place.rowspan.stop == max(other.get_subplotspec().rowspan.stop for other in below):
            axes.set_xlabel(across)
        if place.is_first_col():
            axes.set_ylabel(up)


def known_and_beyond(axes, x, y, measured, *, series, **options):
    """Draw a line solid where `measured` and dashed elsewhere, without a gap between the two."""
    measured = np.asarray(measured, dtype=bool)
    plotted_data.keep(axes, "line", series, x=x, y=y, label=[None if here else BEYOND for here in measured])
    beyond = ~measured
    beyond[:-1] |= ~measured[1:]
    beyond[1:] |= ~measured[:-1]
    for part, dash in ((measured, "-"), (beyond, DASHES[1])):
        axes.plot(np.where(part, x, np.nan), np.where(part, y, np.nan), linestyle=dash, **options)


def apart(values, least):
    """Return places for labels of `values` (rising): as near to them as can be, `least` from each other."""
    blocks = []  # [mean, members]; neighbours that would lie on each other become one block (pool adjacent violators)
    for value in (value - i * least for i, value in enumerate(values)):
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, members = blocks.pop()
            whole = blocks[-1][1] + members
            blocks[-1] = [(blocks[-1][0] * blocks[-1][1] + mean * members) / whole, whole]
    places = [mean for mean, members in blocks for _ in range(members)]
    return [place + i * least for i, place in enumerate(places)]


def padded(values, share=0.06, least=1.1):
    """Return (low, high) around positive `values`, with room on a logarithmic scale; None without any.

    Values that hardly differ get at least the factor `least` on either side.
    """
    values = np.asarray([v for v in values if v is not None], dtype="float64")
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return None
    low, high = math.log(values.min()), math.log(values.max())
    room = max(share * (high - low), math.log(least) - (high - low) / 2)
    return math.exp(low - room), math.exp(high + room)


def _log_ticks(low, high, most):
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ladders = [[f * 10.0**d for d in decades for f in factors] for factors in ((1, 2, 5), (1, 3), (1, 1.5, 2, 3, 5, 7))]
    ladders += [[10.0**d for d in decades if d % step == 0] for step in range(1, len(decades) + 1)]
    fewest = 3 if high < 10 * low else 2
    for ladder in ladders:
        ticks = [tick for tick in ladder if low <= tick <= high]
        if fewest <= len(ticks) <= most:
            return ticks
    for bins in (most, 2 * most):
        steps = MaxNLocator(bins, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        ticks = [float(tick) for tick in steps if low <= tick <= high]
        if len(ticks) >= min(3, most):
            break
    return ticks if len(ticks) <= most else ticks[::2]


def log_axis(axes, which, limits, text, most=5):
    """Make the x or y axis logarithmic over `limits`, with at most `most` numbers that do not collide.

    `text` turns a value into what stands at its tick.
    """
    axis = getattr(axes, f"{which}axis")
    getattr(axes, f"set_{which}scale")("log")
    getattr(axes, f"set_{which}lim")(*limits)
    ticks = _log_ticks(*limits, most)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter([text(tick) for tick in ticks]))
    axis.set_minor_locator(NullLocator())
