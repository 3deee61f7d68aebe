"""The figures of accuracy: what is measured, what is computed, and what may not be drawn."""

import json

import numpy as np
import pytest

from robustlaws.laws import published
from robustlaws.storage import tables
from tests.support.figure_study import HUMAN, build, draw, limit_rows


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return build(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def ordinary(study, tmp_path_factory):
    return draw("accuracy", tmp_path_factory.mktemp("ordinary"), study)


def of(table, kind, series):
    """Return the rows of one kind and series."""
    return table[(table["kind"] == kind) & (table["series"] == series)].reset_index(drop=True)


def changed(inputs, folder, law, change):
    """Return the study with one law file changed, or alone with it."""
    content = json.loads(next(path for path in inputs["laws"] if path.stem == law).read_text())
    for entry in content["datasets"]:
        change(entry)
    (folder / f"{law}.json").write_text(json.dumps(content))
    return [folder / f"{law}.json" if path.stem == law else path for path in inputs["laws"]]


def without_accuracies(folder, **options):
    """Return a study whose runs have losses only, and no curves."""
    inputs = build(folder, **options)
    runs = tables.read(inputs["runs"], tables.RUNS)
    tables.write(inputs["runs"], runs.assign(adv_acc=None, autoattack_acc=None), tables.RUNS)
    tables.write(inputs["curves"], [], tables.CURVES)
    return inputs


def undetermined(entry):
    entry["exponents"]["N_star"] |= {"determined": False, "why": "one size only"}


def test_accuracy_curves_follow_the_best_loss_down_to_fid_0(study, ordinary):
    _, text, _, table = ordinary
    given = tables.read(study["allocations"][1], tables.ALLOCATIONS)
    for dataset, series in (("edm-18", "edm-18"), (None, "FID 0")):
        rows = given[given["dataset"].isna() if dataset is None else given["dataset"] == dataset]
        line = of(table, "line", series)
        np.testing.assert_allclose(line["x"], rows["flops"])
        np.testing.assert_allclose(line["y"], np.clip(1.1 - 0.5 * rows["loss"], 0, 1))
        np.testing.assert_allclose(of(table, "band", series)["low"], np.clip(1.1 - 0.5 * rows["loss_high"], 0, 1))
        assert list(line["label"].notna()) == list(~rows["measured"])
    region = table[table["kind"] == "region"]
    np.testing.assert_allclose(region["low"], of(table, "line", "edm-18")["y"])
    np.testing.assert_allclose(region["high"], of(table, "line", "FID 0")["y"])
    assert "best for the budget (Approach 2)" in text
    assert "90% interval" in text
    assert "FID 0 (no dataset)" in text


def test_limits_are_drawn_only_where_determined(tmp_path, study, ordinary):
    _, text, _, table = ordinary
    assert "limit at infinite compute" in text
    assert list(table[table["series"].str.endswith(", limit")]["y"]) == pytest.approx(
        [0.95 - 0.03 * np.log1p(fid) for fid in (2.1, 8.76, 41.2, 0.0)]
    )
    rows = limit_rows(("additive",), {"edm-18": 2.1, "edm-5": 8.76, "edm-3": 41.2}, determined=False)
    tables.write(tmp_path / "limits.parquet", rows, tables.APPROACHES)
    _, text, _, table = draw("accuracy", tmp_path, study | {"limits": tmp_path / "limits.parquet"})
    assert (
        "Limit at infinite compute not determined on edm-18, edm-5, edm-3 and FID 0: the interval spans zero." in text
    )
    assert not table["series"].str.endswith(", limit").any()


def test_the_human_level_is_a_line_and_what_it_takes_a_sentence(tmp_path, ordinary):
    _, text, _, table = ordinary
    assert list(of(table, "level", "human level")["y"]) == [HUMAN]
    assert "human level 90.5%" in text
    assert "Human level at FID 0: 3.2e25 [1.6e25, no end] FLOPs." in text
    assert "Human level on edm-18: never: the limit is 85.0%." in text
    _, text, _, table = draw("accuracy", tmp_path, build(tmp_path / "in", human=None), "no humans")
    assert "uman" not in text


def test_accuracy_marks_values_computed_from_the_loss(tmp_path, ordinary):
    inputs = without_accuracies(tmp_path / "in")
    line = {name: {"value": value, "low": None, "high": None, "determined": True, "why": ""}
            for name, value in published.ACCURACY_LINE.items()}  # fmt: skip
    inputs["accuracy"].write_text(json.dumps(line | {"r2": 0.98, "source": "printed elsewhere"}))
    _, text, _, table = draw("accuracy", tmp_path, inputs)
    runs = tables.read(inputs["runs"], tables.RUNS).set_index("run")
    shown = table[table["kind"] == "points"]
    assert sorted(shown["label"]) == sorted(runs.index)
    assert shown["series"].str.endswith(", from loss").all()
    computed = 1.2574949163 - 0.7495829295 * runs.loc[shown["label"], "adv_loss"]
    assert (computed > 0).any()
    np.testing.assert_allclose(shown["y"], np.clip(computed, 0, 1))
    assert "accuracy from loss" in text
    assert "Line from loss to accuracy: printed elsewhere." in text
    assert "accuracy from loss" not in ordinary[1]


def test_a_run_of_which_only_autoattack_is_known_has_its_star(tmp_path):
    inputs = without_accuracies(tmp_path / "in", determined=False)
    runs = tables.read(inputs["runs"], tables.RUNS)
    best = runs["flops"].idxmax()
    runs.loc[best, ["adv_loss", "autoattack_acc"]] = None, 0.737
    tables.write(inputs["runs"], runs, tables.RUNS)
    _, text, _, table = draw("accuracy", tmp_path, inputs)
    shown = table[table["kind"] == "points"]
    assert list(shown["label"]) == [runs["run"][best]]
    assert (shown["x"].item(), shown["y"].item()) == (pytest.approx(runs["flops"][best]), 0.737)
    assert "under AutoAttack" in text


def test_without_accuracies_and_without_a_line_there_is_nothing(tmp_path):
    inputs = without_accuracies(tmp_path / "in", determined=False)
    assert "no run has an adversarial accuracy, and no line" in draw("accuracy", tmp_path, inputs)[1]
    assert "no run has both a loss and an accuracy" in draw("accuracy_from_loss", tmp_path, inputs)[1]


def test_a_line_of_others_is_drawn_over_the_losses_of_the_runs(tmp_path, study):
    inputs = without_accuracies(tmp_path / "in")
    _, text, _, table = draw("accuracy_from_loss", tmp_path, inputs)
    assert "None of the runs that a line is fitted to has an accuracy." in text
    losses = tables.read(inputs["runs"], tables.RUNS)["adv_loss"]
    line = of(table, "line", "line")
    assert line["x"].min() < losses.min() < losses.max() < line["x"].max()
    assert "points" not in set(table["kind"])


def test_without_a_line_the_runs_stand_alone(tmp_path):
    _, text, _, table = draw("accuracy", tmp_path, build(tmp_path / "in", determined=False))
    assert "the line from loss to accuracy is not determined: all runs have nearly the same loss" in text
    assert set(table["kind"]) == {"points", "level"}


def test_no_curve_is_drawn_at_an_unknown_optimum(tmp_path, study):
    laws = [path for path in changed(study, tmp_path, "additive", undetermined) if path.stem == "additive"]
    _, text, _, table = draw("accuracy", tmp_path, study | {"laws": laws})
    assert "Curves not drawn: N* not determined on edm-18, edm-5 and edm-3: one size only." in text
    assert "line" not in set(table["kind"])


def test_another_law_is_drawn_where_the_first_is_not_determined(tmp_path, study):
    laws = changed(study, tmp_path, "additive", undetermined)
    _, text, _, table = draw("accuracy", tmp_path, study | {"laws": laws})
    assert "Approach 2: Curves not drawn: N* not determined on edm-18, edm-5 and edm-3: one size only." in text
    assert "best for the budget (Approach 3)" in text
    given = tables.read(study["allocations"][2], tables.ALLOCATIONS)
    np.testing.assert_allclose(
        of(table, "line", "edm-5")["y"], np.clip(1.1 - 0.5 * given[given["dataset"] == "edm-5"]["loss"], 0, 1)
    )


def test_accuracy_from_loss_draws_the_interval_of_refits(tmp_path, study):
    _, text, _, table = draw("accuracy_from_loss", tmp_path, study)
    runs = tables.read(study["runs"], tables.RUNS)
    pure = runs[runs["real_fraction"] == 0].set_index("run")
    left_out = table["series"].str.startswith("left out")
    assert list(table[left_out]["label"]) == ["wrn-10-1/half-real/60000/0"]
    shown = table[(table["kind"] == "points") & ~left_out]
    assert sorted(shown["label"]) == sorted(pure.index)
    np.testing.assert_allclose(shown["x"], pure.loc[shown["label"], "adv_loss"])
    np.testing.assert_allclose(shown["y"], pure.loc[shown["label"], "adv_acc"])
    line, band = of(table, "line", "line"), of(table, "band", "line")
    np.testing.assert_allclose(line["y"], np.clip(1.1 - 0.5 * line["x"], 0, 1))
    refits = tables.read(study["accuracy_refits"], tables.REFITS)
    by = refits[refits["refit"] > 0].pivot(index="refit", columns="parameter", values="value")
    every = np.clip(by["intercept"].to_numpy()[:, None] + by["slope"].to_numpy()[:, None] * band["x"].to_numpy(), 0, 1)
    assert ((every >= band["low"].to_numpy() - 1e-12) & (every <= band["high"].to_numpy() + 1e-12)).mean() >= 0.9
    assert (every.min(axis=0) < band["low"]).any()
    for there in ("accuracy = 1.100 - 0.5000 L", "R² = 0.980", f"{len(pure)} runs", "90% interval"):
        assert there in text


def test_a_line_that_is_not_determined_is_not_drawn(tmp_path):
    _, text, _, table = draw("accuracy_from_loss", tmp_path, build(tmp_path / "in", determined=False))
    assert "Line not determined: all runs have nearly the same loss." in text
    assert "0.5000" not in text
    assert set(table["kind"]) == {"points"}
