"""Figures: valid, deterministic files for ordinary and for poor studies, and the numbers that must (not) show."""

import json
import re
from functools import partial

import numpy as np
import pytest
from matplotlib.figure import Figure

from robustlaws.data import shards
from robustlaws.figures import FIGURES
from robustlaws.figures.drawing import inputs as sources
from robustlaws.figures.drawing import style
from robustlaws.formatting import numbers
from robustlaws.storage import tables
from tests.support import human_study
from tests.support.figure_study import build, draw, write_attack

ONE_CELL = {"models": {"wrn-10-1": 80_000}, "sizes": (2000,), "datasets": {"edm-5": 8.8}, "mixture": False}
LONG = "a name with $ign$ and_underscores, much longer than any panel has room for"
STUDIES = {
    "one model on one dataset": {"models": {"wrn-10-1": 80_000}, "datasets": {"edm-5": 8.8}, "pixels": (12, 12, 3)},
    "one cell, nothing fitted": {
        **ONE_CELL, "determined": False, "with_allocations": False, "with_predictions": False, "fooled": 0,
    },
    "no law": {"laws": ()},
    "undetermined, long names": {"determined": False, "models": {LONG: 80_000}, "datasets": {LONG: 2.0, "edm-5": 8.8}},
}  # fmt: skip


def _another_recipe(rows):
    rows.insert(0, rows[0] | {"run": "wrn-10-1@with-replacement/edm-18/2000/0", "recipe": "with-replacement"})


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory):
    return build(tmp_path_factory.mktemp("ordinary"), change=_another_recipe)


@pytest.fixture(scope="module")
def drawn(ordinary, tmp_path_factory):
    """All figures of the ordinary study, each drawn once."""
    folder = tmp_path_factory.mktemp("drawn")
    return {name: draw(name, folder, ordinary) for name in FIGURES}


def _check_picture(name, picture, text, files):
    assert picture.shape[1] == style.WIDTH * style.DPI, name
    assert np.ptp(picture[..., :3]) == 1, name
    border = [picture[:2], picture[-2:], picture[:, :2], picture[:, -2:]]
    assert all((edge[..., :3] == 1).all() for edge in border), f"{name}: something is cut off"
    assert text.strip(), name
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", files["svg"].decode())]
    assert sizes, name
    assert min(sizes) >= 8, f"{name}: below 4 points at half the width"


@pytest.mark.parametrize("study", STUDIES)
def test_figures_of_poor_studies_are_pictures(tmp_path, study):
    inputs = build(tmp_path / "in", **STUDIES[study])
    for name in FIGURES:
        _check_picture(name, *draw(name, tmp_path, inputs)[:3])


def test_figures_of_a_study_without_runs_say_so(tmp_path, ordinary):
    empty = {"runs": tables.RUNS, "curves": tables.CURVES, "limits": tables.APPROACHES}
    for noun, columns in empty.items():
        tables.write(tmp_path / f"{noun}.parquet", [], columns)
    line = tmp_path / "accuracy.json"
    line.write_text(json.dumps({"intercept": None, "slope": None, "r2": None}))
    lists = {noun: [] for noun in ("laws", "allocations", "predictions", "held_out", "refits", "autoattack")}
    inputs = ordinary | {noun: tmp_path / f"{noun}.parquet" for noun in empty} | lists | {"accuracy": line}
    inputs |= human_study.empty(tmp_path)
    for noun in ("inner_train", "inner_test", "autoattack_record"):
        inputs[noun] = tmp_path / f"{noun}.h5"
        write_attack(inputs[noun], "a/run", np.zeros((9, 8, 8, 1), np.uint8), np.zeros(9, int), 0.1, n=0)
    for name in set(FIGURES) - {"samples"}:
        picture, text, files, table = draw(name, tmp_path, inputs)
        _check_picture(name, picture, text, files)
        assert "nothing to show" in text, name
        assert table.empty, name


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_inputs_give_the_same_bytes(tmp_path, ordinary, drawn, name):
    _check_picture(name, *drawn[name][:3])
    assert draw(name, tmp_path, ordinary)[2] == drawn[name][2]


@pytest.mark.parametrize("name", FIGURES)
def test_figures_have_captions_and_named_panels(drawn, name):
    assert FIGURES[name].caption.endswith(".")
    _, text, _, table = drawn[name]
    # a study may have no runs of other recipes to compare
    assert len(table) or "nothing to show" in text
    assert (table["panel"] != "").all()


def test_learning_curves_write_the_law_that_is_determined(tmp_path, drawn):
    text = drawn["learning_curves"][1]
    assert "edm-18 (FID 2.10)" in text
    assert "L* = 12.3 F^-0.0512" in text
    unknown = build(tmp_path / "in", determined=False)
    text = draw("learning_curves", tmp_path, unknown)[1]
    assert "law not determined" in text
    assert "the interval spans zero" in text
    assert "0.0512" not in text


def test_power_law_text_depends_on_the_exponent_alone(tmp_path, drawn):
    inputs = build(tmp_path / "in")
    path = next(path for path in inputs["laws"] if path.stem == "envelope")
    content = json.loads(path.read_text())
    for entry in content["datasets"]:
        entry["parameters"]["coefficient"] |= {"determined": False, "why": "too wide"}
    path.write_text(json.dumps(content))
    text = draw("learning_curves", tmp_path, inputs)[1]
    assert "L* ~ F^-0.0512" in text
    assert "12.3" not in text
    assert "law of the envelope" in text


def test_allocation_draws_no_law_whose_exponent_is_unknown(tmp_path, drawn):
    assert "beyond the study's budgets" in drawn["allocation"][1]
    unknown = build(tmp_path / "in", determined=False)
    text = draw("allocation", tmp_path, unknown)[1]
    assert "N* and D* not determined: the interval spans zero" in text
    assert "beyond the study's budgets" not in text


