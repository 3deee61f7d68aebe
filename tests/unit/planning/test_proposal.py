"""The planner's arithmetic: networks, budgets, overheads, bills, against brute force, closed forms and files."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustlaws.data import shards
from robustlaws.job_resources import throughput
from robustlaws.laws import additive, forecasts, overheads, published
from robustlaws.laws.accuracy import Line
from robustlaws.networks import wrn_flops
from robustlaws.planning import candidate_runs, proposal
from robustlaws.settings import accounting
from tests.support.law_forecasts import LINE, drawn, forecast, known, summary_of, unknown
from tests.support.next_runs import PAPER, plan, spread

pytestmark = pytest.mark.filterwarnings("error")


FAST = throughput.given(1e14)


# other sizes at the same loss


@given(st.floats(0.1, 0.8), st.floats(0.1, 0.8), st.floats(0.3, 6.0), st.floats(0, 30), st.floats(17, 26))
def test_the_overhead_of_approach_2_is_that_of_its_closed_form(alpha, beta, ratio, fid, log_flops):
    truth = published.ADDITIVE | {"alpha": alpha, "beta": beta}
    item = forecast("additive", drawn("additive", truth))
    params, images = item.optimum(10**log_flops, fid)
    needed, beyond = overheads.at_equal_loss(item, 10**log_flops, fid, params * ratio)
    images_ratio, expected = additive.overhead(truth, ratio)
    # where hardly any term is left to make up for the size, the images are no longer a matter of double precision
    if (alpha / beta) * (1 - 1e-4) > ratio**-alpha - 1:
        assert needed[0, 0] / images[0, 0] == pytest.approx(float(images_ratio), rel=1e-4)
        assert beyond[0, 0] == pytest.approx(float(expected), rel=1e-4, abs=1e-4)
    elif np.isinf(expected):
        assert np.isinf(beyond[0, 0]) or beyond[0, 0] > 1e3


@pytest.mark.parametrize("name", ["additive", "bottleneck"])
@pytest.mark.parametrize("fid", [0.0, 1.65, 20.0])
def test_smallest_model_meets_its_budget_and_loss(name, fid):
    item, flops = forecast(name, spread(name)), 1e21
    params, images = overheads.smallest(item, flops, fid, 0.25)
    best = item.optimum(flops, fid)[0][:, 0]
    assert (params < best).all()
    assert np.allclose(item.flops_per_parameter_image * params * images / flops - 1, 0.25, rtol=1e-6)
    reached = item.loss(params[:, None], images[:, None], fid)
    assert np.allclose(reached, item.best_loss(flops, fid), rtol=1e-9)
    if name == "bottleneck" and fid == 0:
        # without a floor approach 3 is approach 2
        truth = published.BOTTLENECK
        assert params[0] / best[0] == pytest.approx(_ratio_for(truth, 0.25), rel=1e-6)


def _ratio_for(truth, overhead):
    low, high = 0.05, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if additive.overhead(truth, middle)[1] > overhead else (low, middle)
    return high


def test_no_number_of_images_makes_up_for_too_small_a_model():
    item = forecast("additive")
    images, beyond = overheads.at_equal_loss(item, 1e21, 1.65, np.array([1e3, 1e12]))
    assert np.isinf(images[0, 0])
    assert np.isinf(beyond[0, 0])
    assert np.isfinite(beyond[0, 1])
    item = forecast("additive", spread("additive"))
    result = proposal.sizes(item, 1.65, 1e21, plan(models=({"name": "small", "depth": 10, "width": 1},)))
    assert result.models[0].overhead["why"] == "no number of images does"


# real networks


def brute_force(item, fid, flops, settings):
    """The best shape by trying all of them: predicted loss, depth, width."""
    low, high = min(d / w for d, w in PAPER) / 1.1, max(d / w for d, w in PAPER) * 1.1
    tried = []
    for width in range(1, 40):
        for depth in range(10, 300, 6):
            if low <= depth / width <= high:
                n, forward = wrn_flops.wrn_parameters(depth, width), wrn_flops.wrn_forward_flops(depth, width, 32)
                images = math.floor(flops / (27 * forward)) // settings.batch * settings.batch
                if images:
                    tried.append((float(item.loss([n], [images], fid)[0, 0]), depth, width))
    return min(tried)


@pytest.mark.parametrize("flops", [1e18, 2e20, 1e22])
@pytest.mark.parametrize("name", ["additive", "bottleneck"])
def test_first_network_is_the_best_of_the_studys_shapes(name, flops):
    item, settings = forecast(name), plan(flops=flops)
    result = proposal.networks(item, "dg", 1.65, flops, settings)
    loss, depth, width = brute_force(item, 1.65, flops, settings)
    first = result[0].run.network
    assert (first.depth, first.width) == (depth, width)
    assert result[0].loss["value"] == pytest.approx(loss, rel=1e-12)
    assert len(result) == settings.candidates
    losses = [each.loss["value"] for each in result]
    assert losses == sorted(losses)
    assert len({each.run.network.width for each in result}) == len(result)
    for each in result:
        run, shape = each.run, each.run.network
        assert (shape.depth - 4) % 6 == 0
        assert shape.params == wrn_flops.wrn_parameters(shape.depth, shape.width)
        image = 27 * wrn_flops.wrn_forward_flops(shape.depth, shape.width, 32)
        assert run.flops == pytest.approx(image * run.images, rel=1e-15)
        assert run.flops <= flops < run.flops + 27 * shape.forward_flops * settings.batch
        assert run.images % settings.batch == 0
        accuracy = LINE["intercept"] + LINE["slope"] * each.loss["value"]
        assert each.accuracy["value"] == pytest.approx(accuracy)


def test_network_takes_the_studys_name_for_its_shape():
    named = ({"name": "big", "depth": 28, "width": 4}, {"name": "wrn-40-4", "depth": 10, "width": 2})
    settings = plan(taken=("wrn-34-10",), models=named)
    assert candidate_runs.network(28, 4, settings).name == "big"
    assert candidate_runs.network(34, 4, settings).name == "wrn-34-4"
    assert candidate_runs.network(34, 10, settings).name not in ("wrn-34-10", "big")
    assert candidate_runs.network(40, 4, settings).name != "wrn-40-4"


def test_few_parameters_still_give_the_smallest_network():
    tiny = plan(models=({"name": "a", "depth": 10, "width": 1}, {"name": "b", "depth": 16, "width": 1}))
    shapes = [(item.depth, item.width) for item in candidate_runs.networks_near(3.0, tiny)]
    assert (10, 1) in shapes
    assert all(depth >= 10 and width >= 1 for depth, width in shapes)


# schedules


def test_accounting_epochs_stay_within_the_budget():
    settings = plan(batch=None, learning_rate=None, accounting_epoch=50_000, least_images=41 * 50_000)
    shape = candidate_runs.network(28, 4, settings)
    image = 27 * shape.forward_flops
    run = candidate_runs.for_flops(shape, image * 20_480_000, settings)
    # 400 epochs of 25 steps of 2048 images, 51,200 each
    assert (run.batch, run.learning_rate) == (2048, 0.2)
    assert (run.images, run.draws) == (20_000_000, 20_480_000)
    assert run.flops == image * 20_480_000
    less = candidate_runs.for_flops(shape, image * 20_479_999, settings)
    assert less.images == 19_950_000
    # below ten million 1024 images a step: 49 steps, 50,176 images
    run = candidate_runs.for_flops(shape, image * 9_900_000, settings)
    assert (run.batch, run.learning_rate, run.images) == (1024, 0.3, 9_850_000)
    assert run.draws == 9_850_000 // 50_000 * 50_176
    assert candidate_runs.for_flops(shape, image * 2_000_000, settings) is None
    assert candidate_runs.for_flops(shape, image * 3, plan()) is None


@pytest.mark.parametrize("millions", [200, 201, 250, 299])
def test_images_in_a_gap_of_the_paper_fall_to_its_edge(millions):
    settings = plan(batch=None, learning_rate=None, accounting_epoch=50_000)
    run = candidate_runs.on_images(candidate_runs.network(28, 4, settings), millions * 1_000_000, settings)
    assert run.images == 200_000_000
    assert run.capped == (millions > 200)
    assert accounting.batch_and_rate(run.images) == (run.batch, run.learning_rate)
    assert not candidate_runs.on_images(candidate_runs.network(28, 4, settings), 300_000_000, settings).capped
    # a study with its own batch and rate knows no gap
    assert candidate_runs.on_images(candidate_runs.network(28, 4, plan()), 250_000_384, plan()).images == 250_000_384


def test_images_and_bytes(tmp_path):
    settings = plan(datasets=({"name": "dg", "images": 1_000_000},))
    run = candidate_runs.on_images(candidate_runs.network(28, 4, settings), 3_000_320, settings)
    assert candidate_runs.images_to_sample(run, "dg", settings) == run.images - 1_000_000
    assert candidate_runs.images_to_sample(run, None, settings) == run.images
    small = candidate_runs.on_images(candidate_runs.network(28, 4, settings), 500_000, settings)
    assert candidate_runs.images_to_sample(small, "dg", settings) == 0
    drawing = plan(batch=2048, accounting_epoch=50_000, pool="draws")
    run = candidate_runs.on_images(candidate_runs.network(28, 4, drawing), 3_000_000, drawing)
    assert candidate_runs.images_needed(run) == 60 * 25 * 2048
    # a shard on disk is that large, but for its header
    images = np.random.default_rng(0).integers(0, 256, (5_000, 32, 32, 3), dtype=np.uint8)
    shards.write(tmp_path / "shard.h5", images, np.arange(5_000) % 10, {})
    expected = candidate_runs.stored_bytes(5_000, settings)
    assert expected <= (tmp_path / "shard.h5").stat().st_size <= expected + 20_000


# budgets and proposals


def test_hours_and_accuracies_become_flops():
    item = forecast("additive", spread("additive"))
    assert proposal.budget(item, "dg", 1.65, FAST, plan(flops=None, gpu_hours=10)).flops == 10 * 3600 * 1e14
    no_speed = proposal.budget(item, "dg", 1.65, None, plan(flops=None, gpu_hours=10))
    assert no_speed.flops is None
    assert "no run was timed" in no_speed.why
    result = proposal.propose([item], FAST, plan(flops=None, accuracy=0.72))
    assert result.entries["accuracy"]["value"] == pytest.approx(0.72, abs=1e-12)
    assert result.budget.needed["low"] < result.budget.flops < result.budget.needed["high"]
    never = proposal.propose([item], FAST, plan(flops=None, accuracy=0.95))
    assert never.budget.flops is None
    assert (
        never.budget.why == f"never: the limit is {100 * (LINE['intercept'] + LINE['slope'] * 0.5603731625795364):.1f}%"
    )
    assert never.networks == never.bought == never.approaches == []
    with pytest.raises(ValueError, match="none of flops, gpu_hours and accuracy"):
        proposal.propose([item], FAST, plan(flops=None))


def test_the_dataset_that_is_planned_for():
    item = forecast("additive")
    assert proposal.place(item, plan()) == ("dg", 1.65)
    assert proposal.place(item, plan(dataset=None)) == ("dg", 1.65)
    assert proposal.place(item, plan(dataset="edm")) == ("edm", 6.7908)
    assert proposal.place(item, plan(dataset=None, fid=0.0)) == (None, 0.0)
    with pytest.raises(ValueError, match=r"plan\.dataset.*'cifar'.*dg, edm, pfgmpp"):
        proposal.place(item, plan(dataset="cifar"))
    with pytest.raises(ValueError, match=r"plan\.law.*'bottleneck'.*additive"):
        proposal.propose([item], FAST, plan(law="bottleneck"))


def test_proposal_follows_the_law_and_region_spans_the_laws():
    laws = [forecast("additive", spread("additive")), forecast("bottleneck", spread("bottleneck"))]
    result = proposal.propose(laws, FAST, plan())
    truth = published.ADDITIVE
    params, images = additive.optimum(truth, 2e20, 1.65, 7822.0)
    assert result.entries["params"]["value"] == pytest.approx(params)
    assert result.entries["images"]["value"] == pytest.approx(images)
    assert result.entries["params"]["low"] < params < result.entries["params"]["high"]
    other = laws[1].optimum(2e20, 1.65)[0][0, 0]
    assert result.region == pytest.approx(tuple(sorted([params, other])))
    assert not result.why
    assert [item.name for item in result.sizes.models] == [item.run.network.name for item in result.bought]
    # at N* nothing is lost, and the curve rises to both sides
    curve, at_best = result.sizes.overhead, np.argmin(np.abs(result.sizes.ratios - 1))
    assert abs(curve[at_best]) < 1e-3
    assert (np.diff(curve[: at_best - 2]) <= 0).all()
    assert (np.diff(curve[at_best + 2 :]) > 0).all()
    assert (result.sizes.low <= curve).all()
    assert (curve <= result.sizes.high).all()


def test_proposal_omits_undetermined_numbers():
    summary = summary_of("additive")
    summary["datasets"][0]["exponents"] = {"N_star": unknown(0.5, "0.9 wide"), "D_star": known(0.5)}
    item = forecast("additive", spread("additive"), summary=summary)
    result = proposal.propose([item, forecast("bottleneck", spread("bottleneck"))], FAST, plan())
    assert result.why == "0.9 wide"
    assert not result.entries["params"]["determined"]
    assert result.networks == []
    assert result.sizes is None
    assert result.region is None
    assert len(result.bought) == len(PAPER)
    assert all(each.loss is None and each.accuracy is None for each in result.bought)
    # elsewhere the same law knows
    assert proposal.propose([item], FAST, plan(dataset="edm")).networks


def test_loss_beyond_the_study_needs_a_determined_limit():
    summary = summary_of("additive")
    summary["datasets"][0]["asymptote"] = unknown(0.5, "includes 0")
    item = forecast("additive", spread("additive"), summary=summary)
    beyond = proposal.networks(item, "dg", 1.65, 1e22, plan())[0]
    assert beyond.loss["why"] == beyond.accuracy["why"] == "the asymptote: includes 0"
    assert proposal.networks(item, "dg", 1.65, 1e20, plan())[0].loss["determined"]


@pytest.mark.parametrize("name", sorted(proposal.QUANTITIES))
def test_every_quantity_is_that_of_the_law(name):
    law = "bottleneck" if name in ("Q", "kappa") else "additive"
    truth = published.BOTTLENECK if law == "bottleneck" else published.ADDITIVE
    item = forecast(law)
    result = float(proposal.QUANTITIES[name].samples(item, 1e21, 1.65)[0])
    alpha, beta = truth["alpha"], truth["beta"]
    expected = truth | {
        "N_star": beta / (alpha + beta),
        "params": float(additive.optimum(published.ADDITIVE, 1e21, 1.65, 7822.0)[0]),
        "asymptote": float(additive.asymptote(published.ADDITIVE, 1.65)),
    }
    params, images = additive.optimum(published.ADDITIVE, 1e21, 1.65, 7822.0)
    expected["loss"] = float(additive.loss(published.ADDITIVE, params, images, 1.65))
    expected["accuracy_limit"] = LINE["intercept"] + LINE["slope"] * expected["asymptote"]
    assert result == pytest.approx(expected[name], rel=1e-9)
    if name == "Q":
        with pytest.raises(ValueError, match="parameter of additive: unknown 'Q'"):
            proposal.QUANTITIES[name].samples(forecast("additive"), 1e21, 1.65)


# speed


def test_the_speed_is_the_median_of_the_larger_runs(tmp_path):
    runs = {"a/d/1/1": (1e12, 1000.0), "b/d/1/1": (4e12, 20.0), "c/d/1/1": (8e12, 10.0), "e/d/1/1": (10e12, 100.0)}
    for name, (_, seconds) in runs.items():
        path = tmp_path / f"benchmarks/train/{name}.tsv"
        path.parent.mkdir(parents=True)
        path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t100\n")
    table = {"run": [*runs, "f/d/1/1"], "flops": [*(flops for flops, _ in runs.values()), 1e15]}
    result = throughput.measured(table, tmp_path, devices=2)
    # a is under a third of the largest timed one, f was not timed
    assert (result.value, result.slowest, result.fastest, result.runs) == (1e11, 5e10, 4e11, 3)
    assert throughput.measured(table, tmp_path / "nowhere") is None
    assert throughput.measured(table, None) is None
    # a run that went on at three quarters took its time for the last quarter only
    log = tmp_path / "logs/train/c/d/1/1.log"
    log.parent.mkdir(parents=True)
    log.write_text("INFO going on at step 30 of 40\n")
    assert throughput.measured(table, tmp_path, devices=2).fastest == 1e11
    (tmp_path / "benchmarks/train/a/d/1/1.tsv").write_text("seconds\n1\n")
    with pytest.raises(ValueError, match=r"1\.tsv: not a Snakemake benchmark file"):
        throughput.measured(table, tmp_path)


def test_a_law_that_knows_no_fid_says_nothing_of_an_imagined_one():
    envelope = {"law": "envelope", "title": "envelope", "datasets": summary_of("additive")["datasets"]}
    item = forecasts.read(envelope, drawn("additive"), Line.of(LINE), forecasts.Measured(0.7, 2e20), 0.9)
    result = proposal.propose([item, forecast("additive")], FAST, plan(dataset=None, fid=0.5, law="envelope"))
    assert result.why == "it says nothing of a FID of no dataset"
    assert result.networks == []
    assert result.approaches[1].entries["params"]["value"] is not None


def test_settings_of_the_planner_are_checked_as_all_are():
    assert replace(plan(), flops=1).flops == 1.0
    with pytest.raises(ValueError, match=r"Plan\.small_on_large"):
        plan(small_on_large=3)
