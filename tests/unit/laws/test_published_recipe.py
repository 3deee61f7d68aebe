"""The published recipe: what the paper did, and how far it is from a converged fit."""

import itertools
import logging

import numpy as np
import pytest
from scipy import optimize

from robustlaws.laws import additive, bottleneck, published, two_stage
from robustlaws.laws.fit import published_recipe
from tests.support.law_studies import CHOSEN, FORMS, NO_CURVES, PAPER_PARAMS, TRUTHS, entries, settings, study

# SciPy takes some 10 ms a start
FEW = {"a": (1.0, 5.0), "b": (1.0, 5.0), "e": (-1.0, 0.0), "alpha": (0.1, 0.5), "beta": (0.1, 0.5)}
SMALL = {"params": PAPER_PARAMS[::2], "fids": (1.65, 2.48, 6.79)}
pytestmark = pytest.mark.filterwarnings("error")


def mean_huber(form, parameters, runs):
    columns = (runs[name].to_numpy(dtype=float) for name in ("params", "images", "fid"))
    residuals = np.abs(np.log(form.loss(parameters, *columns)) - np.log(runs["adv_loss"].to_numpy()))
    return np.where(residuals < 1e-3, residuals**2 / 2, 1e-3 * (residuals - 5e-4)).mean()


def values(fitted):
    return {name: entry["value"] for name, entry in fitted.summary["parameters"].items()}


@pytest.fixture(scope="module", autouse=True)
def few_starts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published, "ADDITIVE_STARTS", FEW)
        yield


@pytest.fixture(scope="module", params=FORMS)
def both(request, few_starts):
    """One noisy study fitted by both recipes."""
    form, truth = FORMS[request.param], TRUTHS[request.param]
    runs = study(form, truth, **SMALL, noise=0.004)
    starts = "grid" if form is additive else "small"
    fits = (
        form.fit(runs, NO_CURVES, settings(recipe=item, refits=10, starts=starts)) for item in published_recipe.RECIPES
    )
    return form, runs, *fits


def test_the_published_recipe_is_never_below_the_converged_one(both):
    form, runs, converged, printed = both
    for fitted in (converged, printed):
        options = fitted.summary["fit"]
        # both objectives are the sum, whatever was minimised
        assert options["objective"] == pytest.approx(len(runs) * mean_huber(form, values(fitted), runs), rel=1e-6)
        assert options["mean_objective"] == pytest.approx(options["objective"] / len(runs), rel=1e-12)
    ours, theirs = converged.summary["fit"], printed.summary["fit"]
    assert ours["objective"] <= theirs["objective"]
    assert (ours["recipe"], theirs["recipe"]) == ("converged", "published")
    assert ours["converged"]
    assert ours["gradient_norm"] < 1e-10
    assert not theirs["converged"]
    assert theirs["gradient_norm"] > 1e-5
    assert ours["starts"] == theirs["starts"]
    assert theirs["starts_agreeing"] < 0.2 * theirs["starts"]


def test_it_gives_no_intervals_and_says_so(both):
    _, _, _, printed = both
    assert {entry["why"] for _, entry in entries(printed.summary)} == {"the published recipe gives no intervals"}
    assert all(entry["low"] is None and entry["value"] is not None for _, entry in entries(printed.summary))
    assert printed.summary["interval"]["refits"] == 0
    assert printed.summary["held_out"] == {}
    assert printed.refits["refit"].eq(0).all()
    assert any(warning.startswith("the fit has not converged") for warning in printed.summary["warnings"])
    assert printed.allocations["loss"].notna().all()
    assert printed.allocations["loss_low"].isna().all()


def test_scipy_is_given_the_mean_at_each_start_and_nothing_else(monkeypatch):
    """Independent of the module: log-sum-exp by logaddexp, Huber by cases; no gradient, bound or tolerance."""
    runs = study(additive, published.ADDITIVE, fids=(1.65,), noise=0.004)
    n, d = np.log(runs["params"].to_numpy()), np.log(runs["images"].to_numpy())
    measured = np.log(runs["adv_loss"].to_numpy())

    def mean(point):
        a, b, e, alpha, beta = point
        predicted = np.logaddexp(np.logaddexp(a - alpha * n, b - beta * d), e)
        residuals = np.abs(predicted - measured)
        return np.where(residuals < 1e-3, residuals**2 / 2, 1e-3 * (residuals - 5e-4)).mean()

    starts, minimise = [], optimize.minimize

    def watched(function, start, **given):
        assert given == {"method": "L-BFGS-B"}
        starts.append(tuple(start))
        for point in (start, np.array([6.0, 7.5, -0.6, 0.24, 0.23])):
            assert function(point) == pytest.approx(mean(point), rel=1e-9)
        return minimise(function, start, **given)

    monkeypatch.setattr(published_recipe.optimize, "minimize", watched)
    fitted = additive.fit(runs, NO_CURVES, settings(recipe="published", starts="grid"))
    assert starts == list(itertools.product(*FEW.values()))
    assert fitted.summary["fit"]["starts"] == 32
    assert values(fitted)["eps"] == values(fitted)["zeta"] == 0


