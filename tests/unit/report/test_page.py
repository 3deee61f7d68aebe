"""The report: one page that says what the tables say, and nothing that the data do not determine."""

import json

import pytest

from robustlaws import report
from robustlaws.figures import FIGURES, HEADINGS
from robustlaws.formatting.numbers import TIMES
from robustlaws.storage import tables
from tests.support.figure_study import build, run_rows
from tests.support.report_pages import benchmarks, check, draw, write


def test_a_page_stands_alone(tmp_path):
    text, page = write(tmp_path, figures=("samples", "accuracy"))
    assert "<script" not in text
    assert [(image["width"], image["height"]) for image in page.images] == [("3", "2")] * 2
    for image in page.images:
        assert image["src"].startswith("data:image/png;base64,")
        assert image["alt"]
    assert [address for address in page.addresses if not address.startswith(("data:", "#"))] == []
    assert all(header.get("scope") in ("row", "col", "rowgroup") for header in page.headers)
    assert "A study of <digits> & their laws." in page.text


def test_every_figure_has_a_caption_and_a_heading():
    assert all(figure.caption for figure in FIGURES.values())
    assert {figure.heading for figure in FIGURES.values()} == set(HEADINGS)


def test_a_figure_without_a_caption_has_its_name(tmp_path):
    _, page = write(tmp_path, figures=("never_heard_of",))
    assert page.images[0]["alt"] == "never heard of."
    assert "Figure 1. never heard of." in page.text


def test_files_beside_a_figure_are_linked(tmp_path):
    draw(tmp_path / "figures" / "samples.png").with_suffix(".svg").write_text("<svg/>")
    (tmp_path / "figures" / "samples.parquet").write_text("")
    _, page = write(tmp_path, figures=("samples", "accuracy"))
    links = [address for address in page.addresses if not address.startswith(("data:", "#"))]
    assert links == ["figures/samples.svg", "figures/samples.parquet"]


def test_page_numbers_figures_across_headings(tmp_path):
    names = ("adversarial", "accuracy", "never_heard_of", "samples", "predictions", "allocation", "learning_curves")
    _, page = write(tmp_path, figures=names)
    order = [page.text.index(f"Figure {number}.") for number in range(1, 8)]
    assert order == sorted(order)
    assert "Figure 7. never heard of" in page.text
    for heading, lead in (("Data and training", "Images of each dataset"), ("Attacks", "Adversarial images")):
        assert f"{heading} Figure" in page.text
        assert lead in page.text.split(f" {heading} Figure")[-1]


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    assert write(tmp_path / "a")[0] == write(tmp_path / "b")[0]


def test_the_summary_counts_and_names_the_best_run(tmp_path):
    _, page = write(tmp_path)
    grid = f"3 models {TIMES} 4 dataset sizes {TIMES} 3 datasets; 1 run that mixes"
    assert f"36 runs on purely synthetic data: {grid}" in page.text
    assert "The most robust run is wrn-16-2 on edm-18 with 60k images: accuracy" in page.text
    assert "under AutoAttack (300 images; 95% interval" in page.text
    assert "for every model and dataset (9 of 9; 27 steps)" in page.text
    assert "Better FID always goes with lower adversarial loss: in 36 of 36 comparisons" in page.text
    assert (
        "Approach 2: additive with data quality: N* grows as FLOPs to the power 0.488 [0.439, 0.536] on edm-18"
        in page.text
    )


def test_accuracies_under_attack_have_intervals(tmp_path):
    _, page = write(tmp_path)
    assert "with its 95% interval" in page.text
    best = max(run_rows({"wrn-16-2": 690_000}, (60000,), {"edm-18": 2.1}), key=lambda row: row["adv_acc"])
    cells = [
        f"{100 * share:.1f}% [{100 * share - 2:.1f}%, {100 * share + 1:.1f}%] of 300"
        for share in (best["clean_acc"], best["adv_acc"], best["autoattack_acc"])
    ]
    assert f"victim clean pgd_cw autoattack wrn-16-2/edm-18/60000/0 {' '.join(cells)}" in page.text
    assert "All 37 victims" in page.text
    assert "victim after accuracy wrn-16-2/edm-18/60000/0 autoattack/apgd-ce" in page.text


def test_a_size_that_raises_the_loss_is_named(tmp_path):
    def planted(rows):
        by_size = {row["size"]: row for row in rows if row["model"] == "wrn-10-2" and row["dataset"] == "edm-5"}
        by_size[20000]["adv_loss"] = by_size[6000]["adv_loss"] + 0.5

    _, page = write(tmp_path, change=planted)
    assert "does not always lower the adversarial loss" in page.text
    assert "8 of 9 combinations of model and dataset; 1 of 27 steps does not" in page.text
    assert "wrn-10-2 on edm-5: from 6k to 20k images the loss goes from" in page.text
    assert "wrn-10-1 on edm-5: from" not in page.text


def test_a_worse_dataset_that_wins_is_counted(tmp_path):
    def planted(rows):
        for row in rows:
            if row["dataset"] == "edm-18":
                row["adv_loss"] += 10

    _, page = write(tmp_path, change=planted)
    assert "Better FID does not always go with lower adversarial loss: in 12 of 36 comparisons" in page.text
    assert "edm-18 (FID 2.10) has the lower loss than edm-5 (FID 8.76) in 0 of 12" in page.text


