"""Whole fits of approaches 2 and 3: what comes out of a study's tables, and what is not claimed."""

import json

import numpy as np
import pandas as pd
import pytest

from robustlaws.laws import additive, bottleneck, determination, published
from robustlaws.storage import tables
from tests.support.law_studies import (
    FORMS,
    NO_CURVES,
    PAPER_PARAMS,
    TRUTHS,
    entries,
    settings,
    study,
)

TINY = {"params": (77850, 175066, 303706), "sizes": (512, 1024, 2048, 4096), "fids": (1.0, 5.0, 40.0)}
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module", params=FORMS)
def exact(request):
    form, truth = FORMS[request.param], TRUTHS[request.param]
    runs = study(form, truth)
    return form, truth, runs, form.fit(runs, NO_CURVES, settings())


def test_a_fit_recovers_the_law_that_made_the_data(exact):
    _, truth, _, fitted = exact
    result = determination.values(fitted.summary["parameters"])
    assert result.keys() == truth.keys()
    for name, value in truth.items():
        assert result[name] == pytest.approx(value, rel=1e-6), name
    assert all(entry["determined"] for _, entry in entries(fitted.summary)), fitted.summary
    assert fitted.summary["fit"]["converged"]
    assert fitted.summary["r2"] == pytest.approx(1.0, abs=1e-9)
    assert fitted.summary["n_runs"] == 160
    assert fitted.summary["flops_per_parameter_image"] == pytest.approx(8000.0)


def test_the_tables_are_the_law_at_its_own_parameters(exact):
    form, truth, runs, fitted = exact
    predicted = fitted.predictions.set_index("run").loc[runs["run"]]
    expected = form.loss(truth, runs["params"].to_numpy(), runs["images"].to_numpy(), runs["fid"].to_numpy())
    assert np.allclose(predicted["predicted"], expected, rtol=1e-9)
    assert np.allclose(predicted["loss"], runs["adv_loss"])

    table = fitted.allocations
    assert np.allclose(table["params"] * table["images"] * 8000, table["flops"], rtol=1e-9)
    params, images = form.optimum(truth, table["flops"].to_numpy(), table["fid"].to_numpy(), 8000.0)
    assert np.allclose(table["params"], params, rtol=1e-4)
    assert np.allclose(table["images"], images, rtol=1e-4)
    loss = form.loss(truth, table["params"].to_numpy(), table["images"].to_numpy(), table["fid"].to_numpy())
    assert np.allclose(table["loss"], loss, rtol=1e-6)
    for name in ("params", "images", "loss"):
        assert (table[f"{name}_low"] <= table[name]).all()
        assert (table[f"{name}_high"] >= table[name]).all()
    # four datasets and FID 0, seven budgets each, from the cheapest run to 100 times the dearest
    assert table["dataset"].isna().sum() == 7
    assert (table.loc[table["dataset"].isna(), "fid"] == 0).all()
    assert len(table) == 35
    assert table["flops"].min() == pytest.approx(runs["flops"].min())
    assert table["flops"].max() == pytest.approx(100 * runs["flops"].max())
    within = table["flops"] <= runs["flops"].max() * (1 + 1e-9)
    assert (table["measured"] == within).all()


def test_per_dataset_numbers_are_the_law_at_that_fid(exact):
    form, truth, runs, fitted = exact
    middle = np.sqrt(runs["flops"].min() * runs["flops"].max())
    for dataset in fitted.summary["datasets"]:
        fid = dataset["fid"]
        assert dataset["asymptote"]["value"] == pytest.approx(float(form.asymptote(truth, fid)), rel=1e-6)
        wanted = form.exponents(truth) if form is additive else form.exponents(truth, middle, fid, 8000.0)
        results = [dataset["exponents"][name]["value"] for name in ("N_star", "D_star")]
        assert np.allclose(results, wanted, rtol=1e-5)
        far = form.loss(truth, 1e60, 1e60, fid)
        assert dataset["asymptote"]["value"] == pytest.approx(float(far), rel=1e-5)


def test_the_summary_is_json_and_its_tables_are_valid(exact):
    _, _, _, fitted = exact
    text = json.dumps(fitted.summary, allow_nan=False)
    assert json.loads(text) == fitted.summary
    pd.testing.assert_frame_equal(tables.table(fitted.allocations, tables.ALLOCATIONS), fitted.allocations)
    pd.testing.assert_frame_equal(tables.table(fitted.predictions, tables.PREDICTIONS), fitted.predictions)
    for name, entry in entries(fitted.summary):
        assert entry.keys() == {"value", "low", "high", "determined", "why"}, name


@pytest.mark.parametrize("name", FORMS)
def test_intervals_of_a_good_study_hold_the_truth(name):
    """0.2% noise on the paper's grid: the exponents are determined, and nearly all intervals hold the truth."""
    form, truth = FORMS[name], TRUTHS[name]
    summary = form.fit(study(form, truth, noise=0.002), NO_CURVES, settings(refits=40)).summary
    kept = [entry["low"] <= truth[key] <= entry["high"] for key, entry in summary["parameters"].items()]
    assert sum(kept) >= len(kept) - 2
    exponent = summary["datasets"][0]["exponents"]["N_star"]
    assert exponent["determined"], exponent
    assert 0.01 < exponent["high"] - exponent["low"] < 0.4
    assert exponent["low"] <= float(form.exponents(truth, 1e20, 1.65, 8000.0)[0] if form is bottleneck else 0.4829)