def test_the_bottleneck_stays_where_its_search_starts():
    """The paper's B is 7000.0, a start: in raw coordinates nothing moves it (spec/laws.md)."""
    runs = study(bottleneck, published.BOTTLENECK | {"B": 9000.0}, **SMALL, noise=0.0005)
    b = values(bottleneck.fit(runs, NO_CURVES, settings(recipe="published")))["B"]
    assert min(abs(b - start) for start in (70.0, 7000.0, 700000.0)) < 1.0
    assert values(bottleneck.fit(runs, NO_CURVES, settings(refits=0)))["B"] == pytest.approx(9000.0, rel=0.15)


@pytest.mark.parametrize("name", FORMS)
def test_one_fid_holds_what_no_run_tells(name):
    form = FORMS[name]
    runs = study(form, TRUTHS[name], params=PAPER_PARAMS[::2], fids=(1.65,))
    fitted = form.fit(runs, NO_CURVES, settings(recipe="published", starts="grid" if form is additive else "small"))
    result = values(fitted)
    assert result["eps"] == 0
    assert result["zeta" if form is additive else "Q"] == 0
    assert fitted.summary["r2"] > 0.9


def test_both_stages_of_two_follow_it():
    runs = study(additive, published.ADDITIVE, params=PAPER_PARAMS[::2], fids=(1.65, 2.48, 6.79, 14.26), noise=0.004)
    options = {"two_stage": CHOSEN, "starts": "grid", "refits": 5}
    fitted = two_stage.fit(runs, NO_CURVES, settings(recipe="published", **options))
    ours = two_stage.fit(runs, NO_CURVES, settings(**options))
    stages, converged = fitted.summary["fit"]["stages"], ours.summary["fit"]["stages"]
    assert [stage["recipe"] for stage in stages] == ["published", "published"]
    assert [stage["starts"] for stage in stages] == [32, 12]
    assert not fitted.summary["fit"]["converged"]
    assert stages[0]["objective"] >= converged[0]["objective"]
    later = runs[runs["dataset"].isin(CHOSEN["quality"])]
    expected = len(later) * mean_huber(additive, values(fitted), later)
    assert stages[1]["objective"] == pytest.approx(expected, rel=1e-6)
    assert set(fitted.summary["held_out"]) == {"d14.26"}
    unseen = fitted.held_out
    columns = (unseen[name].to_numpy() for name in ("params", "images", "fid"))
    assert np.allclose(unseen["predicted"], additive.loss(values(fitted), *columns), rtol=1e-9)


def test_a_long_search_says_how_far_it_is(caplog):
    runs = study(additive, published.ADDITIVE, params=PAPER_PARAMS[::2], fids=(1.65,))
    with caplog.at_level(logging.INFO, "robustlaws"):
        additive.fit(runs, NO_CURVES, settings(recipe="published", starts="grid"))
    assert "published recipe of additive: 1 of 32 starts (3 %)" in caplog.text
    assert "32 of 32 starts (100 %)" in caplog.text


def test_an_unknown_recipe_is_refused():
    runs = study(additive, published.ADDITIVE, fids=(1.65,))
    for fit in (additive.fit, bottleneck.fit, two_stage.fit):
        with pytest.raises(ValueError, match="laws recipe: unknown 'paper'; known: converged, published"):
            fit(runs, NO_CURVES, settings(recipe="paper"))


def test_a_search_that_ends_at_no_law_is_not_kept(monkeypatch):
    """The raw coordinates of approach 3 have no bounds: a start may end at a coefficient below 0."""
    runs = study(bottleneck, published.BOTTLENECK, params=PAPER_PARAMS[::2], fids=(1.65, 6.79, 14.26))

    class Ended:
        fun = 0.0

        def __init__(self, x):
            self.x = -abs(x)

    monkeypatch.setattr(published_recipe.optimize, "minimize", lambda function, start, method: Ended(start))
    with pytest.raises(ValueError, match="none of 96 leads to a law by the published recipe"):
        bottleneck.fit(runs, NO_CURVES, settings(recipe="published"))
