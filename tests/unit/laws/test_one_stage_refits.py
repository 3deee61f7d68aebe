"""What a law hands on beside its summary: all refits, and predictions of datasets that a fit has not seen."""

import numpy as np
import pandas as pd
import pytest

from robustlaws.intervals import percentile_interval
from robustlaws.laws import additive, bootstrap_table, bottleneck, determination, fit_jobs, published
from robustlaws.laws import form as parametric
from robustlaws.storage import tables
from tests.support.law_studies import FORMS, NO_CURVES, TRUTHS, runs_on, settings, study

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module", params=FORMS)
def noisy(request):
    form, truth = FORMS[request.param], TRUTHS[request.param]
    runs = study(form, truth, noise=0.003)
    return form, runs, form.fit(runs, NO_CURVES, settings(refits=30))


def test_the_first_row_of_the_refits_is_the_fit(noisy):
    form, _, fitted = noisy
    assert sorted(fitted.refits["refit"].unique()) == list(range(31))
    logs = parametric.samples(form.FORM, fitted.refits)
    named = form.FORM.named(logs)
    assert {name: len(values) for name, values in named.items()} == dict.fromkeys(form.NAMES, 31)
    for name, entry in fitted.summary["parameters"].items():
        assert named[name][0] == pytest.approx(entry["value"], rel=1e-12), name
        low, high = percentile_interval(named[name][1:], 0.9)
        assert min(low, entry["value"]) == pytest.approx(entry["low"], rel=1e-12), name
        assert max(high, entry["value"]) == pytest.approx(entry["high"], rel=1e-12), name


def test_refits_from_the_table_give_the_tables_again(noisy, tmp_path):
    """Whoever has the refits can compute any number of the law, and its interval."""
    form, _, fitted = noisy
    tables.write(tmp_path / "refits.parquet", fitted.refits, tables.REFITS)
    logs = parametric.samples(form.FORM, tables.read(tmp_path / "refits.parquet", tables.REFITS))
    first = {name: values[0] for name, values in logs.items()}
    seen = fitted.predictions
    predicted = form.FORM.loss(first, np.log(seen["params"]), np.log(seen["images"]), seen["fid"])
    assert np.allclose(predicted, seen["predicted"], rtol=1e-12)

    wide = {name: values[:, None] for name, values in logs.items()}
    rows = fitted.allocations[fitted.allocations["dataset"].isna()]
    budget = np.log(rows["flops"].to_numpy() / fitted.summary["flops_per_parameter_image"])
    params, images = form.FORM.optimum(wide, budget, 0.0)
    loss = form.FORM.loss(wide, params, images, 0.0)
    for name, result in (("params", np.exp(params)), ("images", np.exp(images)), ("loss", loss)):
        assert np.allclose(result[0], rows[name], rtol=1e-9)
        low, high = percentile_interval(result[1:], 0.9)
        assert np.allclose(np.minimum(low, result[0]), rows[f"{name}_low"], rtol=1e-9)
        assert np.allclose(np.maximum(high, result[0]), rows[f"{name}_high"], rtol=1e-9)


def test_a_law_of_one_fid_keeps_what_it_held():
    """Q = 0 there, so log Q does not exist; the table says so and the law is the same."""
    fitted = bottleneck.fit(study(bottleneck, published.BOTTLENECK, fids=(1.65,)), NO_CURVES, settings(refits=5))
    assert fitted.refits.loc[fitted.refits["parameter"] == "log Q", "value"].isna().all()
    logs = parametric.samples(bottleneck.FORM, fitted.refits)
    assert np.isneginf(logs["Q"]).all()
    seen = fitted.predictions
    predicted = bottleneck.FORM.loss(
        {name: values[0] for name, values in logs.items()}, np.log(seen["params"]), np.log(seen["images"]), seen["fid"]
    )
    assert np.allclose(predicted, seen["predicted"], rtol=1e-12)
    assert np.allclose(predicted, seen["loss"], rtol=1e-3)


