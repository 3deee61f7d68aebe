"""Figures of recipes, residuals and unseen datasets: the numbers that must (not) show, and poor studies."""

import json
import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread
from scipy.stats import beta

from robustlaws import registry
from robustlaws.figures import FIGURE_INPUTS, FIGURES, residuals
from robustlaws.figures.drawing import recipe_looks, style
from robustlaws.storage import tables
from tests.support.law_predictions import law, predictions, run

MINE = ("held_out", "hyperparameters", "replacement", "residuals")
MINUS = "\N{MINUS SIGN}"


def curve(row):
    """Return rows of tables.CURVES of one run, falling to its loss."""
    keys = {name: row[name] for name in ("run", "model", "dataset", "size", "seed")}
    end = row["adv_loss"] or 1.0
    return [
        {**keys, "train_fraction": share, "images": int(share * row["size"]), "flops": share * row["flops"],
         "clean_loss": 0.5, "clean_acc": 0.8, "adv_loss": end * (2 - share), "adv_acc": 0.4, "test_images": 128}
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]  # fmt: skip


def draw(name, folder, *, runs=(), curves=(), laws=(), predicted=(), unseen=()):
    """Draw one figure; return its picture, the text in it, and the table of what it shows."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs = {"runs": folder / "runs.parquet", "curves": folder / "curves.parquet", "laws": []}
    tables.write(inputs["runs"], list(runs), tables.RUNS)
    tables.write(inputs["curves"], list(curves), tables.CURVES)
    for content in laws:
        inputs["laws"].append(folder / f"{content['law']}.json")
        inputs["laws"][-1].write_text(json.dumps(content))
    for noun, rows in (("predictions", predicted), ("held_out", unseen)):
        inputs[noun] = [folder / f"{noun}.parquet"]
        tables.write(inputs[noun][0], list(rows), tables.PREDICTIONS)
    paths = {kind: folder / f"{name}.{kind}" for kind in ("png", "svg", "parquet")}
    registry.load(name, FIGURES)(paths=paths, **{noun: inputs[noun] for noun in FIGURE_INPUTS[name]})
    texts = ElementTree.fromstring(paths["svg"].read_bytes()).findall(".//{*}text")
    text = " ".join(" ".join("".join(node.itertext()).split()) for node in texts)  # as if no line were broken
    return imread(paths["png"]), text, tables.read(paths["parquet"], tables.DRAWN)


def accuracies(**shares):
    """Return one run for each recipe ("own" for the study's own) with this accuracy under attack."""
    return [run(recipe=None if name == "own" else name, adv_acc=share) for name, share in shares.items()]


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090), ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926), ((0, 10), (0, 20), -0.1611, 0.2775), ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0), ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)  # fmt: skip
def test_the_interval_of_a_difference_is_newcombes(first, second, low, high):
    """Newcombe 1998, table II, method 10."""
    result = recipe_looks.lead(first[0] / first[1], first[1], second[0] / second[1], second[1])
    assert result == pytest.approx((first[0] / first[1] - second[0] / second[1], low, high), abs=6e-5)


def test_hyperparameters_name_the_best_recipe_with_its_lead(tmp_path):
    text = draw("hyperparameters", tmp_path, runs=accuracies(own=0.50, slow=0.45, fast=0.60, other=0.55))[1]
    assert "best: fast" in text
    low, high = (100 * end for end in recipe_looks.lead(0.6, 1000, 0.55, 1000)[1:])
    assert f"+5.0 [{low:.1f}, {high:.1f}] over other" in text
    low, high = (100 * end for end in recipe_looks.lead(0.6, 1000, 0.5, 1000)[1:])
    assert f"+10.0 [{low:.1f}, {high:.1f}] over own" in text
    assert "wrn-10-1, edm-5, D = 2k" in text


