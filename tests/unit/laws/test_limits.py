"""What the laws say of budgets, limits and human level: exact values of the paper, algebra, and what is not claimed."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustlaws.laws import (
    additive,
    bootstrap_table,
    determination,
    fit_jobs,
    limits,
    one_stage,
    published,
)
from robustlaws.settings import Limits
from robustlaws.storage import human_tables, tables
from tests.support.law_forecasts import (
    FIDS,
    LINE,
    MODULES,
    TRUTHS,
    K,
    drawn,
    forecast,
    known,
    summary_of,
    unknown,
)
from tests.support.law_studies import NO_CURVES, settings, study

pytestmark = pytest.mark.filterwarnings("error")


def line_refits(intercepts, slopes):
    rows = {"intercept": np.array([LINE["intercept"], *intercepts]), "slope": np.array([LINE["slope"], *slopes])}
    return bootstrap_table.rows("accuracy", rows)


def runs_of(fids=FIDS):
    runs = study(additive, published.ADDITIVE, fids=tuple(fids.values()))
    names = {f"d{fid:g}": name for name, fid in fids.items()}
    return runs.assign(dataset=runs["dataset"].map(names))


def measured(name, table=None, *, limits_=None, summary=None, line=LINE, lines=None):
    """The rows of `limits.measure` by (dataset or "FID 0", quantity, budget or 0)."""
    table = drawn(name, E=np.full(20, TRUTHS[name]["E"])) if table is None else table
    limits_ = limits_ or Limits((1e30,), 0.85, 0.9)
    rows = limits.measure([summary or summary_of(name)], [table], line, lines, runs_of(), limits_)
    return {
        (row["dataset"] or "FID 0", row["quantity"], row["budget"] or 0.0): row
        for row in rows.astype(object).where(rows.notna(), None).to_dict("records")
    }


def test_the_exact_values_of_the_paper():
    rows = measured("additive")
    expected = {"edm": 0.7531463613, "dg": 0.8285778530, "FID 0": 0.8863254780}
    for place, accuracy in expected.items():
        assert rows[place, "accuracy", 1e30]["value"] == pytest.approx(accuracy, abs=5e-11)
    assert rows["FID 0", "accuracy_limit", 0]["value"] == pytest.approx(0.8965242471, abs=5e-11)
    for name, at_dg, at_best in (("additive", 0.61, 0.53), ("bottleneck", 0.63, 0.56)):
        rows = measured(name, limits_=Limits((1e25,), None, 0.9))
        assert rows["pfgmpp", "loss", 1e25]["value"] == pytest.approx(at_dg, abs=0.005)
        assert rows["FID 0", "loss", 1e25]["value"] == pytest.approx(at_best, abs=0.005)
        assert rows["FID 0", "N_star", 0]["value"] == pytest.approx(0.47 if name == "bottleneck" else 0.483, abs=0.005)
        assert ("dg", "flops_to_human", 0) not in rows


@pytest.mark.parametrize("fid", [0.0, 1.65, 30.0])
def test_flops_to_an_accuracy_by_the_closed_form_of_approach_2(fid):
    truth, item = published.ADDITIVE, forecast("additive")
    goal = 0.6
    # L - E' = C^-g (A G^-alpha + B' G^beta), C = F/k
    alpha, beta = truth["alpha"], truth["beta"]
    b = truth["B"] * (1 + fid) ** truth["zeta"]
    e = truth["E"] * (1 + fid) ** truth["eps"]
    big_g = (alpha * truth["A"] / (beta * b)) ** (1 / (alpha + beta))
    power = alpha * beta / (alpha + beta)
    left = (goal - LINE["intercept"]) / LINE["slope"] - e
    expected = K * ((truth["A"] * big_g**-alpha + b * big_g**beta) / left) ** (1 / power) if left > 0 else np.inf
    needed = np.array([(goal - LINE["intercept"]) / LINE["slope"]])
    result = item.flops_for_loss(needed, fid)[0]
    assert result == pytest.approx(expected, rel=1e-9) or result == expected == np.inf


@given(
    st.sampled_from(sorted(MODULES)),
    st.floats(0.05, 0.9), st.floats(0.05, 0.9), st.floats(0.5, 50), st.floats(0, 40), st.floats(8, 40),
)  # fmt: skip
def test_budget_of_loss_inverts_loss_of_budget(name, alpha, beta, a, fid, log_flops):
    truth = TRUTHS[name] | {"alpha": alpha, "beta": beta, "A": a}
    item = forecast(name, drawn(name, truth))
    flops = 10**log_flops
    loss = item.best_loss(flops, fid)[:, 0]
    result = item.flops_for_loss(loss, fid)
    # near the limit the loss itself has no more digits to tell budgets by
    again = item.best_loss(result, fid)[0, 0]
    assert again == pytest.approx(loss[0], rel=1e-12)
    assert np.isinf(item.flops_for_loss(item.asymptote(fid) * (1 - 1e-9) - 1e-9, fid)[0])


def test_flops_to_level_above_the_limit_are_unbounded():
    rows = measured("additive", limits_=Limits((1e30,), 0.9046, 0.9))
    row = rows["FID 0", "flops_to_human", 0]
    assert (row["value"], row["low"], row["high"]) == (None, None, None)
    assert row["why"] == "never: the limit is 89.7%"
    assert not row["determined"]
    # one refit in five has a limit of 84.9%: 0.85 is never reached there, and the interval has no upper end
    e = np.where(np.arange(100) % 5 == 0, (0.849 - LINE["intercept"]) / LINE["slope"], published.ADDITIVE["E"])
    row = measured("additive", drawn("additive", E=e), limits_=Limits((1e30,), 0.85, 0.9))["FID 0", "flops_to_human", 0]
    assert not row["determined"]
    assert row["why"].endswith("some of the refits never get there")
    assert row["value"] == row["low"]
    assert row["high"] is None
    exact = measured("additive")["FID 0", "flops_to_human", 0]
    assert exact["value"] == exact["low"] == exact["high"] == row["value"]
    # the other way round: the fit never gets there, and one refit in five does
    e = np.where(np.arange(100) % 5 == 0, (0.95 - LINE["intercept"]) / LINE["slope"], published.ADDITIVE["E"])
    row = measured("additive", drawn("additive", E=e), limits_=Limits((1e30,), 0.92, 0.9))["FID 0", "flops_to_human", 0]
    assert (row["value"], row["determined"]) == (None, False)
    assert row["why"] == "the limit is 89.7%, but 20% of the refits get there"


def test_refits_of_the_law_meet_those_of_the_line_in_turn():
    table = drawn("additive", E=np.array([0.40, 0.45, 0.50, 0.55]))
    lines = line_refits([1.2, 1.3], [-0.7, -0.8])
    item = forecast("additive", table, lines=lines)
    asymptotes = item.asymptote(0.0)
    assert asymptotes == pytest.approx([published.ADDITIVE["E"], 0.40, 0.45, 0.50, 0.55])
    expected = [LINE["intercept"] + LINE["slope"] * asymptotes[0]]
    expected += [1.2 - 0.7 * 0.40, 1.3 - 0.8 * 0.45, 1.2 - 0.7 * 0.50, 1.3 - 0.8 * 0.55]
    assert item.accuracy(asymptotes[:, None])[:, 0] == pytest.approx(expected)
    # a line alone makes an interval as well, and one without refits adds nothing
    fixed = drawn("additive", E=np.full(200, published.ADDITIVE["E"]))
    slopes = np.linspace(-0.76, -0.74, 101)
    wide = forecast("additive", fixed, lines=line_refits(np.full(101, LINE["intercept"]), slopes))
    entry = wide.always(None, 0.0)["accuracy_limit"]
    ends = LINE["intercept"] + np.array([-0.759, -0.741]) * published.ADDITIVE["E"]
    assert (entry["low"], entry["high"]) == pytest.approx(tuple(ends), abs=1e-4)
    entry = forecast("additive", fixed).always(None, 0.0)["accuracy_limit"]
    assert entry["low"] == entry["high"] == entry["value"]


def test_limits_name_the_undetermined_number_they_rest_on():
    options = Limits((1e15, 1e30), 0.7, 0.9)
    quantities = {
        "exponents": {"params", "images", "loss", "accuracy", "flops_to_human"},
        "asymptote": {"loss", "accuracy", "asymptote", "accuracy_limit", "flops_to_human"},
        "line": {"accuracy", "accuracy_limit", "flops_to_human"},
    }
    exponents = ("dg", "N_star"), ("FID 0", "N_star"), ("FID 0", "D_star")
    for what, rest_on_it in quantities.items():
        summary, line = summary_of("additive"), LINE
        if what == "exponents":
            summary["datasets"][0]["exponents"] = {"N_star": unknown(0.5, "too wide"), "D_star": known(0.5)}
        elif what == "asymptote":
            summary["datasets"][0]["asymptote"] = unknown(0.5, "too wide")
        else:
            line = {"intercept": known(1.25), "slope": unknown(-0.7, "too wide")}
        rows = measured("additive", limits_=options, summary=summary, line=line)
        for (place, quantity, budget), row in rows.items():
            hit = quantity in rest_on_it and (place == "dg" or what == "line")
            # within the study's own budgets a loss needs no asymptote; FID 0 is far from all runs
            hit &= not (what == "asymptote" and budget == 1e15)
            if place == "FID 0" and what == "exponents":
                hit = quantity in rest_on_it
            hit |= what == "exponents" and (place, quantity) in exponents
            assert row["determined"] != hit, (what, place, quantity, budget, row["why"])
            if hit:
                assert "too wide" in row["why"]
    rows = measured("additive", limits_=options, summary=summary_of("additive") | {
        "parameters": summary_of("additive")["parameters"] | {"E": unknown(0.5, "at the edge")}})  # fmt: skip
    assert rows["FID 0", "asymptote", 0]["why"] == "E: at the edge"
    assert rows["FID 0", "loss", 1e15]["why"] == "E: at the edge"
    assert rows["FID 0", "params", 1e15]["determined"]


def test_an_accuracy_where_the_line_ends_is_not_one():
    rows = measured("additive", limits_=Limits((1e9,), 0.7, 0.9))
    row = rows["edm", "accuracy", 1e9]
    assert row["value"] == 0.0
    assert not row["determined"]
    assert row["why"] == "the line from loss to accuracy ends at 0%"


def test_fid_0_needs_three_fids_and_a_law_that_knows_fid():
    two = {"dg": 1.65, "edm": 6.7908}
    rows = limits.measure([summary_of("additive", two)], [drawn("additive")], LINE, None, runs_of(),
                          Limits((), None, 0.9))  # fmt: skip
    assert set(rows["dataset"]) == {"dg", "edm"}
    runs = runs_of()
    assert (rows["budget"].dropna() == runs["flops"].max()).all()
    item = forecast("additive", summary=summary_of("additive", two))
    for why in item.reasons(None, 3.0):
        assert why == "only 2 distinct FIDs: nothing holds for another FID"


def test_whole_studies_on_disk(tmp_path):
    runs = study(additive, published.ADDITIVE, noise=0.003, seed=5)
    runs = runs.assign(adv_acc=np.clip(LINE["intercept"] + LINE["slope"] * runs["adv_loss"], 0, 1))
    tables.write(tmp_path / "runs.parquet", runs, tables.RUNS)
    curves = pd.concat([runs[["run", "model", "dataset", "size", "seed", "clean_loss", "clean_acc", "adv_acc"]].assign(
        train_fraction=share, images=(runs["images"] * share).astype(int), flops=runs["flops"] * share, test_images=10,
        adv_loss=runs["adv_loss"] * (1.1 if share < 1 else 1)) for share in (0.5, 1.0)])  # fmt: skip
    tables.write(tmp_path / "curves.parquet", curves, tables.CURVES)
    laws = ("envelope", "additive")
    outputs = ("law", "allocations", "predictions", "refits", "held_out")
    paths = {name: {f"{what}_path": tmp_path / f"{name}_{what}" for what in outputs} for name in laws}
    common = {"runs_path": tmp_path / "runs.parquet"}
    for name in laws:
        options = settings(law=name, points="curves", recipe="converged", two_stage=None)
        fit_jobs.fit_law(**common, curves_path=tmp_path / "curves.parquet", **paths[name], settings=options)
    line = {"accuracy_path": tmp_path / "accuracy.json"}
    fit_jobs.fit_accuracy(**common, **line, refits_path=tmp_path / "lines.parquet", settings=settings())
    given = {
        **common,
        **line,
        "law_paths": [paths[name]["law_path"] for name in laws],
        "refits_paths": [paths[name]["refits_path"] for name in laws],
        "accuracy_refits_path": tmp_path / "lines.parquet",
        "settings": Limits((), 0.8, 0.9),
    }
    limits.measure_limits(**given, limits_path=tmp_path / "one.parquet")
    limits.measure_limits(**given, limits_path=tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    result = tables.read(tmp_path / "one.parquet", tables.APPROACHES)
    assert (result["budget"].dropna() == runs["flops"].max()).all()
    assert set(result["law"]) == {*laws, "human"}
    level = result[result["law"] == "human"]
    assert (level["quantity"].tolist(), level["value"].tolist()) == (["human_accuracy"], [0.8])
    result = result[result["law"] != "human"]
    assert result.loc[result["law"] == "envelope", "dataset"].notna().all()
    unlimited = result[(result["law"] == "envelope") & (result["quantity"] == "accuracy_limit")]
    assert unlimited["value"].isna().all()
    known_rows = result[result["determined"]]
    assert len(known_rows) > 50
    assert (known_rows["low"] <= known_rows["value"]).all()
    assert (known_rows["value"] <= known_rows["high"].fillna(np.inf)).all()
    # the allocation tables hold the same N* at the same budgets
    ends = [paths[name]["allocations_path"] for name in laws]
    limits.measure_limits(**given, limits_path=tmp_path / "end.parquet", allocation_paths=ends)
    result = tables.read(tmp_path / "end.parquet", tables.APPROACHES)
    for name in laws:
        allocated = tables.read(paths[name]["allocations_path"], tables.ALLOCATIONS)
        allocated = allocated[allocated["flops"] == allocated["flops"].max()].set_index("fid")
        mine = result[(result["law"] == name) & (result["budget"] == allocated["flops"].iloc[0])].set_index("fid")
        for quantity in ("params", "images", "loss"):
            rows = mine[mine["quantity"] == quantity]
            assert len(rows) == (5 if name == "additive" else 4)
            for what, column in (("value", ""), ("low", "_low"), ("high", "_high")):
                expected = allocated.loc[rows.index, f"{quantity}{column}"]
                assert np.allclose(rows[what], expected, rtol=1e-9), (name, quantity, what)


def on_disk(folder):
    """Inputs of measure_limits: one law fitted to runs whose accuracy lies on the paper's line."""
    runs = study(additive, published.ADDITIVE, noise=0.003, seed=5)
    runs = runs.assign(adv_acc=np.clip(LINE["intercept"] + LINE["slope"] * runs["adv_loss"], 0, 1))
    tables.write(folder / "runs.parquet", runs, tables.RUNS)
    summary = summary_of("additive") | {"parameters": {k: known(v) for k, v in published.ADDITIVE.items()}}
    (folder / "law.json").write_text(json.dumps(summary))
    tables.write(folder / "refits.parquet", drawn("additive"), tables.REFITS)
    (folder / "line.json").write_text(json.dumps({name: known(LINE[name]) for name in ("intercept", "slope")}))
    tables.write(folder / "lines.parquet", line_refits([LINE["intercept"]], [LINE["slope"]]), tables.REFITS)
    return {
        "runs_path": folder / "runs.parquet", "law_paths": [folder / "law.json"],
        "refits_paths": [folder / "refits.parquet"], "accuracy_path": folder / "line.json",
        "accuracy_refits_path": folder / "lines.parquet", "limits_path": folder / "limits.parquet",
    }  # fmt: skip


