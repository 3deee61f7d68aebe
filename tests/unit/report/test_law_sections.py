"""The report's tables of approaches and laws, the published study beside them, and tables of finished runs alone."""

import json

import pytest

from robustlaws import report
from robustlaws.storage import tables as records
from tests.support.figure_study import build, cell, run_rows
from tests.support.report_pages import BEST, TITLE, WORSE, check, compared, limit

EMPTY = {"datasets": "Datasets and models", "runs": "Runs", "attacks": "Attacks", "approaches": "Approaches",
         "published": "Published study", "laws": "Laws", "figures": "Figures", "time": "Time",
         "settings": "Versions and settings"}  # fmt: skip


def unknown(why):
    return cell(None, determined=False, why=why)


def human(accuracy):
    return limit("human_accuracy", cell(accuracy) | {"low": None, "high": None}, (None, None), law="human")


def write(folder, *, limits=None, comparison=None, change_law=lambda law: None, forget=None, origin="", **options):
    """Write the report of a synthetic study's runs and laws; return its text and page."""
    inputs = build(folder / "in", **options)
    for path in inputs["laws"]:
        law = json.loads(path.read_text())
        change_law(law)
        path.write_text(json.dumps(law))
    if forget is not None:
        runs = records.read(inputs["runs"], records.RUNS)
        records.write(inputs["runs"], [forget(row) for row in runs.to_dict("records")], records.RUNS)
    tables = {}
    for name, rows, columns in (
        ("limits", limits, records.APPROACHES),
        ("comparison", comparison, records.COMPARISON),
    ):
        if rows is not None:
            tables[name] = folder / f"{name}.parquet"
            records.write(tables[name], rows, columns)
    given = {name: inputs[name] for name in ("runs", "curves", "laws", "accuracy")}
    path = folder / "report.html"
    report.write(path, study="digits", description="", origin=origin, **given, **tables)
    return check(path)


def between(page, start, end):
    """Return the words of a page from one heading to the next."""
    return page.text.split(start, 1)[1].split(end, 1)[0]


# tables of finished runs


def finished(folder, *, laws=("additive",), known=("adv_loss",), curves=()):
    """Write the report of a table from elsewhere, which says of each run N, D, FLOPs, FID and what is `known`."""
    inputs = build(folder / "in", laws=laws, mixture=False)
    settings = {"run", "model", "dataset", "size", "seed", "fid", "real_fraction", "params", "images", "flops", *known}
    rows = [
        {name: value if name in settings else None for name, value in row.items()}
        for row in run_rows({"small": 80_000, "large": 690_000}, (2000, 6000), dict([BEST, WORSE]), mixture=False)
    ]
    records.write(folder / "runs.parquet", rows, records.RUNS)
    records.write(folder / "curves.parquet", list(curves), records.CURVES)
    line = {name: unknown("only 0 distinct losses") for name in ("intercept", "slope")}
    (folder / "accuracy.json").write_text(json.dumps(line | {"r2": None, "n_runs": 0}))
    path = folder / "report.html"
    report.write(
        path, study="mine", description="", runs=folder / "runs.parquet", curves=folder / "curves.parquet",
        laws=inputs["laws"], accuracy=folder / "accuracy.json",
    )  # fmt: skip
    return check(path)


def test_what_a_table_of_finished_runs_lacks_is_left_out(tmp_path):
    text, page = finished(tmp_path)
    shown = {address[1:] for address in page.addresses if address.startswith("#")}
    assert shown == {"datasets", "runs", "laws"}
    for name in set(EMPTY) - shown:
        assert f'id="{name}"' not in text
    for words in ("AutoAttack", "PGD", "clean", "Seeds", "From loss to accuracy", "nan", "None", "depth", "generator"):
        assert words not in page.text, words
    assert "dataset FID runs largest D edm-18 2.10 4 6k edm-5 8.76 4 6k" in page.text
    assert "model N runs small 80k 4 large 690k 4" in page.text
    assert "The run with the lowest adversarial loss is large on edm-18 with 6k images: adversarial loss" in page.text
    assert "Lowest adversarial loss first" in page.text


def test_a_table_without_laws_has_no_laws(tmp_path):
    text, page = finished(tmp_path, laws=())
    assert 'href="#laws"' not in text
    assert "<h2" in text
    assert "Approach" not in page.text


