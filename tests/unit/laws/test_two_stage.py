"""Approach 2 in two stages: what each stage may change, what it is refitted with, and what it has never seen."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from robustlaws.laws import additive, determination, form, published, two_stage
from robustlaws.laws.fit import multistart
from robustlaws.laws.observations import observe
from robustlaws.storage import tables
from tests.support.law_studies import CHOSEN, NO_CURVES, PAPER_FIDS, PAPER_PARAMS, entries, settings, study

FIDS = (*PAPER_FIDS, 35.54)
pytestmark = pytest.mark.filterwarnings("error")


def two_stage_settings(**given):
    return settings(**({"law": "additive_two_stage", "two_stage": CHOSEN} | given))


def fit(runs, **given):
    return two_stage.fit(runs, NO_CURVES, two_stage_settings(**given))


def value_of(fitted, name):
    return fitted.summary["parameters"][name]["value"]


@pytest.fixture(scope="module")
def noisy():
    runs = study(additive, published.ADDITIVE, fids=FIDS, noise=0.004)
    return runs, fit(runs, refits=60)


def test_a_fit_recovers_the_law_that_made_the_data():
    fitted = fit(study(additive, published.ADDITIVE, fids=FIDS), refits=20)
    for name, value in published.ADDITIVE.items():
        assert value_of(fitted, name) == pytest.approx(value, rel=1e-6), name
    assert all(entry["determined"] for _, entry in entries(fitted.summary)), fitted.summary
    told_of = fitted.summary["fit"]
    assert told_of["converged"]
    assert [stage["starts_agreeing"] for stage in told_of["stages"]] == [108, 12]
    assert fitted.summary["title"] == "Approach 2 in two stages"
    json.dumps(fitted.summary, allow_nan=False)


def test_the_base_keeps_what_the_first_stage_gave_it(noisy):
    """The first stage is a fit to the base alone: no other run may change what is said of the base."""
    runs, fitted = noisy
    alone = additive.fit(runs[runs["dataset"] == "d1.65"], NO_CURVES, settings(refits=0))
    mine = fitted.predictions[fitted.predictions["dataset"] == "d1.65"].set_index("run")
    expected = alone.predictions.set_index("run")["predicted"]
    assert np.allclose(mine["predicted"], expected.loc[mine.index], rtol=1e-9)
    for name in ("A", "alpha", "beta"):
        assert value_of(fitted, name) == pytest.approx(value_of(alone, name), rel=1e-9)
    of_base = next(item for item in fitted.summary["datasets"] if item["dataset"] == "d1.65")
    assert of_base["parameters"]["B'"]["value"] == pytest.approx(
        alone.summary["datasets"][0]["parameters"]["B'"]["value"], rel=1e-9
    )


def test_the_second_stage_is_at_its_minimum_in_eps_and_zeta(noisy):
    runs, fitted = noisy
    later = runs[runs["dataset"].isin(CHOSEN["quality"])]
    at = determination.values(fitted.summary["parameters"])

    def total(eps, zeta):
        # B and E are those at FID 0: the base's must stay
        moved = at | {"eps": eps, "zeta": zeta}
        moved["B"] *= 2.65 ** (at["zeta"] - zeta)
        moved["E"] *= 2.65 ** (at["eps"] - eps)
        columns = (later[name].to_numpy(dtype=float) for name in ("params", "images", "fid"))
        residuals = np.abs(np.log(additive.loss(moved, *columns)) - np.log(later["adv_loss"]))
        return np.where(residuals < 1e-3, residuals**2 / 2, 1e-3 * (residuals - 5e-4)).sum()

    lowest = total(at["eps"], at["zeta"])
    assert fitted.summary["fit"]["stages"][1]["objective"] == pytest.approx(lowest, rel=1e-9)
    rng = np.random.default_rng(0)
    for eps, zeta in rng.normal((at["eps"], at["zeta"]), (1e-3, 3e-3), size=(100, 2)):
        assert total(eps, zeta) > lowest


def test_datasets_of_neither_stage_are_predicted_unseen(noisy):
    runs, fitted = noisy
    spoilt = runs.copy()
    unseen = ~spoilt["dataset"].isin(["d1.65", *CHOSEN["quality"]])
    spoilt.loc[unseen, "adv_loss"] *= 3.0
    again = fit(spoilt, refits=60)
    assert determination.values(again.summary["parameters"]) == determination.values(fitted.summary["parameters"])
    assert set(fitted.summary["held_out"]) == {"d14.26", "d35.54"}
    assert len(fitted.predictions) == len(runs)
    assert fitted.summary["n_runs"] == 120
    assert fitted.summary["n_runs_left_out"] == {"in neither stage: predicted, not fitted": 80}
    columns = (runs[unseen][name].to_numpy(dtype=float) for name in ("params", "images", "fid"))
    expected = additive.loss(determination.values(fitted.summary["parameters"]), *columns)
    rows = fitted.held_out.set_index("run")["predicted"].loc[runs[unseen]["run"]]
    assert np.allclose(rows, expected, rtol=1e-9)
    assert fitted.summary["held_out"]["d14.26"]["r2"] > 0.95
    # all datasets have an allocation, FID 0 too
    assert fitted.allocations["dataset"].nunique() == 5
    assert fitted.allocations["dataset"].isna().sum() == 7


def test_a_refit_fits_both_stages_to_the_runs_that_it_drew(noisy):
    runs, fitted = noisy
    everyone = observe(runs, NO_CURVES, two_stage_settings())
    rng = np.random.default_rng(two_stage.seeds.derive(1, "bootstrap", "additive_two_stage"))
    base = np.flatnonzero(everyone.dataset == "d1.65")
    later = np.flatnonzero(np.isin(everyone.dataset, CHOSEN["quality"]))
    drawn = multistart.draws(len(base), 60, rng).astype(int), multistart.draws(len(later), 60, rng).astype(int)
    logs = form.samples(two_stage.FORM, fitted.refits)
    for refit in (0, 7, 31):
        picked = np.concatenate([np.repeat(base, drawn[0][refit]), np.repeat(later, drawn[1][refit])])
        by_hand = two_stage.fit_observations(replace(everyone.of(picked), left_out={}), two_stage_settings(refits=0))
        for name, values in two_stage.FORM.named(logs).items():
            assert values[1 + refit] == pytest.approx(value_of(by_hand, name), rel=1e-4), name


def test_two_stage_intervals_cover_truth_and_exceed_one_stage(noisy):
    runs, fitted = noisy
    parameters = fitted.summary["parameters"]
    kept = [parameters[name]["low"] <= value <= parameters[name]["high"] for name, value in published.ADDITIVE.items()]
    assert sum(kept) >= 6
    item = additive.fit(runs, NO_CURVES, settings(refits=60)).summary["parameters"]
    for name in ("alpha", "beta"):  # told by a fifth of the runs
        widths = [entry["high"] - entry["low"] for entry in (parameters[name], item[name])]
        assert widths[0] > 1.3 * widths[1]


def test_without_a_choice_the_best_dataset_that_can_is_the_base():
    runs = study(additive, published.ADDITIVE, fids=FIDS)
    few = (runs["dataset"] == "d1.65") & (runs["size"] > 10_000_000)  # two sizes of D are left
    fitted = fit(runs[~few], two_stage=None, refits=5)
    told_of = fitted.summary["fit"]
    assert told_of["base"] == "d2.48"
    assert told_of["quality"] == ["d1.65", "d6.79", "d14.26", "d35.54"]
    assert told_of["chosen"].startswith("as no two_stage is set")
    assert fitted.held_out.empty
    assert value_of(fitted, "zeta") == pytest.approx(published.ADDITIVE["zeta"], rel=1e-6)
    assert fit(runs, refits=5).summary["fit"]["chosen"] == "by two_stage"


def test_one_dataset_has_no_second_stage():
    fitted = fit(study(additive, published.ADDITIVE, fids=(1.65,)), two_stage=None, refits=20)
    summary = fitted.summary
    assert len(summary["fit"]["stages"]) == 1
    assert summary["parameters"]["eps"]["why"] == "only 1 distinct FID"
    assert summary["parameters"]["alpha"]["determined"]
    assert summary["datasets"][0]["exponents"]["N_star"]["determined"]


def test_no_dataset_that_can_be_the_base_is_said():
    runs = study(additive, published.ADDITIVE, params=PAPER_PARAMS[:2], fids=FIDS)
    fitted = fit(runs, two_stage=None)
    why = "no dataset has 6 runs with 3 distinct N and D, as the first stage needs"
    assert {entry["why"] for _, entry in entries(fitted.summary)} == {why}
    assert fitted.allocations.empty
    small = fit(runs[runs["size"] > 30_000_000])
    assert small.summary["warnings"][0] == "nothing fitted: d1.65, the base: 4 runs for 5 parameters"


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"base": "DG", "quality": ["d6.79"]}, r"two_stage\.base: unknown 'DG'; known.*: d1\.65, d2\.48, d6\.79"),
        ({"base": "d1.65", "quality": ["d6.79", "edm"]}, r"two_stage\.quality: unknown 'edm'; known"),
        ({"base": "d1.65", "quality": ["d1.65"]}, r"two_stage\.quality: 'd1\.65' is the base; name other datasets"),
    ],
)
def test_datasets_that_are_not_there_are_refused(chosen, message):
    with pytest.raises(ValueError, match=message):
        fit(study(additive, published.ADDITIVE, fids=FIDS), two_stage=chosen)


def test_tables_are_valid_and_seeded(noisy):
    runs, fitted = noisy
    pd.testing.assert_frame_equal(tables.table(fitted.allocations, tables.ALLOCATIONS), fitted.allocations)
    pd.testing.assert_frame_equal(fit(runs, refits=60).refits, fitted.refits)
    assert not fit(runs, refits=60, seed=2).refits.equals(fitted.refits)
    assert set(fitted.refits["law"]) == set(fitted.predictions["law"]) == {"additive_two_stage"}
