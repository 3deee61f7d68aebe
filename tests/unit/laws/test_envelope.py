"""Approach 1: the envelope's rules by hand, and known exponents back from synthetic curves."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from robustlaws.laws import additive, envelope
from robustlaws.storage import tables
from tests.support.law_studies import NO_CURVES, curves_of, settings, study

# E = 0: N*, D* and L* are exact powers of FLOPs
POWERS = {"A": 6.0, "B": 9.0, "E": 1e-300, "alpha": 0.3, "beta": 0.2, "eps": 0.0, "zeta": 0.0}
pytestmark = pytest.mark.filterwarnings("error")


def curve(params, flops, loss):
    flops = np.array(flops, dtype=float)
    return envelope.Curve(float(params), flops, flops / params, np.array(loss, dtype=float))


def test_known_exponents_come_back():
    """Dense model sizes whose loss depends on N and D alone: N* ~ F^(b/(a+b)), D* ~ F^(a/(a+b)), L* ~ F^(-ab/(a+b))."""
    k, flops = 8000.0, np.geomspace(1e14, 1e26, 1500)
    curves = []
    for params in np.geomspace(3e4, 3e9, 41):
        images = flops / (k * params)
        loss = additive.loss(POWERS, params, images, 0.0)
        curves.append(envelope.Curve(params, flops, images, loss))
    result = envelope.follow(envelope.sample(curves, np.geomspace(1e17, 1e23, 1000)))
    (_, of_loss), (at_params, of_params), (at_images, of_images) = envelope.lines(result)
    assert of_params == pytest.approx(0.2 / 0.5, abs=5e-3)
    assert of_images == pytest.approx(0.3 / 0.5, abs=5e-3)
    assert of_loss == pytest.approx(-0.06 / 0.5, abs=5e-4)
    params, images = additive.optimum(POWERS, 1e20, 0.0, k)
    assert 10 ** (at_params + 20 * of_params) == pytest.approx(float(params), rel=0.05)
    assert 10 ** (at_images + 20 * of_images) == pytest.approx(float(images), rel=0.05)


def test_the_winner_and_its_numbers_by_hand():
    # at F = 4 the small model has 2.0 and the large one 1.5 (halfway); at F = 2 only the small one is there
    small = curve(1, [1, 2, 6], [3.0, 2.5, 1.5])
    large = curve(2, [3, 5], [2.0, 1.0])
    sampled = envelope.sample([small, large], np.array([2.0, 3.0, 4.0, 5.0]))
    assert np.allclose(sampled.loss, [[2.5, 2.25, 2.0, 1.75], [np.inf, 2.0, 1.5, 1.0]])
    result = envelope.follow(sampled)
    # before F = 3 there is one model size: no contest
    assert result.flops.tolist() == [3.0, 4.0, 5.0]
    assert result.loss.tolist() == [2.0, 1.5, 1.0]
    assert result.params.tolist() == [2.0, 2.0, 2.0]
    assert result.images.tolist() == [1.5, 2.0, 2.5]


def test_a_curve_that_has_ended_may_win_but_does_not_count():
    ended = curve(1, [1, 2, 3], [2.0, 0.9, 1.0])
    running = curve(2, [1, 9], [3.0, 0.6])
    sampled = envelope.sample([ended, running], np.array([2.0, 4.0, 6.0, 7.5, 9.0]))
    # after its end the first keeps its best loss, 0.9; the second passes it at F = 8
    assert sampled.loss[0].tolist() == [0.9, 0.9, 0.9, 0.9, 0.9]
    result = envelope.follow(sampled)
    assert result.flops.tolist() == [2.0, 9.0]
    assert result.params.tolist() == [1.0, 2.0]


def test_the_envelope_only_falls():
    # the small model's loss rises before the large one passes below
    small = curve(1, [1, 2, 3, 4, 5], [2.0, 1.0, 1.4, 1.3, 1.2])
    large = curve(2, [1, 4, 5, 6], [3.0, 2.0, 0.9, 0.8])
    result = envelope.follow(envelope.sample([small, large], np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])))
    assert result.flops.tolist() == [1.0, 2.0, 5.0, 6.0]
    assert result.loss.tolist() == [2.0, 1.0, 0.9, 0.8]


def test_a_chosen_subset_is_as_if_the_others_were_not_there():
    curves = [curve(n, np.linspace(1, 9, 9) * n, 2 - 0.1 * n - np.linspace(0, 1, 9)) for n in (1, 2, 3)]
    flops = np.linspace(1, 20, 50)
    part = envelope.follow(envelope.sample(curves, flops), np.array([2, 0, 2]))
    alone = envelope.follow(envelope.sample([curves[0], curves[2]], flops))
    assert np.array_equal(part.flops, alone.flops)
    assert np.array_equal(part.loss, alone.loss)
    assert np.array_equal(part.params, alone.params)


@pytest.fixture(scope="module")
def traced():
    """Two datasets of 12 model sizes and their curves of 60 rows each, exact in N and D."""
    params = tuple(int(n) for n in np.geomspace(1e5, 3e7, 12))
    runs = study(additive, POWERS | {"zeta": 0.1}, params=params, sizes=(40_000_000,), fids=(1.0, 9.0))
    rows = []
    for run, count, images, fid in zip(runs["run"], runs["params"], runs["images"], runs["fid"], strict=True):
        for fraction in np.geomspace(1e-3, 1.0, 60):
            loss = additive.loss(POWERS | {"zeta": 0.1}, count, int(images * fraction), fid)
            rows.append((run, fraction, float(loss)))
    return runs, curves_of(runs, rows)


def test_a_study_gets_one_envelope_a_dataset(traced):
    fitted = envelope.fit(*traced, settings(min_train_fraction=0.0))
    summary = fitted.summary
    assert [item["dataset"] for item in summary["datasets"]] == ["d1", "d9"]
    assert summary["n_runs"] == 24
    for item in summary["datasets"]:
        exponents = item["exponents"]
        assert exponents["N_star"]["determined"], exponents
        assert exponents["N_star"]["value"] == pytest.approx(0.4, abs=0.06)
        assert exponents["N_star"]["value"] + exponents["D_star"]["value"] == pytest.approx(1.0, abs=1e-3)
        assert exponents["N_star"]["low"] <= exponents["N_star"]["value"] <= exponents["N_star"]["high"]
        assert item["parameters"]["exponent"]["value"] == pytest.approx(-0.12, abs=0.01)
        assert item["asymptote"] is None
    # D counts for less on worse data here (zeta 0.1), so the loss is higher at the same slope
    better, worse = (item["parameters"]["coefficient"]["value"] for item in summary["datasets"])
    assert worse > better
    assert summary["fit"] == {}
    assert summary["parameters"] == {}
    json.dumps(summary, allow_nan=False)

    table = fitted.allocations
    assert table.groupby("dataset").size().tolist() == [7, 7]
    first = table[table["dataset"] == "d1"]
    slope = np.polyfit(np.log(first["flops"]), np.log(first["params"]), 1)[0]
    assert slope == pytest.approx(summary["datasets"][0]["exponents"]["N_star"]["value"], rel=1e-9)
    line = summary["datasets"][0]["parameters"]
    expected = line["coefficient"]["value"] * first["flops"] ** line["exponent"]["value"]
    assert np.allclose(first["loss"], expected, rtol=1e-9)
    assert (table["params_low"] <= table["params"]).all()
    assert (table["params_high"] >= table["params"]).all()
    assert fitted.predictions.empty
    assert list(fitted.predictions) == list(tables.PREDICTIONS)


def test_refits_are_seeded(traced):
    item, same, other = (
        envelope.fit(*traced, settings(min_train_fraction=0.0, refits=20, seed=seed)).summary for seed in (1, 1, 2)
    )
    assert item == same
    entry, changed = (summary["datasets"][0]["exponents"]["N_star"] for summary in (item, other))
    assert entry["value"] == changed["value"]
    assert (entry["low"], entry["high"]) != (changed["low"], changed["high"])


def test_early_rows_are_left_out(traced):
    runs, curves = traced
    spoilt = curves.copy()
    spoilt.loc[spoilt["train_fraction"] < 0.1, "adv_loss"] = 1e-6
    kept = envelope.fit(runs, curves[curves["train_fraction"] >= 0.1], settings(min_train_fraction=0.1)).summary
    assert envelope.fit(runs, spoilt, settings(min_train_fraction=0.1)).summary == kept


def test_few_model_sizes_tell_no_exponent(traced):
    runs, curves = traced
    two = runs[runs["model"].isin(["m5", "m6"])]
    fitted = envelope.fit(two, curves, settings(min_train_fraction=0.0))
    for item in fitted.summary["datasets"]:
        assert item["exponents"]["N_star"]["why"] == "only 2 model sizes on the envelope"
        assert not item["exponents"]["D_star"]["determined"]
    assert fitted.allocations["params"].isna().all()
    assert fitted.allocations["loss"].notna().all()
    assert any("only 2 model sizes" in warning for warning in fitted.summary["warnings"])
    json.dumps(fitted.summary, allow_nan=False)


def test_one_run_and_no_curve_and_no_run(traced):
    runs, curves = traced
    alone = envelope.fit(runs.iloc[:1], curves, settings(min_train_fraction=0.0)).summary
    assert not alone["datasets"][0]["exponents"]["N_star"]["determined"]
    json.dumps(alone, allow_nan=False)

    last = curves[curves["train_fraction"] == 1.0]
    single = envelope.fit(runs, last, settings())
    for item in single.summary["datasets"]:
        assert item["exponents"]["N_star"]["value"] is None
        assert "no envelope" in item["exponents"]["N_star"]["why"]
    assert single.allocations.empty

    nothing = envelope.fit(runs, NO_CURVES, settings()).summary
    assert nothing["n_runs"] == 0
    assert nothing["n_runs_left_out"] == {"no curve row late enough in training": 24}
    assert nothing["datasets"] == []
    with pytest.raises(ValueError, match="needs finished runs"):
        envelope.fit(runs.iloc[:0], curves, settings())


def test_runs_that_mix_real_images_are_left_out(traced):
    runs, curves = traced
    mixed = runs.copy()
    mixed.loc[mixed["run"] == runs["run"][3], "real_fraction"] = 0.3
    summary = envelope.fit(mixed, curves, settings(min_train_fraction=0.0)).summary
    assert summary["n_runs_left_out"] == {"mixes real images in": 1}
    assert summary["n_runs"] == 23


def test_lines_need_a_span():
    empty = SimpleNamespace(flops=np.array([1.0, 2.0]), loss=np.ones(2), params=np.ones(2), images=np.ones(2))
    assert np.isnan(envelope.lines(empty)).all()
    flat = SimpleNamespace(flops=np.ones(4), loss=np.ones(4), params=np.ones(4), images=np.ones(4))
    assert np.isnan(envelope.lines(flat)).all()


@pytest.fixture(scope="module")
def grown():
    """Twelve models, each run once on every one of 24 sizes of D, exact in N and D."""
    params = tuple(int(n) for n in np.geomspace(1e5, 3e7, 12))
    sizes = tuple(int(d) for d in np.geomspace(4e4, 4e7, 24))
    return study(additive, POWERS, params=params, sizes=sizes, fids=(1.0, 9.0))


def test_the_ends_of_runs_are_followed_as_a_curve_would_be(grown):
    """Each model through its runs of growing D is as one long run that was looked at on the way."""
    long = grown[grown["size"] == grown["size"].max()].set_index(["model", "dataset"])
    rows = [
        (long.loc[(item.model, item.dataset), "run"], item.images / grown["size"].max(), item.adv_loss)
        for item in grown.itertuples()
    ]
    curves = curves_of(long.reset_index(), rows)
    options = {"min_train_fraction": 0.0, "refits": 0}
    ends = envelope.fit(grown, NO_CURVES, settings(points="runs", **options))
    traced = envelope.fit(long.reset_index(), curves, settings(**options))
    for item, other in zip(ends.summary["datasets"], traced.summary["datasets"], strict=True):
        for name in ("N_star", "D_star"):
            assert item["exponents"][name]["value"] == pytest.approx(other["exponents"][name]["value"], rel=1e-9)
    assert ends.summary["n_runs"] == len(grown)
    assert ends.summary["title"] == "Approach 1: envelope of runs of growing D"
    assert traced.summary["title"] == "Approach 1: envelope of training curves"
    assert (ends.summary["points"], traced.summary["points"]) == ("runs", "curves")


def test_known_exponents_come_back_from_the_ends_of_runs(grown):
    summary = envelope.fit(grown, NO_CURVES, settings(points="runs")).summary
    for item in summary["datasets"]:
        assert item["exponents"]["N_star"]["determined"], item
        assert item["exponents"]["N_star"]["value"] == pytest.approx(0.4, abs=0.06)
        assert item["parameters"]["exponent"]["value"] == pytest.approx(-0.12, abs=0.01)
        assert item["exponents"]["N_star"]["low"] < item["exponents"]["N_star"]["high"]
    json.dumps(summary, allow_nan=False)


def test_refits_to_the_ends_draw_runs_and_not_models(grown):
    mine = grown[grown["dataset"] == "d1"]
    fitted = envelope.fit(mine, NO_CURVES, settings(points="runs", refits=3))
    rng = np.random.default_rng(envelope.seeds.derive(1, "bootstrap", "envelope", "d1"))
    for refit, pick in enumerate(rng.integers(0, len(mine), size=(3, len(mine))), start=1):
        drawn = mine.iloc[np.unique(pick)]
        curves = [
            envelope.Curve(float(rows["params"].iloc[0]), *(rows[name].to_numpy(float) for name in envelope._ENDS))
            for _, rows in drawn.sort_values("flops").groupby("model")
        ]
        begin = np.sort(mine.groupby("model")["flops"].min())[1]
        flops = np.geomspace(begin, mine["flops"].max(), 1000)
        expected = envelope.lines(envelope.follow(envelope.sample(curves, flops)))
        result = fitted.refits[fitted.refits["refit"] == refit]["value"].to_numpy().reshape(3, 2)
        assert np.allclose(result, expected, rtol=1e-9)


def test_seeds_of_one_run_are_one_point(grown):
    """Two seeds that end at the same FLOPs count as their mean, not as the luckier one."""
    more = grown.assign(run=grown["run"] + "0", seed=2, adv_loss=grown["adv_loss"] * 1.02)
    less = grown.assign(adv_loss=grown["adv_loss"] * 0.98)
    exact, twice = (
        envelope.fit(item, NO_CURVES, settings(points="runs", refits=0)).summary["datasets"]
        for item in (grown, pd.concat([less, more], ignore_index=True))
    )
    for item, other in zip(exact, twice, strict=True):
        assert other["parameters"]["coefficient"]["value"] == pytest.approx(item["parameters"]["coefficient"]["value"])
        assert other["exponents"]["N_star"]["value"] == pytest.approx(item["exponents"]["N_star"]["value"])


def test_runs_without_a_loss_have_no_end(grown):
    unknown = grown.copy()
    unknown.loc[grown.index[:3], "adv_loss"] = np.nan
    unknown.loc[grown.index[3], "adv_loss"] = 0.0
    summary = envelope.fit(unknown, NO_CURVES, settings(points="runs", refits=0)).summary
    assert summary["n_runs_left_out"] == {"no loss measured": 3, "loss not above 0": 1}
    assert summary["n_runs"] == len(grown) - 4


def test_a_study_without_curves_says_what_would_do(grown):
    summary = envelope.fit(grown, NO_CURVES, settings()).summary
    assert summary["warnings"] == [
        "the study has no learning curves to follow; points: runs follows the ends of its runs instead"
    ]
    with pytest.raises(ValueError, match="laws points: unknown 'ends'; known: curves, runs"):
        envelope.fit(grown, NO_CURVES, settings(points="ends"))


def test_one_size_of_data_has_no_envelope_through_the_ends(grown):
    alone = grown[grown["size"] == grown["size"].max()]
    fitted = envelope.fit(alone, NO_CURVES, settings(points="runs", refits=5))
    for item in fitted.summary["datasets"]:
        assert item["exponents"]["N_star"]["value"] is None
        assert item["exponents"]["N_star"]["why"].endswith("at no budget is the best model still given more data")