def test_accuracies_that_some_runs_have_order_these_first(tmp_path):
    def few(row):
        lost = ["autoattack_acc", "autoattack_images"]
        # the best runs of all are those whose accuracy nobody measured
        lost += [] if row["model"] == "wrn-10-1" and row["dataset"] == "edm-5" else ["adv_acc", "clean_acc"]
        return row | dict.fromkeys(lost)

    _, page = write(tmp_path, forget=few)
    settings = between(page, "The most robust run is ", " nats. ")
    assert settings.startswith("wrn-10-1 on edm-5 with 60k images: accuracy")
    table = between(page, "model N dataset", "All 37 runs")
    order = [table.index(f"80k {words}") for words in ("edm-5 8.76 60k", "edm-5 8.76 20k", "edm-5 8.76 2k")]
    assert order == sorted(order)
    assert order[-1] < table.index("690k edm-18 2.10 60k")


def test_runs_by_another_recipe_are_told_and_not_compared(tmp_path):
    def other(rows):
        twin = next(row for row in rows if row["run"] == "wrn-10-1/edm-18/2000/0")
        for size in (2000, 6000):
            # far better on few images: it would make more images look useless
            rows.append(twin | {
                "run": f"wrn-10-1@fast/edm-18/{size}/0", "recipe": "fast", "size": size, "adv_loss": 0.01 * size,
                "adv_acc": 0.99,
            })  # fmt: skip

    _, page = write(tmp_path, change=other)
    assert "36 runs on purely synthetic data: 3 models \N{MULTIPLICATION SIGN} 4 dataset sizes" in page.text
    assert "2 runs trained by another recipe;" in page.text
    assert "for every model and dataset (9 of 9; 27 steps)" in page.text
    assert "in 36 of 36 comparisons" in page.text
    assert "The most robust run is wrn-10-1, recipe fast, on edm-18" in page.text
    assert "wrn-10-1@fast" in page.text


# table 3


def test_approaches_stand_at_the_best_fid_and_at_fid_0(tmp_path):
    limits = []
    for shift, place in enumerate((WORSE, BEST, (None, 0.0))):
        limits += [
            limit("N_star", cell(0.41 + shift / 100), place),
            limit("D_star", unknown("only 2 sizes"), place),
            limit("loss", cell(0.61 + shift / 100), place, 1e25),
            limit("loss", cell(0.71 + shift / 100), place, 1e20),
            limit("accuracy", cell(0.81 + shift / 100, 0.01), place, 1e25),
            limit("params", cell(3.2e8), place, 1e25),
            limit("asymptote", cell(0.51 + shift / 100), place),
            limit("accuracy_limit", cell(0.85 + shift / 100, 0.01), place),
        ]
    _, page = write(tmp_path, limits=limits)
    table = between(page, "Table 3. Approaches.", "At the other FIDs")
    heads = ("a (exponent of N*)", "b (exponent of D*)", "L* at 1e25 FLOPs", "limit of L (nats)", "limit of accuracy")
    assert f"approach {' '.join(heads)} On edm-18 (FID 2.10), the best FID {TITLE} 0.420 [0.378, 0.462]" in table
    assert "0.620 [0.558, 0.682] 0.520 [0.468, 0.572] 86.0% [85.1%, 86.9%] At FID 0" in table
    assert f"At FID 0 {TITLE} 0.430 [0.387, 0.473] not determined 1 0.630" in table
    assert table.rstrip().endswith("1 only 2 sizes")
    assert "0.410" not in table
    others = between(page, "At the other FIDs", "at the best FID and at FID 0")
    assert "On edm-5 (FID 8.76)" in others
    assert "0.410 [0.369, 0.451]" in others
    budgets = between(page, "at the best FID and at FID 0", " Laws ")
    assert f"{TITLE} 1e25 320M [288M, 352M] not modelled 0.620 [0.558, 0.682] 82.0%" in budgets
    assert f"{TITLE} 1e20 not modelled not modelled 0.720" in budgets
    # nobody named human level, so nothing is said of it
    assert "uman level" not in page.text


