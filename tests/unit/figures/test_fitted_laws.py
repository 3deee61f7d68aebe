"""The figures of fitted laws: what they show against the laws' own formulas, and what they must not show as known."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from robustlaws import registry
from robustlaws.figures import FIGURE_INPUTS, FIGURES, overhead
from robustlaws.figures.drawing import fitted_laws, style
from robustlaws.laws import additive, bottleneck, overheads, published
from robustlaws.laws.observations import comparable
from robustlaws.storage import tables
from tests.support.fitted_studies import DATASETS, MODELS, K, fitted, grid, outside, run_row

NAMES = ("additive_fit", "bottleneck_fit", "efficient", "overhead")
SMALL_ON_LARGE = {"params_below": 1e7, "images_above": 1e7, "fid_below": 10.0}
pytestmark = pytest.mark.filterwarnings("error")


def draw(name, folder, inputs):
    """Draw one figure; return its picture, the text in it, the table of what it shows, and the bytes of all three."""
    paths = {end: folder / f"{name}.{end}" for end in ("png", "svg", "parquet")}
    registry.load(name, FIGURES)(paths=paths, **{noun: inputs[noun] for noun in FIGURE_INPUTS[name]})
    root = ElementTree.fromstring(paths["svg"].read_bytes())
    text = " ".join("".join(node.itertext()) for node in root.findall(".//{*}text"))
    table = tables.read(paths["parquet"], tables.DRAWN)
    return imread(paths["png"]), text, table, tuple(path.read_bytes() for path in paths.values())


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A study that follows approach 2 and determines N*, with runs outside the laws."""
    return fitted(tmp_path_factory.mktemp("known"), grid() + outside(), small_on_large=SMALL_ON_LARGE)


@pytest.fixture(scope="module")
def unknown(tmp_path_factory):
    """The same study with so much noise that nothing is determined."""
    return fitted(tmp_path_factory.mktemp("unknown"), grid(noise=0.15))


@pytest.fixture(scope="module")
def shown(known, tmp_path_factory):
    return {name: draw(name, tmp_path_factory.mktemp("shown"), known) for name in NAMES}


def parameters(inputs, law):
    index = [path.stem for path in inputs["laws"]].index(law)
    entries = json.loads(inputs["laws"][index].read_text())["parameters"]
    return {name: entry["value"] for name, entry in entries.items()}