@pytest.mark.parametrize("name", FORMS)
def test_a_tiny_noisy_study_claims_little(name):
    """36 runs within 4x of N and 8x of D, 3% noise: no exponent can be told."""
    runs = study(additive, published.ADDITIVE | {"B": 5.0}, **TINY, noise=0.03)
    summary = FORMS[name].fit(runs, NO_CURVES, settings(refits=20)).summary
    assert summary["warnings"][:2] == ["N spans only 3.9x", "D spans only 8x"]
    for dataset in summary["datasets"]:
        for entry in (*dataset["exponents"].values(), dataset["asymptote"]):
            assert not entry["determined"]
            assert entry["why"]
            assert entry["value"] is not None
    assert not summary["parameters"]["alpha"]["determined"]
    assert not summary["parameters"]["E"]["determined"]
    json.dumps(summary, allow_nan=False)


def test_refits_are_seeded():
    runs = study(additive, published.ADDITIVE, fids=(1.65,), noise=0.01)
    item, same, other = (additive.fit(runs, NO_CURVES, settings(refits=20, seed=seed)) for seed in (1, 1, 2))
    assert item.summary == same.summary
    pd.testing.assert_frame_equal(item.allocations, same.allocations)
    assert determination.values(item.summary["parameters"]) == determination.values(other.summary["parameters"])
    assert item.summary["parameters"]["alpha"]["low"] != other.summary["parameters"]["alpha"]["low"]


def test_noise_widens_intervals():
    def width(noise):
        runs = study(additive, published.ADDITIVE, fids=(1.65,), noise=noise)
        entry = additive.fit(runs, NO_CURVES, settings()).summary["parameters"]["beta"]
        return entry["high"] - entry["low"]

    assert width(0.004) > 2 * width(0.001)


@pytest.mark.parametrize("name", FORMS)
def test_one_dataset_says_nothing_about_fid(name):
    form, truth = FORMS[name], TRUTHS[name]
    fitted = form.fit(study(form, truth, fids=(1.65,)), NO_CURVES, settings())
    summary = fitted.summary
    of_fid = [key for key, entry in summary["parameters"].items() if not entry["determined"]]
    assert of_fid == (["B", "E", "eps", "zeta"] if form is additive else ["B", "E", "Q", "kappa", "eps"])
    assert {summary["parameters"][key]["why"] for key in of_fid} == {"only 1 distinct FID"}
    assert summary["parameters"]["eps"]["value"] == 0
    assert any("held, not fitted" in warning for warning in summary["warnings"])
    # what needs no FID is told all the same
    assert summary["parameters"]["alpha"]["determined"]
    dataset = summary["datasets"][0]
    assert dataset["exponents"]["N_star"]["determined"]
    assert dataset["asymptote"]["determined"]
    if form is additive:
        assert dataset["asymptote"]["value"] == pytest.approx(float(additive.asymptote(truth, 1.65)), rel=1e-6)
        values = determination.values(dataset["parameters"])
        assert values["B'"] == pytest.approx(published.ADDITIVE_AT_BASE["B"], rel=1e-6)
    assert fitted.allocations["dataset"].eq("d1.65").all()


@pytest.mark.parametrize("name", FORMS)
def test_two_fids_do_not_tell_a_power_of_fid(name):
    form, truth = FORMS[name], TRUTHS[name]
    summary = form.fit(study(form, truth, fids=(1.65, 6.79)), NO_CURVES, settings(refits=20)).summary
    assert summary["parameters"]["eps"]["why"] == "only 2 distinct FID"
    assert not summary["parameters"]["E"]["determined"]
    assert summary["parameters"]["alpha"]["determined"]
    assert summary["datasets"][0]["exponents"]["N_star"]["determined"]


@pytest.mark.parametrize("name", FORMS)
def test_two_model_sizes_give_no_allocation(name):
    form, truth = FORMS[name], TRUTHS[name]
    fitted = form.fit(study(form, truth, params=PAPER_PARAMS[2:4]), NO_CURVES, settings(refits=20))
    assert fitted.summary["parameters"]["alpha"]["why"] == "only 2 distinct N"
    assert not fitted.summary["datasets"][0]["exponents"]["N_star"]["determined"]
    assert not fitted.summary["datasets"][0]["asymptote"]["determined"]
    assert fitted.summary["parameters"]["beta"]["determined"]
    assert fitted.allocations.empty
    assert len(fitted.predictions) == 40
    assert any("no allocation" in warning for warning in fitted.summary["warnings"])


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ({"params": (77850,), "sizes": tuple(range(500, 5000, 500)), "fids": (1.0,)}, "only 1 distinct N"),
        ({"params": tuple(10**5 * 2**i for i in range(8)), "sizes": (512,), "fids": (1.0,)}, "only 1 distinct D"),
        ({"params": (77850,), "sizes": (512,), "fids": (1.0,)}, "1 run for 5 parameters"),
        ({"params": (77850, 175066), "sizes": (512, 4096), "fids": (1.0,)}, "4 runs for 5 parameters"),
    ],
)
def test_a_study_too_small_for_a_fit_still_gets_its_law(name, shape, why):
    fitted = FORMS[name].fit(study(additive, published.ADDITIVE, **shape), NO_CURVES, settings())
    assert f"nothing fitted: {why}" in fitted.summary["warnings"]
    for _, entry in entries(fitted.summary):
        assert entry == {"value": None, "low": None, "high": None, "determined": False, "why": why}
    assert fitted.allocations.empty
    assert fitted.predictions.empty
    assert list(fitted.allocations) == list(tables.ALLOCATIONS)
    json.dumps(fitted.summary, allow_nan=False)