def human_limits(folder, rows, accuracy=None):
    """Return what measure_limits says of the human level: the row of law human, and those of flops_to_human."""
    tables.write(folder / "benchmark.parquet", rows, human_tables.BENCHMARK)
    limits.measure_limits(
        **on_disk(folder), settings=Limits((), accuracy, 0.9), benchmark_paths=[folder / "benchmark.parquet"]
    )
    result = tables.read(folder / "limits.parquet", tables.APPROACHES)
    (human,) = result[result["law"] == "human"].to_dict("records")
    assert result.loc[~result["quantity"].isin(["human_accuracy", "flops_to_human"]), "source"].isna().all()
    return human, result[result["quantity"] == "flops_to_human"]


def scores(kind, data="all", accuracy=0.8):
    """Rows of a benchmark: the network, and the network with the mean of those who took part, if any."""
    common = {"data": data, "images": 1000, "level": 0.95, "annotator_id": None, "simulated": kind == "simulated"}
    rows = [common | {"who": "network", "kind": None, "right": 600, "accuracy": 0.6, "low": 0.57, "high": 0.63}]
    if kind:
        rows.append(common | {"who": "human_mean", "kind": kind, "right": 1000 * accuracy, "accuracy": accuracy,
                              "low": 0.75, "high": 0.85})  # fmt: skip
    return rows


