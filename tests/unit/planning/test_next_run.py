"""The next run worth doing: against linear-Gaussian algebra, and against fits with the new run among the others."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from robustlaws.intervals import percentile_interval
from robustlaws.laws import additive, published
from robustlaws.laws.fit import multistart
from robustlaws.planning import next_run
from robustlaws.storage import tables
from tests.support.law_forecasts import FIDS, forecast
from tests.support.law_studies import NO_CURVES, PAPER_PARAMS, settings, study
from tests.support.next_runs import plan, spread

pytestmark = pytest.mark.filterwarnings("error")


def gaussian(correlations, count, seed=0):
    """A number and the outcomes of runs, standard normal with these correlations with it."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(count)
    r = np.asarray(correlations)
    return values, r * values[:, None] + np.sqrt(1 - r**2) * rng.standard_normal((count, len(r)))


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("level", [0.9, 0.68])
def test_the_expected_width_is_that_of_linear_gaussian_algebra(noise, level):
    correlations = np.array([0.0, 0.3, 0.6, 0.9, -0.9, 1.0])
    results = []
    for seed in range(4):
        values, outcomes = gaussian(correlations, 2000, seed)
        before, after, effective, rough = next_run.expected_widths(values, outcomes, noise, level, seed)
        results.append(after / before)
        assert not rough.any()
        # of N draws, those left by a normal outcome: between N s / sqrt(2 + s^2) ... and N
        assert ((effective > 2000 * noise / (1 + noise) * 0.5) & (effective <= 2000)).all()
    # the posterior variance of the number, given the outcome with its noise
    expected = np.sqrt(1 - correlations**2 / (1 + noise**2))
    assert np.mean(results, axis=0) == pytest.approx(expected, abs=0.02)


def test_the_width_itself_is_that_of_the_normal():
    values, outcomes = gaussian([0.5], 4000)
    before = next_run.expected_widths(values, outcomes, 1.0, 0.9, 0)[0]
    assert before == pytest.approx(2 * 1.645 * values.std(), rel=0.03)


def test_outcome_of_few_refits_is_rough_and_wide_enough():
    values, outcomes = gaussian([0.95], 120)
    _, after, effective, rough = next_run.expected_widths(values, outcomes, 0.002, 0.9, 0)
    assert rough[0]
    assert effective[0] >= 25
    before, clear, *_ = next_run.expected_widths(values, outcomes, 1.0, 0.9, 0)
    # the sharp outcome says more than the blurred one, but no more than perfect knowledge of it would
    assert np.sqrt(1 - 0.95**2) * before * 0.8 < after[0] < clear[0]


def test_refits_without_an_outcome_have_no_say():
    values, outcomes = gaussian([0.8, 0.8], 1000)
    outcomes[::7, 1] = np.nan
    before, after, effective, _ = next_run.expected_widths(values, outcomes, 0.5, 0.9, 0)
    assert np.isfinite(after).all()
    assert effective[1] < effective[0]
    assert after[1] / before == pytest.approx(np.sqrt(1 - 0.64 / 1.25), abs=0.06)


def test_chance_is_told_from_information():
    values, outcomes = gaussian(np.zeros(80), 150, seed=3)
    before, after, *_ = next_run.expected_widths(values, outcomes, 1.0, 0.9, 0)
    floor = next_run._by_chance(values, outcomes, 1.0, 0.9, 0)
    # about one in twenty outcomes that say nothing looks better than that
    assert 0 < floor < 0.1
    assert np.mean(1 - after / before > floor) < 0.15


@pytest.mark.parametrize("noise", [0.001, 0.01])
def test_the_noise_is_that_of_the_runs(noise):
    results = []
    for seed in range(3):
        few = {"params": PAPER_PARAMS[::2], "fids": (1.65, 6.79, 35.0)}
        runs = study(additive, published.ADDITIVE, noise=noise, seed=seed, **few)
        fitted = additive.fit(runs, NO_CURVES, settings(refits=1))
        results.append(next_run.noise(fitted.predictions, 7))
    assert np.mean(results) == pytest.approx(noise, rel=0.25)
    exact = pd.DataFrame({"loss": [1.0, 2.0], "predicted": [1.0, 2.0]})
    assert next_run.noise(exact, 7) == 0.0


def exponents_of(sampled):
    return np.array([logs["beta"] / (logs["alpha"] + logs["beta"]) for logs in sampled])


def test_the_expectation_holds_when_the_run_is_really_done():
    """Many small studies of one law, fitted without and with the new run: its exponent narrows as expected."""
    truth, noise, rng = published.ADDITIVE, 0.003, np.random.default_rng(0)
    few = {"params": PAPER_PARAMS[:6:2], "sizes": (5_000_000, 10_000_000, 30_000_000), "fids": (1.65, 6.79, 35.0)}
    runs = study(additive, truth, **few)
    axes = [runs[column].to_numpy(dtype=float) for column in ("params", "images", "fid")]
    # far smaller than all models of the study, and beside them
    new = np.array([(1_000_000.0, 30_000_000.0, 1.65), (60_000_000.0, 30_000_000.0, 1.65)])

    def fitted(axes, loss):
        problem = additive.Problem(*axes, loss)
        start = problem.theta(additive.FORM.logs_of({name: [value] for name, value in truth.items()}))
        result = multistart.lowest(problem, start, np.ones((1, len(loss))), 1e-3)
        return {name: value[0] for name, value in problem.logs(result.theta).items()}

    without, with_it = [], [[], []]
    for _ in range(80):
        loss = runs["adv_loss"].to_numpy() * np.exp(noise * rng.standard_normal(len(runs)))
        without.append(fitted(axes, loss))
        for index, run in enumerate(new):
            outcome = float(additive.loss(truth, *run)) * np.exp(noise * rng.standard_normal())
            with_it[index].append(fitted([np.append(a, item) for a, item in zip(axes, run, strict=True)],
                                         np.append(loss, outcome)))  # fmt: skip
    logs = {name: np.array([[each[name]] for each in without]) for name in without[0]}
    values = exponents_of(without)
    predicted = np.log(additive.FORM.loss(logs, np.log(new[:, 0]), np.log(new[:, 1]), 1.65))
    before, after, *_ = next_run.expected_widths(values, predicted, noise, 0.9, 1)
    really = [exponents_of(sampled).std() / values.std() for sampled in with_it]
    assert really[0] < 0.75 < 0.9 < really[1]
    assert after / before == pytest.approx(really, abs=0.12)


