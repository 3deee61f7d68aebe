"""The table behind a figure, and the look that all figures share."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from robustlaws.figures.drawing import plotted_data, style
from robustlaws.storage import tables

# Machado, Oliveira and Fernandes (2009), severity 1: linear RGB as protanopes, deuteranopes, tritanopes see it
VISION = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def lab(colour, vision):
    """Return CIELAB of a hexadecimal sRGB colour."""
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ np.clip(np.array(VISION[vision]) @ linear, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("colours", [style.COLOURS, style.LAW_COLOURS], ids=["datasets", "laws"])
def test_colours_stay_apart_for_every_kind_of_vision(colours, vision):
    seen = [lab(colour, vision) for colour in colours]
    # 2.3 is just noticeable; Okabe and Ito's own nearest pair is 16
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15


def test_a_law_looks_the_same_beside_whichever_others():
    alone = style.law_looks([{"law": "bottleneck"}])
    beside = style.law_looks([{"law": name} for name in ("my own", "envelope", "additive_two_stage", "bottleneck")])
    assert beside["bottleneck"] == alone["bottleneck"]
    assert len({look.marker for look in beside.values()}) == 4


def rows_of(figure):
    return tables.table(plotted_data.rows(figure), tables.DRAWN)


def started(*shape):
    figure = Figure()
    plotted_data.start(figure)
    return figure, figure.subplots(*shape)


def test_panels_are_called_by_name_title_or_number():
    figure, grid = started(2, 3)
    grid[0, 0].set_title("a\nb")
    grid[0, 1].set_title("left", loc="left")
    grid[0, 2].set_title("short")
    plotted_data.name(grid[0, 2], "a long name")
    grid[1, 0].set_title("a b")
    twin = grid[1, 1].twinx()
    for axes in (grid[1, 1], twin):
        plotted_data.name(axes, "twins")
    for axes in (*grid.ravel(), twin):
        plotted_data.line(axes, [1, 2], [3, 4], series="s")
    named = list(dict.fromkeys(rows_of(figure)["panel"]))
    assert named == ["a b", "left", "a long name", "a b (2)", "twins", "6"]


def test_panels_of_subfigures_are_in_the_table_of_the_figure():
    figure = Figure()
    plotted_data.start(figure)
    left, right = figure.subfigures(1, 2)
    for part, title in ((left, "left"), (right, "right")):
        axes = part.subplots()
        axes.set_title(title)
        plotted_data.level(axes, 0.5, series="h")
    assert list(rows_of(figure)["panel"]) == ["left", "right"]


def test_the_table_holds_what_is_on_the_axes():
    figure, axes = started()
    x, y = np.array([1.0, 2.0, np.nan]), np.array([3.0, np.inf, 5.0])
    (line,) = plotted_data.line(axes, x, y, series="l")
    plotted_data.points(axes, x, y, series="p", label=["a", "b", "c"], low=y - 1, high=y + 1)
    plotted_data.band(axes, [1, 2], [0, 1], [2, 3], series="b")
    plotted_data.level(axes, 2, series="h")
    plotted_data.upright(axes, 7, series="v")
    plotted_data.bars(axes, [1, 2], [3, 4], series="bar", label=["one", "two"])
    table = rows_of(figure).drop(columns="panel")
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack([x, y]))
    lines = table[table["series"] == "l"]
    assert list(lines["x"].isna()) == [False, False, True]
    assert list(lines["y"].isna()) == [False, True, False]
    points = table[table["series"] == "p"]
    # the second and the third have no place on the axes
    assert points[["x", "y", "low", "high", "label"]].to_numpy().tolist() == [[1.0, 3.0, 2.0, 4.0, "a"]]
    assert table[table["series"] == "b"][["x", "low", "high"]].to_numpy().tolist() == [[1, 0, 2], [2, 1, 3]]
    assert table[table["series"] == "h"]["y"].tolist() == [2]
    assert table[table["series"] == "v"]["x"].tolist() == [7]
    assert table[table["kind"] == "bar"]["label"].tolist() == ["one", "two"]


def test_contours_are_kept_as_they_are_drawn():
    figure, axes = started()
    x = y = np.linspace(-2, 2, 201)
    plotted_data.contours(axes, x, y, np.hypot(*np.meshgrid(x, y)), series="c", levels=[1.0, 1.5])
    table = rows_of(figure)
    assert set(table["kind"]) == {"contour"}
    np.testing.assert_allclose(np.hypot(table["x"], table["y"]), table["z"], atol=1e-3)
    assert set(table["z"]) == {1.0, 1.5}


def test_missing_values_of_pandas_are_gaps():
    figure, axes = started()
    plotted_data.keep(
        axes, "line", "s", x=pd.array([1, pd.NA], dtype="Int64"), y=[None, 2.0], label=pd.array(["a", pd.NA])
    )
    assert rows_of(figure)[["x", "y", "label"]].isna().to_numpy().tolist() == [
        [False, True, False],
        [True, False, True],
    ]


def test_columns_of_several_lengths_are_refused():
    _, axes = started()
    with pytest.raises(ValueError, match=r"figure 's': columns of several lengths \(x 3, y 2, label 1\)"):
        plotted_data.keep(axes, "line", "s", x=[1, 2, 3], y=[1, 2])
    with pytest.raises(ValueError, match="several lengths"):
        plotted_data.keep(axes, "line", "s", x=[1, 2, 3], label=["a", "b"])


def test_nothing_drawn_is_nothing_kept():
    figure, axes = started()
    plotted_data.line(axes, [], [], series="s")
    plotted_data.keep(axes, "line", "s", x=[], y=1.0)
    assert rows_of(figure).empty


def test_a_figure_that_fails_leaves_no_file(tmp_path):
    paths = {kind: tmp_path / f"figure.{kind}" for kind in ("png", "svg", "parquet")}
    with pytest.raises(ValueError, match="several lengths"), style.drawing(paths, 2.0) as figure:
        plotted_data.line(figure.subplots(), [1, 2, 3], [1, 2], series="s")
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=12).map(sorted), st.floats(0.1, 10))
def test_labels_move_apart_and_no_further_than_they_must(values, least):
    places = style.apart(values, least)
    assert len(places) == len(values)
    assert all(b - a >= least - 1e-9 for a, b in itertools.pairwise(places))
    assert np.mean(places) == pytest.approx(np.mean(values), abs=1e-9)
    if all(b - a >= least for a, b in itertools.pairwise(values)):
        assert places == pytest.approx(values, abs=1e-9)
    # least squares among all places that are apart: any other has more to move
    moved = sum((place - value) ** 2 for place, value in zip(places, values, strict=True))
    shifted = np.arange(len(values)) * (least + 0.01) + values[0]
    assert moved <= sum((shifted - values) ** 2) + 1e-9


def test_a_legend_of_long_labels_stays_on_the_page(tmp_path):
    paths = {kind: tmp_path / f"figure.{kind}" for kind in ("png", "svg", "parquet")}
    labels = [f"Approach {n}: additive terms with data quality and more" for n in range(5)]
    with style.drawing(paths, 2.0) as figure:
        figure.subplots()
        style.below(figure, [style.handle(label, linestyle="-") for label in labels], ["A remark. " * 40], columns=3)
        figure.draw_without_rendering()
        box = figure.legends[0].get_window_extent()
        page = figure.bbox
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        remark = figure.texts[0].get_window_extent()
        assert page.y0 <= remark.y0
        assert remark.y1 <= box.y0
