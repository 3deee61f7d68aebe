"""Loss to accuracy: one line, its interval, and its limits."""

import json

import numpy as np
import pytest

from robustlaws.laws import accuracy, published
from tests.support.law_studies import runs_on, settings

pytestmark = pytest.mark.filterwarnings("error")


def line_of(runs, options):
    return accuracy.fit(runs, options)[0]


def test_the_line_by_hand():
    # (1, .5), (2, .3), (3, .3): mean (2, 11/30), slope -0.2 / 2
    line = accuracy.fit_line([1.0, 2.0, 3.0], [0.5, 0.3, 0.3])
    assert line["slope"] == pytest.approx(-0.1)
    assert line["intercept"] == pytest.approx(11 / 30 + 0.2)
    assert line["n"] == 3
    # residuals (1, -2, 1)/30: 6/900 of a total of 24/900
    assert line["r2"] == pytest.approx(0.75)


def test_accuracy_of_a_loss_stays_an_accuracy():
    line = {"intercept": 1.2, "slope": -0.5}
    assert accuracy.of_loss(line, 1.0) == pytest.approx(0.7)
    assert accuracy.of_loss(line, np.array([0.0, 0.4, 9.0])).tolist() == [1.0, 1.0, 0.0]
    assert isinstance(accuracy.of_loss(line, 1.0), float)


def test_a_study_gives_its_line():
    summary = line_of(runs_on(published.ACCURACY_LINE), settings())
    for name, value in published.ACCURACY_LINE.items():
        assert summary[name]["value"] == pytest.approx(value, rel=1e-9)
        assert summary[name]["determined"]
        assert summary[name]["high"] - summary[name]["low"] < 1e-9
    assert summary["r2"] == pytest.approx(1.0)
    assert summary["n_runs"] == 40
    # a summary serves as a line
    assert accuracy.of_loss(summary, 0.8) == pytest.approx(accuracy.of_loss(published.ACCURACY_LINE, 0.8), rel=1e-9)
    json.dumps(summary, allow_nan=False)


def test_the_interval_is_about_that_of_least_squares_and_seeded():
    runs = runs_on(published.ACCURACY_LINE, noise=0.005)
    summary = line_of(runs, settings(refits=400))
    away = runs["adv_loss"] - runs["adv_loss"].mean()
    expected = 2 * 1.645 * 0.005 / np.sqrt((away**2).sum())
    assert summary["slope"]["high"] - summary["slope"]["low"] == pytest.approx(expected, rel=0.5)
    assert summary["slope"]["low"] < published.ACCURACY_LINE["slope"] < summary["slope"]["high"]
    assert line_of(runs, settings(refits=400)) == summary
    assert line_of(runs, settings(refits=400, seed=2))["slope"]["low"] != summary["slope"]["low"]


def test_a_refit_is_the_line_through_runs_drawn_with_replacement():
    rng = np.random.default_rng(3)
    losses, accuracies = rng.uniform(0.7, 1.2, 9), rng.uniform(0.3, 0.7, 9)
    counts = rng.multinomial(9, np.full(9, 1 / 9), size=5)
    intercepts, slopes = accuracy._lines(losses, accuracies, counts.astype(float))
    for count, intercept, slope in zip(counts, intercepts, slopes, strict=True):
        drawn = accuracy.fit_line(np.repeat(losses, count), np.repeat(accuracies, count))
        assert drawn["intercept"] == pytest.approx(intercept)
        assert drawn["slope"] == pytest.approx(slope)


def test_observations_exclude_real_images_but_not_mixtures():
    runs = runs_on(published.ACCURACY_LINE)
    runs.loc[:4, ["real_fraction", "adv_acc"]] = 0.3, 0.01
    runs.loc[5:6, "fid"] = None
    summary = line_of(runs, settings())
    assert summary["n_runs"] == 35
    assert summary["n_runs_left_out"] == {"mixes real images in": 5}
    assert summary["slope"]["value"] == pytest.approx(published.ACCURACY_LINE["slope"], rel=1e-9)


def test_runs_without_a_loss_or_an_accuracy_are_counted():
    runs = runs_on(published.ACCURACY_LINE)
    runs.loc[:2, "adv_acc"] = None
    runs.loc[3, "adv_loss"] = None
    summary = line_of(runs, settings())
    assert summary["n_runs"] == 36
    assert summary["n_runs_left_out"] == {"loss or accuracy not measured": 4}


def test_too_few_runs_determine_nothing():
    runs = runs_on(published.ACCURACY_LINE)
    item = line_of(runs.iloc[:1], settings())
    assert item["slope"]["value"] is None
    assert item["slope"]["why"] == "only 1 distinct losses"
    with pytest.raises(ValueError, match="give none"):
        accuracy.of_loss(item, 0.8)
    two = line_of(runs.iloc[:2], settings())
    assert two["slope"]["value"] == pytest.approx(published.ACCURACY_LINE["slope"], rel=1e-9)
    assert not two["slope"]["determined"]
    with pytest.raises(ValueError, match="needs finished runs"):
        line_of(runs.iloc[:0], settings())


def test_accuracy_unrelated_to_loss_is_not_determined():
    runs = runs_on({"intercept": 0.5, "slope": 0.0}, noise=0.02)
    assert not line_of(runs, settings())["slope"]["determined"]


def test_unusable_lines_are_refused():
    with pytest.raises(ValueError, match="one loss between them"):
        accuracy.fit_line([0.8, 0.8], [0.5, 0.6])
    with pytest.raises(ValueError, match="give one of each"):
        accuracy.fit_line([0.8, 0.9], [0.5])