@pytest.mark.parametrize("name", FORMS)
def test_no_runs_are_refused_and_no_comparable_runs_are_not(name):
    runs = study(FORMS[name], TRUTHS[name])
    with pytest.raises(ValueError, match="needs finished runs"):
        FORMS[name].fit(runs.iloc[:0], NO_CURVES, settings())
    summary = FORMS[name].fit(runs.assign(real_fraction=0.2), NO_CURVES, settings()).summary
    assert summary["n_runs"] == 0
    assert summary["n_runs_left_out"] == {"mixes real images in": 160}
    with pytest.raises(ValueError, match="unknown 'many'; known: grid, small"):
        FORMS[name].fit(runs, NO_CURVES, settings(starts="many"))
    with pytest.raises(ValueError, match="unknown 'last'; known: best, final"):
        FORMS[name].fit(runs, NO_CURVES, settings(observations="last"))


def test_without_refits_nothing_is_determined():
    summary = additive.fit(study(additive, published.ADDITIVE), NO_CURVES, settings(refits=0)).summary
    assert {entry["why"] for _, entry in entries(summary)} == {"no refits"}
    assert summary["parameters"]["alpha"]["value"] == pytest.approx(published.ADDITIVE["alpha"], rel=1e-6)


@pytest.mark.parametrize(
    ("judge", "low", "high", "verdict"),
    [
        (determination.positive, 1.0, 9.9, ""),
        (determination.positive, 0.1, 40.0, "spans a factor 400"),
        (determination.positive, 0.0, 1.0, "includes 0"),
        (determination.exponent, 0.2, 0.4, ""),
        (determination.exponent, 0.3, 0.9, "0.6 wide"),
        (determination.exponent, 0.02, 0.4, "spans a factor 20"),
        (determination.signed, -0.2, 0.2, ""),
        (determination.signed, -0.4, 0.2, "0.6 wide"),
        (determination.decline, -0.5, -0.1, ""),
        (determination.decline, -0.5, 0.1, "includes 0"),
        (determination.allocation, 0.4, 0.6, ""),
        (determination.allocation, 0.6, 1.0, "not within (0, 1)"),
        (determination.allocation, -0.1, 0.3, "not within (0, 1)"),
        (determination.allocation, 0.2, 0.8, "0.6 wide"),
        (determination.loss_above_zero(0.8), 0.4, 0.6, ""),
        (determination.loss_above_zero(0.8), 0.001, 0.1, "includes 0"),
        (determination.loss_above_zero(0.8), 0.2, 0.7, "0.5 wide where the lowest loss is 0.8"),
    ],
)
def test_rules_for_what_is_determined(judge, low, high, verdict):
    assert judge(low, high) == verdict


def test_an_entry_by_hand():
    samples = np.arange(101) / 100 + 1
    entry = determination.entry(1.2, samples, 0.9, determination.positive)
    assert entry == {"value": 1.2, "low": 1.05, "high": 1.95, "determined": True, "why": ""}
    # the interval holds the value even where the percentiles do not
    assert determination.entry(1.0, samples, 0.9, determination.positive)["low"] == 1.0
    wide = determination.entry(1.0, samples**6 - 0.95, 0.9, determination.positive)
    assert wide["why"].startswith("90% interval 0.39 to 54: spans a factor 1")
    assert determination.entry(1.2, np.where(samples < 1.2, np.nan, samples), 0.9, determination.positive)["why"] == (
        "20 of 101 refits give no number"
    )
    assert determination.entry(np.nan, samples, 0.9, determination.positive)["value"] is None
    named = determination.entry(1.2, samples, 0.9, determination.positive, without={"edm-3": 1.5, "edm-5": 3.0})
    assert not named["determined"]
    assert named["why"] == "without edm-5 it is 3"
    infinite = determination.entry(1.2, np.where(samples > 1.5, np.inf, samples), 0.9, determination.positive)
    assert infinite["high"] is None
    assert not infinite["determined"]
    json.dumps(infinite, allow_nan=False)


@pytest.mark.parametrize(
    ("values", "count"), [([], 0), ([1.0], 1), ([100, 102, 104], 1), ([5e6, 1e7, 1.01e7], 2), ([0.0, 0.0, 1.65], 2)]
)
def test_levels(values, count):
    assert determination.levels(np.array(values)) == count