def rows(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


@pytest.mark.parametrize("name", NAMES)
def test_the_same_inputs_give_the_same_bytes(tmp_path, known, shown, name):
    assert draw(name, tmp_path, known)[3] == shown[name][3]


POOR = {
    "no runs": ([], ()),
    "one run": (grid({"m": 1000}, (100,), {"d": 1.0}), ("additive", "bottleneck")),
    "one dataset": (grid(datasets={"only": 1.65}), ("additive", "bottleneck")),
    "one model": (grid({"only": 10**7}), ("additive", "bottleneck")),
    "no laws": (grid(), ()),
    "only runs outside the laws": (outside(), ("additive", "bottleneck")),
    "a name longer than its room": (
        grid({"$a_model, longer than any panel has room for$": 10**7, "m": 10**8}, datasets={"d" * 60: 2.0, "e": 9.0}),
        ("additive", "bottleneck"),
    ),
}
WHY = {
    "no runs": dict.fromkeys(NAMES, "there are no runs"),
    "one run": {
        "additive_fit": "No lines: 1 run for 5 parameters.",
        "bottleneck_fit": "No lines: 1 run for 5 parameters.",
        "efficient": "1 run for 5 parameters",
        "overhead": "Approach 3 is not drawn: 1 run for 5 parameters.",
    },
    "one model": {
        "additive_fit": "No lines: only 1 distinct N.",
        "efficient": "only 1 distinct N",
        "overhead": "N* not determined",
    },
    "no laws": {
        "additive_fit": "No lines: this law was not fitted.",
        "bottleneck_fit": "No lines: this law was not fitted.",
        "efficient": "No law was fitted.",
        "overhead": "Approach 2 is not drawn: this law was not fitted.",
    },
    "only runs outside the laws": {
        "additive_fit": "no runs that a law could be fitted to",
        "overhead": "no runs that a law could be fitted to",
    },
}


@pytest.mark.parametrize("study", POOR)
def test_poor_studies_give_pictures_that_say_why(tmp_path, study):
    runs, laws = POOR[study]
    inputs = fitted(tmp_path / "in", runs, laws)
    for name in NAMES:
        picture, text, _, _ = draw(name, tmp_path, inputs)
        assert picture.shape[1] == style.WIDTH * style.DPI
        assert np.ptp(picture[..., :3]) == 1
        assert WHY.get(study, {}).get(name, "") in text, name


def test_additive_contours_lie_where_the_law_has_their_loss(known, shown):
    law = parameters(known, "additive")
    table = rows(shown["additive_fit"][2], kind="contour")
    assert len(table) > 100
    for panel, of in (("N against FLOPs", "params"), ("D against FLOPs", "images")):
        mine = rows(table, panel=panel)
        k = json.loads(known["laws"][0].read_text())["flops_per_parameter_image"]
        size = mine["y"].to_numpy()
        other = mine["x"].to_numpy() / (k * size)
        sides = (size, other) if of == "params" else (other, size)
        # the lines are straight between the points of a grid
        assert additive.loss(law, *sides, DATASETS["dg-20"]) == pytest.approx(mine["z"].to_numpy(), rel=2e-3)


def test_additive_fit_draws_the_optimum_with_its_interval(known, shown):
    law = parameters(known, "additive")
    table = rows(shown["additive_fit"][2], series="additive")
    for panel, index in (("N against FLOPs", 0), ("D against FLOPs", 1)):
        line, band = (rows(table, panel=panel, kind=kind) for kind in ("line", "band"))
        best = additive.optimum(law, line["x"].to_numpy(), DATASETS["dg-20"], K)[index]
        assert line["y"].to_numpy() == pytest.approx(best, rel=1e-6)
        assert (band["low"].to_numpy() <= line["y"].to_numpy()).all()
        assert (band["high"].to_numpy() > band["low"].to_numpy()).all()
    slope = np.polyfit(np.log(line["x"]), np.log(line["y"]), 1)[0]
    assert slope == pytest.approx(additive.exponents(published.ADDITIVE)[1], abs=0.05)


def test_datasets_in_neither_stage_are_held_out(tmp_path):
    stages = {"base": "dg-20", "quality": ["edm-10", "edm-6"]}
    inputs = fitted(tmp_path / "in", grid(), ("additive", "additive_two_stage"), two_stage=stages)
    _, text, table, _ = draw("additive_fit", tmp_path, inputs)
    assert "Fit of Approach 2 in two stages" in text
    assert text.count("held out") == 1
    assert "not seen by the fit" in text
    assert "in one stage" in text
    law = parameters(inputs, "additive_two_stage")
    line = rows(table, panel="edm-7 (FID 6.79)", series="additive_two_stage: wrn-28-4")
    images = line["x"].to_numpy() / K / MODELS["wrn-28-4"]
    expected = additive.loss(law, MODELS["wrn-28-4"], images, DATASETS["edm-7"])
    assert line["y"].to_numpy() == pytest.approx(expected, rel=1e-9)
    summary = json.loads(inputs["laws"][1].read_text())
    fit = fitted_laws.Fit(summary, additive.FORM, {})
    assert fit.held_out() == {"edm-7"}
    assert fitted_laws.Fit(json.loads(inputs["laws"][0].read_text()), additive.FORM, {}).held_out() == set()


def test_fit_panels_name_an_unknown_optimum(tmp_path, unknown):
    _, text, table, _ = draw("additive_fit", tmp_path, unknown)
    assert "fit only, N* not determined" in " ".join(text.split())
    assert "exponents of N* and D* not determined on dg-20: " in text
    plane = table[table["panel"].str.endswith("against FLOPs")]
    assert set(plane["kind"]) == {"contour", "points"}
    mine = plane[plane["panel"].str.startswith("N") & (plane["kind"] == "contour")]
    assert mine["y"].between(0.999 * min(MODELS.values()), 1.001 * max(MODELS.values())).all()
    assert (mine["x"] / mine["y"] / K).between(4.9e6, 1.01e8).all()


def test_panels_hold_the_law_against_what_it_has_seen(known, shown):
    law = parameters(known, "bottleneck")
    _, text, table, _ = shown["bottleneck_fit"]
    assert "not seen by the fit" in text
    panel = "wrn-82-4 (19.8M)"
    for dataset, fid in DATASETS.items():
        line = rows(table, panel=panel, series=f"bottleneck: {dataset}")
        assert line["y"].to_numpy() == pytest.approx(
            bottleneck.loss(law, MODELS["wrn-82-4"], line["x"], fid).to_numpy(), rel=1e-9
        )
    points = rows(table, kind="points")
    runs = tables.read(known["runs"], tables.RUNS).set_index("run")
    assert set(points["label"]) == set(runs.index[fitted_laws.outside(runs.reset_index()).to_numpy() == ""])
    assert points["y"].to_numpy() == pytest.approx(runs.loc[points["label"], "adv_loss"].to_numpy())


def test_of_many_models_and_datasets_eight_are_shown(tmp_path):
    models = {f"m{i}": 10 ** (5 + i / 3) for i in range(10)}
    many = grid(
        {name: int(size) for name, size in models.items()}, (10**5, 10**6), {f"d{i}": 2.0 + i for i in range(9)}
    )
    inputs = fitted(tmp_path / "in", many, laws=())
    for name, what, table in (
        (
            "additive_fit",
            "8 of 9 datasets are shown, from the best FID to the worst.",
            {"d0 (FID 2.00)", "d8 (FID 10.0)"},
        ),
        ("bottleneck_fit", "8 of 10 models are shown, from the smallest to the largest.", {"m0 (100k)", "m9 (100M)"}),
    ):
        _, text, drawn, _ = draw(name, tmp_path, inputs)
        assert what in text
        assert drawn["panel"].nunique() == 8
        assert table < set(drawn["panel"])


def test_a_study_without_rules_has_seen_all(tmp_path, unknown):
    assert "not seen by the fit" not in draw("bottleneck_fit", tmp_path, unknown)[1]


def test_the_efficient_region_lies_between_the_laws(known, shown):
    _, text, table, _ = shown["efficient"]
    region = rows(table, kind="region")
    lines = {name: rows(table, series=name, kind="line") for name in ("additive", "bottleneck")}
    both = np.array([line["y"] for line in lines.values()])
    assert region["low"].to_numpy() == pytest.approx(both.min(axis=0))
    assert region["high"].to_numpy() == pytest.approx(both.max(axis=0))
    best, _ = additive.optimum(parameters(known, "additive"), lines["additive"]["x"].to_numpy(), DATASETS["dg-20"], K)
    assert lines["additive"]["y"].to_numpy() == pytest.approx(best, rel=1e-3)
    beyond = lines["additive"]["label"].notna()
    assert (lines["additive"]["x"][beyond] > K * max(MODELS.values()) * 1e8).all()
    assert beyond.any()
    for accuracy in ("71.4%", "69.1%", "73.0% PGD"):
        assert accuracy in text
    for what in ("mixes real images in", "another recipe", "dataset without FID", "loss not known"):
        assert len(rows(table, series=what)) == 1


def test_unknown_sizes_are_not_drawn(tmp_path, unknown):
    _, text, table, _ = draw("efficient", tmp_path, unknown)
    assert "exponent of N* not determined on dg-20: " in text
    assert set(table["kind"]) == {"points"}
    _, text, table, _ = draw("overhead", tmp_path, unknown)
    assert "N* not determined: runs within a factor 4" in text
    assert set(table["kind"]) == {"points"}


def test_overhead_is_that_of_the_closed_form(known, shown):
    _, text, table, _ = shown["overhead"]
    law = parameters(known, "additive")
    line, band = (rows(table, series="additive", kind=kind) for kind in ("line", "band"))
    expected = 100 * additive.overhead(law, line["x"].to_numpy())[1]
    finite = line["y"].notna()
    assert line["y"][finite].to_numpy() == pytest.approx(np.minimum(expected[finite], 1500), rel=1e-5, abs=1e-7)
    assert np.isinf(expected[~finite]).all()
    inside = band["high"].to_numpy() < 1500
    assert (band["low"].to_numpy()[inside] <= expected[inside] + 1e-9).all()
    lost = rows(table, kind="region")["x"].max()
    assert np.isinf(additive.overhead(law, 0.99 * lost)[1])
    assert np.isfinite(additive.overhead(law, 1.02 * lost)[1])
    half = 100 * additive.overhead(law, 0.5)[1]
    assert f"1/2 N*: +{half:.3g}%" in text
    assert "wrn-70-16" in text
    assert "71.4%" in text


def logs_of(form, given_parameters):
    return {name: np.atleast_1d(value)[:, None] for name, value in form.FORM.logs_of(given_parameters).items()}


@given(
    alpha=st.floats(0.1, 0.8), beta=st.floats(0.1, 0.8), flops=st.floats(1e15, 1e22), fid=st.floats(0, 40),
    ratio=st.floats(0.05, 20),
)  # fmt: skip
def test_the_numerical_overhead_is_the_closed_form_of_approach_2(alpha, beta, flops, fid, ratio):
    law = published.ADDITIVE | {"alpha": alpha, "beta": beta}
    expected = additive.overhead(law, ratio)
    result = overheads.overhead(additive.FORM, logs_of(additive, law), np.array([ratio]), np.log(flops / K), fid)
    edge = 1 - (ratio**-alpha - 1) * beta / alpha  # at 0 no amount of data suffices
    if edge > 1e-3 and expected[0] < 1e12:  # more data than that is beyond any search
        assert result[0][0, 0] == pytest.approx(expected[0], rel=1e-6)
        assert result[1][0, 0] == pytest.approx(expected[1], rel=1e-6, abs=1e-6)
    elif edge < 0:
        assert np.isinf(result[1]).all()


@pytest.mark.parametrize("ratio", [0.3, 0.7, 1.0, 3.0])
def test_the_overhead_of_approach_3_buys_the_same_loss(ratio):
    law, fid, flops = published.BOTTLENECK, 1.65, 1e20
    params, images = bottleneck.optimum(law, flops, fid, K)
    form, logs = bottleneck.FORM, logs_of(bottleneck, law)
    more, cost = (item[0, 0] for item in overheads.overhead(form, logs, np.array([ratio]), np.log(flops / K), fid))
    target = bottleneck.loss(law, params, images, fid)
    assert bottleneck.loss(law, ratio * params, more * images, fid) == pytest.approx(target, rel=1e-9)
    assert cost == pytest.approx(ratio * more - 1)
    assert cost >= -1e-9
    # at this quality so small a model never gets there
    assert np.isinf(overheads.overhead(form, logs, np.array([0.01]), np.log(flops / K), fid)[1]).all()


def test_runs_outside_the_laws_are_those_that_no_law_uses():
    runs = tables.table(grid() + outside(), tables.RUNS)
    why = fitted_laws.outside(runs)
    used, left_out = comparable(runs)
    assert set(used["run"]) == set(runs["run"][(why == "") | (why == "loss not above 0")])
    assert {reason: int((why == reason).sum()) for reason in left_out} == left_out
    assert (why != "").sum() == 4
    assert fitted_laws.outside(runs.iloc[:0]).empty


def test_fit_panels_draw_two_stages_only_if_they_say_more(monkeypatch):
    def law(name, determined):
        cell = {"value": 0.5, "low": 0.4, "high": 0.6, "determined": determined, "why": "" if determined else "w"}
        entry = {"dataset": "d", "fid": 1.0, "exponents": {"N_star": cell}}
        return {"law": name, "datasets": [entry], "fit": {"converged": True}, "interval": {"level": 0.9}}

    monkeypatch.setattr(fitted_laws, "FORMS", dict.fromkeys(fitted_laws.ADDITIVE, fitted_laws.FORMS["additive"]))
    monkeypatch.setattr(fitted_laws.parametric, "samples", lambda form, table: {"alpha": np.ones(3)})
    for two, item, expected in (
        (True, True, "additive_two_stage"),
        (True, False, "additive_two_stage"),
        (False, True, "additive"),
        (False, False, "additive"),
    ):
        assert fitted_laws.additive([law("additive", item), law("additive_two_stage", two)], None)[0].name == expected
    assert fitted_laws.additive([law("additive_two_stage", False)], None)[0].name == "additive_two_stage"
    unsure = law("additive", True) | {"fit": {"converged": False}}
    assert fitted_laws.additive([unsure], None) == (None, "the fit has not converged")
    assert fitted_laws.additive([], None)[0] is None


def test_without_n_star_only_runs_of_the_laws_are_shown(tmp_path):
    others = outside()
    inputs = fitted(tmp_path / "in", grid({"wrn-70-16": MODELS["wrn-70-16"]}) + others)
    _, text, table, _ = draw("overhead", tmp_path, inputs)
    assert "N* not determined: runs within" in text
    assert len(table)
    assert not set(table["label"]) & {row["run"] for row in others}
    assert "71.4%" not in text


@pytest.mark.parametrize(
    ("levels", "text"),
    [([0.9], "90% interval"), ([0.9, 0.9], "90% interval"), ([0.95, 0.9], "90%/95% interval"), ([None], "interval")],
)
def test_intervals_are_named_by_the_level_of_the_laws(levels, text):
    assert fitted_laws.interval_label([{"interval": {"level": level}} if level else {} for level in levels]) == text


def test_runs_of_several_kinds_at_one_place_are_all_seen(tmp_path):
    place = {"params": 10**8, "flops": 1e18, "fid": 2.0, "loss": 1.0}
    rows = [
        run_row("m", "pure", 10**6, **place),
        run_row("m", "mixed", 10**6, **place, real=0.2),
        run_row("m", "pure", 10**6, **place, recipe="long"),
        run_row("m", "nameless", 10**6, **place | {"fid": None}),
        run_row("m", "lost", 10**6, **place | {"loss": None}),
    ]
    picture, _, table, _ = draw("efficient", tmp_path, fitted(tmp_path / "in", rows, ()))
    assert len(table) == 5
    panel = picture[: picture.shape[0] // 2, :, :3]
    for kind in ("#D55E00", "#009E73", "#56B4E9", "#E69F00"):
        colour = [int(kind[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (abs(panel - colour).max(axis=2) < 0.02).sum() >= 10, kind


@given(st.lists(st.floats(-5, 5), max_size=12), st.floats(0.01, 1))
def test_models_are_moved_apart_in_their_order(values, least):
    values = np.sort(np.array(values, dtype=float))
    moved = overhead._apart(values, least)
    assert (np.diff(moved) >= least * (1 - 1e-9)).all()
    assert np.abs(moved.sum() - values.sum()) < 1e-9 * (1 + len(values))
    if (np.diff(values) >= 1.001 * least).all():
        assert moved == pytest.approx(values)


def test_accuracies_name_the_attack_that_is_not_autoattack():
    assert fitted_laws.accuracy_label({"autoattack_acc": 0.7141, "adv_acc": 0.72}) == "71.4%"
    assert fitted_laws.accuracy_label({"autoattack_acc": float("nan"), "adv_acc": 0.72}) == "72.0% PGD"
    assert fitted_laws.accuracy_label({"autoattack_acc": float("nan"), "adv_acc": float("nan")}) is None


def test_fits_name_the_law_file_that_is_none(tmp_path, known):
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    for name in NAMES:
        with pytest.raises(ValueError, match=r"broken\.json: not a law file"):
            draw(name, tmp_path, known | {"laws": [broken]})