def test_hyperparameters_name_no_best_within_sampling_error(tmp_path):
    text = draw("hyperparameters", tmp_path, runs=accuracies(own=0.50, fast=0.51))[1]
    assert "ahead: fast" in text
    assert "best" not in text
    assert f"+1.0 [{MINUS}" in text


def test_hyperparameters_draw_exact_intervals(tmp_path):
    table = draw("hyperparameters", tmp_path, runs=accuracies(own=0.50, fast=0.60))[2]
    points = table[table["kind"] == "points"].set_index("series")
    assert points["label"].to_dict() == {
        "the study's own": "wrn-10-1/edm-5/2000/0", "fast": "wrn-10-1@fast/edm-5/2000/0",
    }  # fmt: skip
    fast = points.loc["fast"]
    assert (fast["x"], fast["z"]) == (0.6, 1.0)
    # Clopper and Pearson's interval as quantiles of beta distributions
    expected = beta.ppf(0.025, 600, 401), beta.ppf(0.975, 601, 400)
    assert (fast["low"], fast["high"]) == pytest.approx(expected, rel=1e-9)
    assert set(table["panel"]) == {"wrn-10-1 on edm-5, D = 2000"}


def test_seeds_of_a_recipe_are_averaged(tmp_path):
    runs = [run(seed=seed, adv_acc=share) for seed, share in enumerate((0.4, 0.5))]
    runs += [run(recipe="fast", seed=seed, adv_acc=share) for seed, share in enumerate((0.5, 0.8))]
    text, table = draw("hyperparameters", tmp_path, runs=runs)[1:]
    assert "+20.0 [" in text
    assert set(table.loc[table["kind"] == "points", "x"].round(12)) == {0.45, 0.65}


def test_recipes_without_accuracies_are_compared_by_loss(tmp_path):
    measured = {"adv_acc": None, "test_images": None}
    runs = [run(adv_loss=1.0, **measured), run(recipe="fast", adv_loss=0.9, **measured)]
    text, table = draw("hyperparameters", tmp_path, runs=runs)[1:]
    assert "ahead: fast" in text
    assert "0.100 nats below own" in text
    assert table.loc[table["kind"] == "points", ["low", "high"]].isna().all(axis=None)
    assert "adversarial loss (nats)" in text


def test_without_the_number_of_test_images_there_is_no_interval(tmp_path):
    runs = [run(adv_acc=0.5, test_images=None), run(recipe="fast", adv_acc=0.9, test_images=None)]
    text, table = draw("hyperparameters", tmp_path, runs=runs)[1:]
    assert "+40.0 over own" in text
    assert "best:" not in text
    assert "No interval where the number of test images is not known." in text
    assert table.loc[table["kind"] == "points", ["low", "high"]].isna().all(axis=None)


def test_only_so_many_combinations_of_recipes_are_shown(tmp_path):
    runs = [run(size=1000 * n, recipe=recipe) for n in range(1, 16) for recipe in (None, "fast")]
    text, table = draw("hyperparameters", tmp_path, runs=runs)[1:]
    assert "12 of 15 combinations of model, dataset and size are shown" in text
    assert table["panel"].nunique() == 12


def test_replacement_pairs_curves_by_run(tmp_path):
    runs = [
        run(adv_loss=1.0, adv_acc=0.5), run(recipe="with-replacement", adv_loss=1.25, adv_acc=0.48),
        run(size=4000), run(size=4000, recipe="with-replacement", seed=1),
        run(dataset="edm-18"), run(model="wrn-16-1", recipe="with-replacement"),
    ]  # fmt: skip
    text, table = draw("replacement", tmp_path, runs=runs, curves=[row for item in runs for row in curve(item)])[1:]
    assert set(table["label"]) == {"wrn-10-1/edm-5/2000/0", "wrn-10-1@with-replacement/edm-5/2000/0"}
    assert "+0.250 nats" in text
    assert "the curves are measured on fewer" in text
    low, high = (100 * end for end in recipe_looks.lead(0.48, 1000, 0.5, 1000)[1:])
    assert f"{MINUS}2.0 [{MINUS}{-low:.1f}, {high:.1f}] points" in text
    mine = table[table["series"] == "with-replacement"]
    assert list(mine["x"]) == [500, 1000, 1500, 2000]
    assert list(mine["y"]) == pytest.approx([1.25 * (2 - share) for share in (0.25, 0.5, 0.75, 1.0)])