# which runs there are


def test_only_runs_that_can_be_done_and_count_are_looked_at():
    item = forecast("additive", spread("additive"))
    rule = {"params_below": 1e8, "images_above": 1e7, "fid_below": 10.0}
    options = plan(
        runs=(
            *(f"wrn-{shape}/dg/{size}/1" for shape in ("28-4", "82-16") for size in (5_120_000, 10_240_000)),
            *("wrn-28-4@lr/dg/1024/1", "wrn-28-4/some-mixture/2048/1"),
        ),
        small_on_large=rule,
    )
    result = next_run.possible(item, 2e20, options)
    names = [f"{run.network.name}/{dataset}/{run.images}" for run, dataset, _ in result]
    assert len(set(names)) == len(names) > 50
    assert not {name.rsplit("/", 1)[0] for name in options.runs} & set(names)
    assert "wrn-28-4/edm/5120000" in names
    sizes = {run.images for run, _, _ in result}
    assert sizes == {5_120_000, *(10_240_000 * times for times in (1, 2, 4, 8))}
    assert {dataset for _, dataset, _ in result} == {"dg", "pfgmpp", "edm"}
    assert {run.network.name for run, _, _ in result} > {"wrn-28-4", "wrn-82-16", "wrn-34-4", "wrn-28-3", "wrn-28-8"}
    for run, _, _ in result:
        assert run.flops <= 2e20
        assert run.network.params >= 1e8 or run.images <= 1e7
    assert next_run.possible(item, 1e12, options) == []


def predictions(item, noise=0.003, seed=0):
    rng, rows = np.random.default_rng(seed), []
    for index in range(60):
        predicted = 0.8 + 0.002 * index
        row = {"law": item.name, "run": f"m/dg/{index}/1", "model": "m", "dataset": "dg", "fid": 1.65}
        row |= {"params": 1e8, "images": 1e7, "flops": 1e19, "predicted": predicted}
        rows.append(row | {"loss": predicted * np.exp(noise * rng.standard_normal())})
    return tables.table(rows, tables.PREDICTIONS)


@pytest.mark.parametrize("quantity", ["N_star", "params", "asymptote"])
def test_the_table_is_in_order_and_the_same_every_time(quantity):
    item = forecast("additive", spread("additive", 200))
    options = plan(quantity=quantity)
    result = next_run.worth_doing(item, predictions(item), 1.65, 2e20, options)
    assert 0 < len(result.runs) <= next_run.LISTED
    rates = [each.reduction / each.run.flops for each in result.runs]
    assert rates == sorted(rates, reverse=True)
    assert all(result.chance < each.reduction <= result.largest.reduction < 1 for each in result.runs)
    samples = next_run.QUANTITIES[quantity].samples(item, 2e20, 1.65)
    assert (result.low, result.high) == pytest.approx(percentile_interval(samples[1:], 0.9), rel=0.02)
    width = np.log(result.high / result.low) if result.by_factor else result.high - result.low
    assert result.before == pytest.approx(width, rel=0.05)  # ends between refits, not at them
    again = next_run.worth_doing(item, predictions(item), 1.65, 2e20, options)
    assert again == result


def test_what_cannot_be_said_is_said():
    item = forecast("additive", spread("additive", 200))
    few = forecast("additive", spread("additive", 30))
    exact = predictions(item, noise=0.0)
    asked = {
        "only 30 refits give the number": (few, predictions(item), plan()),
        "without any error": (item, exact, plan()),
        "no run that has not been done": (item, predictions(item), plan(flops=1.0)),
    }
    for why, (law_of, table, options) in asked.items():
        result = next_run.worth_doing(law_of, table, 1.65, options.flops, options)
        assert result.runs == []
        assert why in result.why
    with pytest.raises(ValueError, match=r"plan\.quantity: unknown 'speed'; known: .*N_star"):
        next_run.worth_doing(item, exact, 1.65, 2e20, plan(quantity="speed"))
    with pytest.raises(ValueError, match="parameter of additive: unknown 'kappa'"):
        next_run.worth_doing(item, exact, 1.65, 2e20, plan(quantity="kappa"))


@pytest.mark.parametrize(("quantity", "expected"), [("N_star", {"dg"}), ("zeta", {"pfgmpp"}), ("asymptote", {"dg"})])
def test_two_stage_law_learns_from_the_stage_of_a_parameter(quantity, expected):
    item = forecast("additive", spread("additive", 200))
    staged = replace(item, summary=item.summary | {"fit": {"base": "dg", "quality": ["pfgmpp"]}})
    options = plan(quantity=quantity)
    assert {dataset for _, dataset, _ in next_run.possible(staged, 2e20, options)} == expected
    assert {dataset for _, dataset, _ in next_run.possible(item, 2e20, options)} == set(FIDS)
