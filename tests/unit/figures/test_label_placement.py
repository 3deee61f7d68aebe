"""Texts beside points: none on another, none that could be read as another point's."""

import numpy as np
from matplotlib.figure import Figure

from robustlaws.figures.drawing import label_placement


def test_labels_keep_clear_of_each_other_and_of_markers():
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    points = [(0.5 + 0.02 * np.cos(i), 0.5 + 0.02 * np.sin(i)) for i in range(12)] + [(0.99, 0.5), (0.2, 0.2)]
    written = label_placement.beside(axes, [(x, y, "12.3%") for x, y in points])
    assert written[-2:] == [True, True]
    assert 0 < sum(written) < len(points)
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == sum(written)
    frame = axes.get_window_extent()
    pixels = axes.transData.transform(points)
    for i, box in enumerate(boxes):
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert not any(box.contains(x, y) for x, y in pixels)
    assert label_placement.beside(axes, []) == []


def test_labels_in_a_crowd_stand_level_only_when_free():
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    points = [(0.5, 0.2), (0.5, 0.5), (0.5, 0.51), (0.5, 0.8), (0.99, 0.35)]
    written = label_placement.beside(axes, [(x, y, "12.3%") for x, y in points], [(0.5, 0.81)], alone=True)
    assert written == [True, False, False, False, True]
    for artist, (x, y) in zip(axes.texts, (points[0], points[-1]), strict=True):
        box, (_, middle) = artist.get_window_extent(), axes.transData.transform((x, y))
        assert box.y0 < middle < box.y1