@pytest.mark.parametrize("images", [1000, None])
def test_replacement_notes_fewer_test_images_only_if_known(tmp_path, images):
    runs = [run(), run(recipe="with-replacement")]
    curves = [row | {"test_images": images} for item in runs for row in curve(item)]
    text = draw("replacement", tmp_path, runs=runs, curves=curves)[1]
    assert "with-replacement" in text
    assert "fewer" not in text


def test_replacement_prefers_its_recipe_among_many(tmp_path):
    runs = [run(recipe=name) for name in (None, "a", "b", "c", "with-replacement")]
    curves = [row for item in runs for row in curve(item)]
    text = draw("replacement", tmp_path / "all", runs=runs, curves=curves)[1]
    assert "with-replacement" in text
    assert "3 further recipes of the study not shown." in text
    text = draw("replacement", tmp_path / "few", runs=runs[:4], curves=curves)[1]
    assert all(f"{name}: 0.000 nats" in text for name in "abc")
    assert "further" not in text


@pytest.mark.parametrize(
    ("figure", "runs", "with_curves", "why"),
    [
        ("hyperparameters", [], True, "all runs were trained by the study's own recipe"),
        ("hyperparameters", [run()], True, "all runs were trained by the study's own recipe"),
        ("hyperparameters", [run(), run(size=9, recipe="a")], True, "no two recipes that were measured alike"),
        ("hyperparameters", [run(), run(recipe="a", adv_acc=None, adv_loss=None)], True, "no two recipes that were"),
        ("replacement", [], True, "all runs were trained by the study's own recipe"),
        ("replacement", [run(), run(recipe="a")], False, "no run of another recipe has a learning curve"),
        ("replacement", [run(), run(recipe="a", seed=1)], True, "no other recipe trained the same model"),
    ],
)
def test_figures_of_recipes_say_why_there_is_nothing(tmp_path, figure, runs, with_curves, why):
    curves = [row for item in runs for row in curve(item)] if with_curves else []
    picture, text, table = draw(figure, tmp_path, runs=runs, curves=curves)
    assert why in text
    assert np.ptp(picture[..., :3]) == 1
    assert table.empty


def test_residuals_are_log_percent_with_the_largest_named(tmp_path):
    rows = [run(size=size, dataset=name, fid=fid) for size in (1000, 2000) for name, fid in (("a", 0.0), ("b", 9.0))]
    worst = "wrn-10-1/b/2000/0"
    table = predictions(rows, factor=lambda row: 0.8 if row["run"] == worst else 1.01)
    laws = [law(fit={"huber_delta": 0.002}), law("envelope")]
    text, shown = draw("residuals", tmp_path, laws=laws, predicted=table)[1:]
    assert f"4 points, median distance 1%; largest (circled) {MINUS}22.3%: {worst}" in text
    assert "Without predictions for single runs: Approach of envelope." in text
    assert "Approach of additive: a residual beyond \N{PLUS-MINUS SIGN}0.200% counts linearly" in text
    points = shown[shown["kind"] == "points"]
    assert points["panel"].nunique() == 4
    assert len(points) == 16
    by_run = points.groupby("label")["y"].unique()
    assert by_run[worst] == pytest.approx([100 * math.log(0.8)])
    assert by_run["wrn-10-1/a/1000/0"] == pytest.approx([100 * math.log(1.01)])
    fids = points[points["panel"].str.endswith("FID") & (points["series"] == "a")]
    assert set(fids["x"]) == {0.0}
    levels = shown[(shown["kind"] == "level") & shown["series"].str.startswith("delta")]
    assert set(levels["y"].round(12)) == {0.2, -0.2}