@pytest.mark.parametrize(
    ("best", "zero", "sentence"),
    [
        (unknown("never: the limit is 78.1%"), cell(1.1e30, 0.5),
         "Human level takes 1.1e30 [5.5e29, 1.65e30] FLOPs at FID 0 and is never reached on edm-18 (FID 2.10)."),
        (unknown("never: the limit is 78.1%"), unknown("never: the limit is 83.7%"),
         "Human level is never reached on edm-18 (FID 2.10) or at FID 0."),
        (unknown("only 2 sizes"), cell(1.1e30) | {"high": None},
         "Human level takes 1.1e30 [9.9e29, never] FLOPs at FID 0."),
        (unknown("only 2 sizes"), unknown("only 2 sizes"), "What it takes to reach it is not determined by any law."),
    ],
    ids=["never and at last", "never", "perhaps never", "not determined"],
)  # fmt: skip
def test_human_level_is_told_with_what_it_takes(tmp_path, best, zero, sentence):
    limits = [human(0.9046), limit("flops_to_human", best), limit("flops_to_human", zero, (None, 0.0))]
    text, page = write(tmp_path, limits=limits)
    assert "Human level here is 90.5% accuracy under attack." in page.text
    assert sentence in page.text
    assert "human_accuracy" not in text
    table = between(page, "FLOPs to human level", "N*, D*" if "N*, D*" in page.text else " Laws ")
    assert ("never" in table) == (best["why"].startswith("never") or "never" in sentence)
    if best["why"].startswith("never"):
        assert "never 1" in table
        assert "1 never: the limit is 78.1%" in table


# laws


def test_predictions_of_unseen_datasets_stand_beside_r2(tmp_path):
    def kept(law):
        law["held_out"] = {
            "edm-18": {"r2": 0.912, "n": 12, "median_error": 0.0312},
            "edm-3": {"r2": -1.25, "n": 12, "median_error": 0.187},
            "edm-5": {"r2": None, "n": 1, "median_error": 0.05},
        }

    _, page = write(tmp_path, change_law=kept, laws=("additive",))
    assert f"{TITLE} 36 0.970 -1.250 to 0.912 3.1% to 18.7% converged 195 of 243" in page.text
    table = between(page, "By dataset (3)", "Fitted to")
    assert "R² R² unseen error unseen" in table
    assert "0.950 0.912 3.1% edm-5 (FID 8.76)" in table
    assert "0.950 5.0% edm-3 (FID 41.2)" in table
    assert "0.950 -1.250 18.7%" in table


def test_without_such_predictions_nothing_is_said_of_them(tmp_path):
    assert "nseen" not in write(tmp_path)[1].text


def test_laws_flag_the_unconverged_stage_of_two(tmp_path):
    def staged(law):
        if law["law"] == "additive":
            second = law["fit"] | {"converged": False, "starts": 12, "starts_agreeing": 1, "objective": 3.4e-5}
            law["fit"] = {"stages": [law["fit"], second]}

    limits = [limit("N_star", cell(0.5)), limit("N_star", cell(0.4), law="bottleneck")]
    text, page = write(tmp_path, change_law=staged, limits=limits)
    assert "Stage 1: converged, objective 1.2e-6, gradient norm 3e-9, 195 of 243 starts agree" in page.text
    assert "Stage 2: not converged, objective 3.4e-5, gradient norm 3e-9, 1 of 12 starts agree" in page.text
    assert f"{TITLE} 36 0.970 not converged 195 of 243; 1 of 12" in page.text
    assert "the fit has not converged: its numbers are not those of the best fit" in page.text
    # in table 3, the overview and the law's heading, and at no other law
    assert text.count('<span class="badge">not converged</span>') == 3
    assert f"{TITLE} not converged 0.500" in page.text


def test_laws_state_missing_convergence_once(tmp_path):
    def stopped(law):
        law["fit"] = (law["fit"] or {}) | {"converged": False}
        law["warnings"] = ["the fit has not converged: gradient norm 1.0e-02"]

    text, page = write(tmp_path, change_law=stopped, laws=("additive",))
    assert page.text.count("the fit has not converged") == 1
    assert text.count('class="badge"') == 2