def test_allocation_says_which_datasets_it_leaves_out(tmp_path):
    datasets = {f"edm-{n}": 20.0 - n for n in range(7)}
    text = draw("allocation", tmp_path, build(tmp_path / "in", datasets=datasets, mixture=False))[1]
    assert "4 of 7 datasets are shown, from the worst FID to the best." in text
    assert re.findall(r"edm-\d FID [\d.]+", text) == [
        "edm-0 FID 20.0",
        "edm-2 FID 18.0",
        "edm-4 FID 16.0",
        "edm-6 FID 14.0",
    ]


def test_predictions_name_the_law_that_predicts_nothing(drawn):
    text = drawn["predictions"][1]
    assert "R² = 0.970" in text
    assert "Without predictions for single runs: Approach 1: envelope of training curves." in text


def test_adversarial_counts_what_each_attack_broke(drawn):
    text = drawn["adversarial"][1]
    assert "60 test images, 57 right when clean; broken by apgd-ce 6, apgd-t 6, fab-t 6, square 6; 33 right" in text
    assert "three → six (apgd-ce)" in text


def test_adversarial_names_the_file_that_is_no_record(tmp_path, ordinary):
    with pytest.raises(ValueError, match=r"runs\.parquet"):
        draw("adversarial", tmp_path, ordinary | {"autoattack": [ordinary["runs"]]})
    few = tmp_path / "few.h5"
    shards.write(few, np.zeros((8, 8, 8, 1), np.uint8), np.zeros(8, int), {})
    with pytest.raises(ValueError, match=r"best\.h5 index: image \d+ wanted, 8 in"):
        draw("adversarial", tmp_path, ordinary | {"test_images": few})
    assert not (tmp_path / "out").exists()


def test_samples_are_titled_with_steps_and_fid(drawn):
    text = drawn["samples"][1]
    for words_there in ("real training images", "edm-18, 3 steps, FID 2.10", "edm-3, 5 steps, FID 41.2", "nine"):
        assert words_there in text


def test_datasets_are_ordered_by_fid_and_mixtures_come_last():
    order = sources.fid_order([("mixture", None), ("worse", 9.0), ("better", 2.0), ("worse", float("nan"))])
    assert list(order.items()) == [("better", 2.0), ("worse", 9.0), ("mixture", None)]


def test_datasets_and_models_look_different():
    datasets = style.dataset_looks([f"dataset {i}" for i in range(8)])
    models = style.model_looks([f"model {i}" for i in range(8)])
    for looks in (datasets, models):
        assert len({look.colour for look in looks.values()}) == 8
    assert not {look.colour for look in datasets.values()} & set(style.LAW_COLOURS)


@pytest.mark.parametrize(
    ("low", "high"), [(1e12, 1e18), (1.4e12, 3.6e14), (1.2, 2.3), (0.57, 1.04), (1.34, 1.41), (7e4, 9e4), (1e3, 1e12)]
)
def test_a_logarithmic_axis_has_a_few_numbers(low, high):
    figure = Figure()
    axes = figure.subplots()
    style.log_axis(axes, "x", (low, high), numbers.scientific, most=5)
    ticks = axes.get_xticks()
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert 2 <= len(ticks) <= 11
    assert ((ticks >= low) & (ticks <= high)).all()
    assert len(set(labels)) == len(ticks)


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (numbers.number, 0.48285756, "0.483"), (numbers.number, 12.345, "12.3"), (numbers.number, 1234.5, "1,230"),
        (numbers.number, -0.0351, "-0.0351"), (numbers.number, 3.2e12, "3.2e12"), (numbers.number, 4e-7, "4e-7"),
        (numbers.number, 0, "0"), (numbers.scientific, 1e20, "1e20"), (numbers.count, 2048, "2,048"),
        (numbers.count, 76_400, "76.4k"), (numbers.count, 2000, "2k"), (numbers.count, 100_000_000, "100M"),
        (numbers.count, 316_356_058, "316M"), (numbers.percent, 0.7371, "73.7%"), (numbers.fid, 1.654, "1.65"),
        (numbers.fid, 35.54, "35.5"), (numbers.duration, 3.25, "3.2 s"), (numbers.duration, 200, "3 min 20 s"),
        (numbers.duration, 7500, "2 h 05 min"),
        (numbers.listed, ["a", "b", "c"], "a, b and c"), (numbers.listed, ["a"], "a"),
        (numbers.interval, {"value": 0.5, "low": 0.4, "high": 0.61, "determined": True}, "0.500 [0.400, 0.610]"),
        (numbers.interval, {"value": 0.5, "low": 0.4, "high": 0.6, "determined": False, "why": "w"}, "not determined"),
        (numbers.interval, {"value": None, "determined": True, "why": ""}, "not determined"),
        (numbers.interval, None, "not determined"), (numbers.duration, 0, "0 s"), (numbers.duration, 360_000, "100 h"),
        (numbers.size, 0, "0 MB"), (partial(numbers.size, digits=2), 512e6, "512 MB"),
        (numbers.size, 999, "999 bytes"), (numbers.size, 67.1e6, "67.1 MB"),
        (numbers.size, 1_513_120_000_000, "1.51 TB"), (numbers.count, 9_990_000_000, "9.99B"),
        (numbers.count, 35_458.1, "35.5k"), (numbers.scientific, 0, "0"), (numbers.relative, 0.005, "0.5%"),
        (numbers.relative, 12, f"12 {numbers.TIMES}"),
    ],
)  # fmt: skip
def test_numbers_are_written_for_readers(function, value, text):
    assert function(value) == text
