"""The figure of Approach 1: the points of the envelope, its laws, and studies that have only finished runs."""

import json

import numpy as np
import pytest

from robustlaws.storage import tables
from tests.support.figure_study import build, draw


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return build(tmp_path_factory.mktemp("study"))


def of(table, panel, kind, series):
    """Return the rows of one panel, kind and series."""
    return table[(table["panel"] == panel) & (table["kind"] == kind) & (table["series"] == series)].reset_index(
        drop=True
    )


def lowest(curves, budget):
    """Return the run with the lowest loss within `budget`, written from the rules of `spec/laws.md`."""
    best = (np.inf, None)
    for run, curve in curves.groupby("run"):
        if budget < curve["flops"].min():
            continue
        ended = budget > curve["flops"].max()
        loss = curve["adv_loss"].min() if ended else np.interp(budget, curve["flops"], curve["adv_loss"])
        best = min(best, (loss, run))
    return best


def test_the_points_are_the_best_runs_of_each_budget(tmp_path, study):
    _, text, _, table = draw("envelope", tmp_path, study)
    curves = tables.read(study["curves"], tables.CURVES)
    runs = tables.read(study["runs"], tables.RUNS).set_index("run")
    late = curves[(curves["train_fraction"] >= 0.5) & (curves["dataset"] == "edm-5")]
    loss, params, images = (of(table, f"edm-5, {symbol}", "points", "envelope") for symbol in ("L*", "N*", "D*"))
    assert len(loss) == len(params) == len(images) > 30
    for row in range(0, len(loss), 7):
        budget = loss["x"][row]
        assert params["x"][row] == images["x"][row] == budget
        value, run = lowest(late, budget)
        curve = late[late["run"] == run]
        assert loss["y"][row] == pytest.approx(value, rel=1e-9)
        assert params["y"][row] == runs.loc[run, "params"]
        assert images["y"][row] == pytest.approx(np.interp(budget, curve["flops"], curve["images"]), rel=1e-9)
    assert (np.diff(loss["y"]) <= 1e-12).all()
    # early training is drawn, but is no part of the envelope
    drawn_lines = table[(table["panel"] == "edm-5, L*") & (table["kind"] == "line") & table["label"].notna()]
    assert len(drawn_lines) == (curves["dataset"] == "edm-5").sum()
    assert "4 of" not in text


def test_envelope_draws_the_fitted_laws_with_intervals(tmp_path, study):
    _, text, _, table = draw("envelope", tmp_path, study)
    for formula in (
        "L* = 12.3 F^-0.0512 [-0.0563, -0.0461]",
        "N* ~ F^0.488 [0.439, 0.536]",
        "D* ~ F^0.512 [0.461, 0.564]",
    ):
        assert text.count(formula) == 3
    refits = tables.read(study["refits"][0], tables.REFITS)
    mine = refits[refits["dataset"] == "edm-3"].pivot(index="refit", columns="parameter", values="value")
    for symbol, quantity in (("L*", "loss"), ("N*", "params"), ("D*", "images")):
        line, band = (of(table, f"edm-3, {symbol}", kind, "law of the envelope") for kind in ("line", "band"))
        exact = mine.loc[0, f"{quantity} intercept"] + mine.loc[0, f"{quantity} slope"] * np.log10(line["x"])
        np.testing.assert_allclose(np.log10(line["y"]), exact, atol=1e-12)
        points = of(table, f"edm-3, {symbol}", "points", "envelope")
        assert (line["x"].min(), line["x"].max()) == pytest.approx((points["x"].min(), points["x"].max()))
        each = [
            row[f"{quantity} intercept"] + row[f"{quantity} slope"] * np.log10(band["x"]) for _, row in mine.iterrows()
        ]
        assert (np.log10(band["low"]) >= np.min(each, axis=0) - 1e-12).all()
        assert (np.log10(band["high"]) <= np.max(each, axis=0) + 1e-12).all()
        assert (band["low"] < band["high"]).all()


def test_what_is_not_determined_is_named_and_not_drawn(tmp_path):
    _, text, _, table = draw("envelope", tmp_path, build(tmp_path / "in", determined=False))
    for symbol in ("L*", "N*", "D*"):
        assert f"{symbol} not determined: the" in text
    assert "0.488" not in text
    assert "law of the envelope" not in text
    assert not (table["series"] == "law of the envelope").any()


def test_one_exponent_alone_may_be_known(tmp_path, study):
    content = json.loads(study["laws"][0].read_text())
    for entry in content["datasets"]:
        entry["exponents"]["N_star"] |= {"determined": False, "why": "two sizes"}
        entry["parameters"]["coefficient"] |= {"determined": False, "why": "wide"}
    (tmp_path / "envelope.json").write_text(json.dumps(content))
    _, text, _, table = draw("envelope", tmp_path, study | {"laws": [tmp_path / "envelope.json"]})
    assert "N* not determined: two sizes" in text
    assert "L* ~ F^-0.0512" in text
    assert "12.3" not in text
    with_law = set(table[table["series"] == "law of the envelope"]["panel"])
    assert with_law == {f"{dataset}, {symbol}" for dataset in ("edm-18", "edm-5", "edm-3") for symbol in ("L*", "D*")}


def test_envelope_joins_finished_runs_by_model_without_curves(tmp_path, study):
    tables.write(tmp_path / "curves.parquet", [], tables.CURVES)
    inputs = study | {"curves": tmp_path / "curves.parquet"}
    _, text, _, table = draw("envelope", tmp_path, inputs)
    assert "No learning curves. Each line joins one model's finished runs on growing data." in text
    runs = tables.read(study["runs"], tables.RUNS)
    mine = runs[(runs["dataset"] == "edm-18") & (runs["model"] == "wrn-10-2")].sort_values("images")
    lines = table[(table["panel"] == "edm-18, L*") & (table["kind"] == "line") & (table["series"] == "wrn-10-2")]
    np.testing.assert_allclose(lines["x"], mine["flops"])
    np.testing.assert_allclose(lines["y"], mine["adv_loss"])
    points = of(table, "edm-18, N*", "points", "envelope")
    assert set(points["y"]) <= set(runs["params"])
    assert points["y"].nunique() > 1


def test_four_datasets_are_spread_over_the_fids(tmp_path):
    datasets = {f"edm-{n}": 20.0 - n for n in range(7)}
    _, text, _, table = draw("envelope", tmp_path, build(tmp_path / "in", datasets=datasets, mixture=False))
    assert "4 of 7 datasets are shown, from the best FID to the worst." in text
    assert list(dict.fromkeys(panel[:5] for panel in table["panel"])) == ["edm-6", "edm-4", "edm-2", "edm-0"]