def test_held_out_predictions_equal_a_fit_without_the_dataset(noisy):
    form, runs, fitted = noisy
    assert set(fitted.held_out["dataset"]) == set(runs["dataset"])
    for dataset in ("d6.79", "d14.26"):
        alone = form.fit(runs[runs["dataset"] != dataset], NO_CURVES, settings(refits=0))
        mine = fitted.held_out[fitted.held_out["dataset"] == dataset]
        unseen = runs.set_index("run").loc[mine["run"]]
        columns = (unseen[name].to_numpy(dtype=float) for name in ("params", "images", "fid"))
        by_hand = form.loss(determination.values(alone.summary["parameters"]), *columns)
        assert np.allclose(mine["predicted"], by_hand, rtol=1e-6)
        assert np.allclose(mine["loss"], unseen["adv_loss"])
        residual = ((mine["loss"] - by_hand) ** 2).sum() / ((mine["loss"] - mine["loss"].mean()) ** 2).sum()
        options = fitted.summary["held_out"][dataset]
        assert options["r2"] == pytest.approx(1 - residual, abs=1e-6)
        assert options["n"] == len(mine) == 40
        assert options["median_error"] == pytest.approx(np.median(np.abs(by_hand / mine["loss"] - 1)), rel=1e-4)


def test_two_datasets_leave_none_to_hold_out():
    fitted = additive.fit(study(additive, published.ADDITIVE, fids=(1.65, 6.79)), NO_CURVES, settings(refits=2))
    assert fitted.held_out.empty
    assert fitted.summary["held_out"] == {}


def test_tables_of_several_laws_stay_apart():
    item = bootstrap_table.rows("one", {"a": np.array([1.0, 2.0])})
    other = bootstrap_table.rows("other", {"a": np.array([3.0, np.inf])}, "d1")
    table = tables.table(pd.concat([item, other], ignore_index=True), tables.REFITS)
    assert bootstrap_table.samples(table, "one")["a"].tolist() == [1.0, 2.0]
    assert bootstrap_table.samples(table, "other") == {}
    result = bootstrap_table.samples(table, "other", "d1")["a"]
    assert result[0] == 3.0
    assert np.isnan(result[1])


def test_what_is_on_disk_is_what_was_fitted(tmp_path):
    runs = study(additive, published.ADDITIVE, noise=0.003)
    tables.write(tmp_path / "runs.parquet", runs, tables.RUNS)
    tables.write(tmp_path / "curves.parquet", [], tables.CURVES)
    names = ("allocations", "predictions", "refits", "held_out")
    paths = {f"{name}_path": tmp_path / f"{name}.parquet" for name in names}
    options = settings(law="additive", refits=5)
    fit_jobs.fit_law(
        runs_path=tmp_path / "runs.parquet",
        curves_path=tmp_path / "curves.parquet",
        law_path=tmp_path / "law.json",
        settings=options,
        **paths,
    )
    fitted = additive.fit(runs, NO_CURVES, options)
    columns = tables.ALLOCATIONS, tables.PREDICTIONS, tables.REFITS, tables.PREDICTIONS
    for name, kind in zip(names, columns, strict=True):
        assert tables.read(tmp_path / f"{name}.parquet", kind).equals(getattr(fitted, name)), name


def test_the_accuracy_line_hands_on_its_refits(tmp_path):
    tables.write(tmp_path / "runs.parquet", runs_on(published.ACCURACY_LINE, noise=0.005), tables.RUNS)
    fit_jobs.fit_accuracy(
        runs_path=tmp_path / "runs.parquet",
        accuracy_path=tmp_path / "line.json",
        refits_path=tmp_path / "refits.parquet",
        settings=settings(refits=50),
    )
    line = tables.read(tmp_path / "refits.parquet", tables.REFITS)
    result = bootstrap_table.samples(line, "accuracy")
    assert {name: len(values) for name, values in result.items()} == {"intercept": 51, "slope": 51}
    assert result["slope"][0] == pytest.approx(published.ACCURACY_LINE["slope"], rel=0.05)
    assert result["slope"][1:].std() > 0