def test_without_a_delta_none_is_marked(tmp_path):
    text, shown = draw("residuals", tmp_path, laws=[law()], predicted=predictions([run()]))[1:]
    assert "Huber" not in text
    assert not shown["series"].str.startswith("delta").any()


@given(st.lists(st.tuples(st.sampled_from([1.0, 10.0, 100.0]), st.floats(-5, 5)), min_size=1, max_size=40))
def test_residuals_median_of_few_levels_is_exact(pairs):
    x, y = np.array(pairs).T
    middles, medians = residuals.running_median(x, y)
    assert middles == sorted(set(x))
    assert medians == [np.median(y[x == level]) for level in middles]


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=200), st.integers(1, 9))
def test_the_running_median_holds_to_its_bins(x, bins):
    middles, medians = residuals.running_median(x, np.log(x), bins)
    assert 1 <= len(middles) == len(medians) <= bins
    assert middles == sorted(middles)
    assert medians == sorted(medians)
    assert min(x) <= middles[0] <= middles[-1] <= max(x)


def test_unseen_datasets_are_drawn_with_both_r_squared(tmp_path):
    rows = [run(size=size, dataset=name, fid=fid) for size in (1000, 2000) for name, fid in (("a", 2.0), ("b", 9.0))]
    held_out = {"a": {"r2": -3.214, "n": 2}, "b": {"r2": None, "n": 2}}
    laws = [law(held_out=held_out, r2_by_dataset={"a": 0.9871, "b": 0.5}), law("envelope", held_out=None)]
    text, shown = draw("held_out", tmp_path, laws=laws, unseen=predictions(rows, factor=lambda row: 1.1))[1:]
    assert f"a (FID 2.00): {MINUS}3.21 (0.987)" in text
    assert "b (FID 9.00): \N{EN DASH} (0.500)" in text
    assert "\N{EN DASH}: not determined." in text
    assert "median error 10.0%" in text
    assert "No dataset predicted from the others: Approach of envelope." in text
    points = shown[shown["kind"] == "points"]
    assert set(points["label"]) == {row["run"] for row in rows}
    assert list(points["y"] / points["x"]) == pytest.approx([1.1] * 4)


@pytest.mark.parametrize(
    ("figure", "laws", "why"),
    [
        ("residuals", [], "no law predicts single runs"),
        ("residuals", [law()], "no law predicts single runs"),
        ("held_out", [], "no law was fitted"),
        ("held_out", [law(), law("envelope")], "no law could be fitted without one of the datasets"),
    ],
)
def test_figures_of_laws_say_why_there_is_nothing(tmp_path, figure, laws, why):
    _, text, table = draw(figure, tmp_path, laws=laws)
    assert why in text
    assert table.empty


LONG = "a name with $ign$, <b>markup</b> and_underscores, much longer than any panel has room for"


@pytest.mark.parametrize("name", MINE)
def test_long_names_and_many_datasets_draw_equal_bytes(tmp_path, name):
    rows = [
        run(f"{LONG} {n}", dataset=f"{LONG} {n}", fid=float(n), recipe=recipe)
        for n in range(9)
        for recipe in (None, LONG, *"abcdefghijk")
    ]
    given = {
        "runs": rows, "curves": [line for row in rows for line in curve(row)], "laws": [law(title=LONG), law("other")],
        "predicted": predictions(rows), "unseen": predictions(rows) + predictions(rows, "other"),
    }  # fmt: skip
    pictures = [draw(name, tmp_path / str(n), **given)[0] for n in range(2)]
    assert pictures[0].shape[1] == style.WIDTH * style.DPI
    assert np.ptp(pictures[0][..., :3]) == 1
    for kind in ("png", "svg", "parquet"):
        assert len({(tmp_path / str(n) / f"{name}.{kind}").read_bytes() for n in range(2)}) == 1