def test_a_warning_of_several_datasets_is_said_once(tmp_path):
    def warned(law):
        law["warnings"] = ["edm-18: only 2 sizes", "N spans only 3x", "edm-3: only 2 sizes", "note: only 2 sizes"]

    _, page = write(tmp_path, change_law=warned, laws=("envelope",))
    assert "only 2 sizes (edm-18 and edm-3); N spans only 3x; note: only 2 sizes By dataset" in page.text


# the published study


def test_the_published_study_stands_beside_this_one(tmp_path):
    comparison = [
        compared("a (exponent of N*)", 0.47, "DG", 1.65, recipe=0.4829, printed=0.48),
        compared("a (exponent of N*)", 0.46, "PFGM++", 1.76, printed=0.47),
        compared("a (exponent of N*)", 0.45, None, 0.0, printed=0.44),
        compared("limit of accuracy", 0.83, None, 0.0),
        compared("FLOPs to human level", 1.5e29, None, 0.0, printed=1e30) | {"high": None},
        compared("alpha", 0.25, printed=0.24434),
        compared("N* at 1e25 FLOPs", 2.5e9, "DG", 1.65),
        compared("L* at 1e20 FLOPs", 0.75, "DG", 1.65),
        compared("how it bends", 0.9, printed=0.8) | {"determined": False, "why": "only one of them"},
        compared("R²", 0.98, law="unheard_of"),
    ]
    limits = [
        limit("N_star", cell(0.3333), (None, 0.0)),
        limit("accuracy_limit", cell(0.71, 0.01), (None, 0.0)),
        limit("params", cell(3.5e9), BEST, 1e25),
        limit("loss", cell(0.65), BEST, 1e25),
    ]
    _, page = write(tmp_path, comparison=comparison, limits=limits, origin="Read off figures.")
    settings = between(page, "Beside the published study", " Laws ")
    assert settings.lstrip().startswith("Read off figures. The paper's runs")
    assert page.text.count("Read off figures.") == 1
    short, every = settings.split("Everything compared (10)")
    # beside the paper's best dataset stands this study's best; beside FID 0, FID 0; beside another nothing
    for words in (
        "a (exponent of N*) DG (FID 1.65) 0.470 [0.423, 0.517] 0.483 0.480 0.488 [0.439, 0.536] a (exp",
        "a (exponent of N*) PFGM++ (FID 1.76) 0.460 [0.414, 0.506] 0.470 a (exp",
        "a (exponent of N*) FID 0 0.450 [0.405, 0.495] 0.440 0.333 [0.300, 0.367]",
        "limit of accuracy FID 0 83.0% [74.7%, 91.3%] 71.0% [70.3%, 71.7%]",
        "FLOPs to human level FID 0 1.5e29 [1.35e29, never] 1e30",
        "R² 0.980 [0.882, 1.08]",
    ):
        assert words in short
        assert words in every
    for words in (
        "alpha 0.250 [0.225, 0.275] 0.244 0.234 [0.211, 0.258]",
        "N* at 1e25 FLOPs DG (FID 1.65) 2.5B [2.25B, 2.75B] 3.5B [3.15B, 3.85B]",
        "L* at 1e20 FLOPs DG (FID 1.65) 0.750 [0.675, 0.825] how it bends not determined 1 0.800",
    ):
        assert words not in short
        assert words in every
    assert every.endswith("1 only one of them")


def test_the_published_study_does_not_stand_beside_itself(tmp_path):
    comparison = [
        compared("alpha", 0.2345, printed=0.24434),
        compared("how it bends", 0.9),
        compared("limit of the loss", 0.542, *BEST),
        compared("limit of the loss", 0.6752, *WORSE),
    ]
    _, page = write(tmp_path, comparison=comparison, origin="Read off figures.")
    settings = between(page, "Beside the published study", " Laws ")
    assert "this study" not in settings.casefold()
    assert "limit of the loss edm-5 (FID 8.76) 0.675 [0.608, 0.743]" in settings
    # then these runs are the report's own
    assert page.text.index("Read off figures.") < page.text.index("36 runs on purely")


def test_laws_leave_undetermined_numbers_out_of_comparison(tmp_path):
    text, page = write(tmp_path, comparison=[compared("alpha", 0.25)], determined=False)
    settings = "alpha 0.250 [0.225, 0.275] not determined 1 1 the interval spans zero"
    assert settings in between(page, "Beside the published study", " Laws ")
    assert "0.234" not in text