def test_a_missing_run_of_the_grid_is_told(tmp_path):
    _, page = write(tmp_path, change=lambda rows: rows.pop(5))
    assert "35 runs on purely synthetic data" in page.text
    assert "(35 of the grid's 36 combinations)" in page.text


def test_what_is_not_determined_is_told_without_its_number(tmp_path):
    text, page = write(tmp_path, determined=False)
    assert page.text.count("not determined: the interval spans zero") >= 3
    assert "not determined 1" in page.text
    assert "1 the interval spans zero" in page.text
    for number in ("0.488", "0.4876", "0.512", "3.14", "0.234", "12.3", "-0.0512", "0.542"):
        assert number not in text, number
    known, _ = write(tmp_path / "known")
    assert "0.488" in known
    assert "3.14" in known


def test_a_study_of_one_cell_says_what_cannot_be_said(tmp_path):
    item = {"models": {"wrn-10-1": 80_000}, "datasets": {"edm-5": 8.76}, "sizes": (2000,), "mixture": False}
    _, page = write(tmp_path, determined=False, with_allocations=False, with_predictions=False, **item)
    assert f"1 run on purely synthetic data: 1 model {TIMES} 1 dataset size {TIMES} 1 dataset;" in page.text
    assert "Whether more images help cannot be said" in page.text
    assert "Whether better FID helps cannot be said" in page.text


def test_time_is_added_up_by_stage(tmp_path):
    _, page = write(tmp_path)
    assert "train 2 1 min 14 s 1 min 01 s 1.2 GB" in page.text
    assert "fit_law 1 3.2 s 3.2 s not measured" in page.text
    assert "Jobs run in parallel" in page.text


def test_names_cannot_become_markup(tmp_path):
    text, page = write(tmp_path, models={"<script>alert(1)</script>": 80_000}, settings={"a": "</pre><script>"})
    assert "<script" not in text
    assert "<script>alert(1)</script>" in page.text


def test_a_broken_file_is_named(tmp_path):
    inputs = build(tmp_path / "in")
    bad = tmp_path / "benchmarks" / "train" / "x.tsv"
    bad.parent.mkdir(parents=True)
    bad.write_text("nothing here\n1\n")
    given = {name: inputs[name] for name in ("runs", "curves", "attacks", "laws", "accuracy", "quality")}
    rest = {"study": "s", "description": "", "settings": {}, "versions": {}}
    with pytest.raises(ValueError, match=r"x\.tsv: not a Snakemake benchmark file"):
        report.write(tmp_path / "r.html", figures=[], timings=[bad], **given, **rest)
    with pytest.raises(ValueError, match=r"x\.tsv: not a PNG file"):
        report.write(tmp_path / "r.html", figures=[bad], timings=[], **given, **rest)
    inputs["laws"][0].write_text(json.dumps({"title": "no law"}))
    with pytest.raises(ValueError, match="not a law file"):
        report.write(tmp_path / "r.html", figures=[], timings=[], **given, **rest)
    assert not (tmp_path / "r.html").exists()


def test_the_workflow_gives_its_config_and_folders(tmp_path):
    inputs = build(tmp_path / "in")
    benchmarks(tmp_path)
    given = {name: inputs[name] for name in ("runs", "curves", "attacks", "laws", "accuracy", "quality")}
    limits, folder = tmp_path / "limits.parquet", tmp_path / "published"
    tables.write(limits, [], tables.APPROACHES)
    tables.write(folder / "comparison.parquet", [compared()], tables.COMPARISON)
    (folder / "report.html").write_text("")
    config = {"study": "mine", "description": "All mine.", "seed": 17}
    given |= {"explorer": tmp_path / "explorer.html", "plan": tmp_path / "plan.html", "published_folders": [folder]}
    path = tmp_path / "report.html"
    report.write_files(
        path, config=config, figures=[], limits=limits, benchmarks=tmp_path / "benchmarks", origin="From afar.", **given
    )
    _, page = check(path)
    settings = ("mine: scaling laws", "All mine.", "train 2 1 min 14 s 1 min 01 s 1.2 GB", "matplotlib", '"seed": 17')
    for words in (*settings, "From afar.", "how it bends"):
        assert words in page.text
    links = [address for address in page.addresses if not address.startswith("#")]
    assert links == ["explorer.html", "plan.html", "published/report.html"]
    report.write_files(
        path, config=config, figures=[], limits=limits, benchmarks=tmp_path, **given | {"published_folders": []}
    )
    assert "published" not in check(path)[0]


def compared():
    """Return a row of tables.COMPARISON."""
    return {
        "law": "additive", "title": "Approach 2", "quantity": "how it bends", "dataset": None, "fid": None,
        "value": 0.5, "low": 0.4, "high": 0.6, "determined": True, "why": "", "recipe": 0.7, "printed": 0.9,
    }  # fmt: skip


def test_what_was_spent_stands_beside_what_is_charged(tmp_path):
    text, _ = write(tmp_path)
    assert "FLOPs are charged as the paper charges them; 80.0% of them were spent." in text