@pytest.mark.parametrize(
    ("kind", "title"), [("person", "Human level"), ("simulated", "Level of the simulated participants")]
)
def test_human_level_is_the_mean_participant_or_simulated(tmp_path, kind, title):
    human, needed = human_limits(tmp_path, scores(kind) + scores(kind, "valid", 0.9))
    assert (human["value"], human["low"], human["high"]) == (0.8, 0.75, 0.85)
    assert (human["title"], human["source"], human["determined"]) == (title, kind, True)
    assert len(needed) == 4
    assert set(needed["source"]) == {kind}
    # as for the same level from the settings, which say whose it is not
    human_set, needed_set = human_limits(tmp_path, scores(kind), 0.8)
    assert (human_set["title"], human_set["source"]) == ("Human level", "set")
    assert set(needed_set["source"]) == {"set"}
    assert needed["value"].notna().sum() == 3  # on edm the limit is 75.3%
    assert needed["value"].equals(needed_set["value"])


def test_where_nobody_has_answered_there_is_no_level_to_reach(tmp_path):
    human, needed = human_limits(tmp_path, scores(None))
    assert np.isnan(human["value"])
    assert (human["determined"], human["why"], human["title"]) == (False, "nobody has answered yet", "Human level")
    assert needed.empty


def test_a_law_that_was_not_fitted_says_why():
    runs = study(additive, published.ADDITIVE, params=(5_000_000,), sizes=(1_000_000, 2_000_000))
    fitted = one_stage.fit(additive.FORM, additive.observe(runs, NO_CURVES, settings()), settings())
    rows = limits.measure([fitted.summary], [fitted.refits], LINE, None, runs, Limits((1e20,), 0.8, 0.9))
    rows = rows[rows["law"] != "human"]
    assert len(rows) == 4 * 9
    assert rows["value"].isna().all()
    assert (rows["why"] == "only 1 distinct N").all()
    json.dumps(rows.astype(object).where(rows.notna(), None).to_dict("records"))


def test_an_interval_of_more_than_a_factor_ten_is_no_answer():
    # an interval of N* wider than a factor ten is none, as for a law's own parameters
    wide = drawn("additive", zeta=np.linspace(-1.5, 0.9, 100))
    rows = measured("additive", wide)
    assert not rows["edm", "params", 1e30]["determined"]
    assert "spans a factor" in rows["edm", "params", 1e30]["why"]
    assert determination.WIDEST_FACTOR == 10
