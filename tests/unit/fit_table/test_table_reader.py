"""What people bring: tables that are right in any spelling, and wrong ones that are refused in one clear line."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robustlaws import cli
from robustlaws.fit_table import columns, paper_runs
from robustlaws.fit_table import curves as learning
from robustlaws.fit_table import runs as run_table
from robustlaws.networks import wrn_flops
from robustlaws.storage import tables
from tests.support import finished_tables as made


def millions(name):
    return lambda row: row[name] / 1e6


# What is wrong -> rows, and what the line says: file first, then column, row, value, and what would do.
WRONG = {
    "no column of losses": (
        made.changed(drop=("loss",)),
        r"no column 'loss' \(also l, adv_loss.*there are: params, images",
    ),
    "no column of parameters": (made.changed(drop=("params",)), r"no column 'params' \(also n, "),
    "negative loss": (made.changed(3, loss=-0.7), r"column loss, line 5: -0\.7: has to be 0 or more"),
    "loss of zero": (made.changed(0, loss=0), r"column loss, line 2: 0: a loss in nats is above 0"),
    "loss not a number": (made.changed(1, loss="nan"), r"column loss, line 3: nan: every run needs one"),
    "loss missing": (made.changed(1, loss=""), r"column loss, line 3: empty: every run needs one"),
    "loss infinite": (made.changed(1, loss="inf"), r"column loss, line 3: inf: not a finite number"),
    "text for a loss": (made.changed(2, loss="low"), r"column loss, line 4: low: not a number; write it out as 0\.725"),
    "parameters with a letter": (
        made.changed(2, params="20M"),
        r"column params, line 4: 20M: not a number; write it out as 5000000",
    ),
    "parameters in millions": (
        made.changed(params=millions("params")),
        r"column params, line 2: 5\.84905: not a whole number; in millions\?",
    ),
    "parameters in whole millions": (
        made.changed(params=lambda row: round(row["params"] / 1e6)),
        r"column params, line 2: 6: too few.*in millions\?.*5849050",
    ),
    "parameters in thousands": (
        made.changed(params=lambda row: row["params"] // 1000),
        r"column params, line 2: 5849: a WRN-28-4 has about 5849050",
    ),
    "parameters of one run in thousands, no shapes": (
        made.changed(5, drop=("depth", "width"), params=5849, flops=1e18),
        r"column flops, line 7: 1e\+18: FLOPs / \(N D\) is .*, which cannot be; usual is 7822",
    ),
    "flops in petaflops": (
        made.changed(flops=lambda row: row["flops"] / 1e15),
        r"column flops, line 2: .*FLOPs / \(N D\) is 7\.82e-12, which cannot be; usual is 7822",
    ),
    "flops of one run ten times off": (
        made.changed(4, flops=lambda row: row["flops"] * 10),
        r"column flops, line 6: .* is 7\.82e\+04; in the other runs it is 7822",
    ),
    "no flops": (
        made.changed(drop=("flops",)),
        r"column flops, no such column: give FLOPs, or --flops-per-parameter-image \(7822",
    ),
    "flops of one run missing": (made.changed(7, flops=""), r"column flops, line 9: give FLOPs, or --flops"),
    "flops of zero": (made.changed(7, flops=0), r"column flops, line 9: 0: a run takes some"),
    "images in millions": (
        made.changed(images=lambda row: row["images"] // 1_000_000),
        r"column images, line 2: 5: too few images; in millions\?.*5000000",
    ),
    "images of one run in millions": (
        made.changed(6, images=30),
        r"column images, line 8: 30: too few images; in millions\?",
    ),
    "accuracy in percent": (
        made.changed(accuracy=lambda row: 100 * row["accuracy"]),
        r"column accuracy, line 2: .*more than 1; is this in percent\? Give a share, as 0\.\d",
    ),
    "accuracy above 100": (made.changed(0, accuracy=7000), r"column accuracy, line 2: 7000: has to be 1 or less"),
    "negative accuracy": (made.changed(0, accuracy=-0.1), r"column accuracy, line 2: -0\.1: has to be 0 or more"),
    "negative FID": (made.changed(1, fid=-1.65), r"column fid, line 3: -1\.65: has to be 0 or more"),
    "two FIDs of a dataset": (
        made.changed(1, fid=1.7),
        r"column fid, line 3: 1\.7: dataset DG has 1\.65 in line 2; a dataset has one FID",
    ),
    "several datasets without FID": (made.changed(drop=("fid",)), r"3 datasets and no FID; add a column fid"),
    "a run twice": (
        made.rows() + made.rows()[:1],
        r"line 2 and line 74: the same run twice \(wrn-28-4/DG/5000000/1\).*column seed",
    ),
    "a model of two sizes": (
        made.changed(drop=("depth", "width"), model="wrn"),
        r"column params, line 6: 8949210: model wrn has 5849050 in line 2",
    ),
    "a slash in a name": (
        made.changed(dataset="a/b", fid=1),
        r"column dataset, line 2: a/b: a name may hold neither / nor @",
    ),
    "an at in a name": (made.changed(recipe="b@c"), r"column recipe, line 2: b@c: a name may hold"),
    "a depth that is none": (made.changed(depth=4), r"column depth, line 2: 4: has to be 10 or more"),
    "half a layer": (made.changed(depth=28.5), r"column depth, line 2: 28\.5: not a whole number"),
    "a huge number": (made.changed(0, flops="1e300"), r"column flops, line 2: 1e300: has to be 1e\+60 or less"),
    "two spellings of one column": (made.changed(N=5), r"columns 'params' and 'N' mean the same; leave one out"),
    "only runs with real images": (
        made.changed(real_fraction=0.5),
        r"no two runs that a law may use; of 72 are left out 72: mixes real images in",
    ),
    "only runs of another recipe": (
        made.changed(recipe="other"),
        r"no two runs that a law may use; of 72 are left out 72: trained by another recipe",
    ),
    "one run": (made.rows()[:1], r"1 run; a law needs several"),
}

# The text of a file that is no such table -> what the line says.
NO_TABLE = {
    "empty": ("", r"the file is empty"),
    "blank lines": ("\n\n", r"the file is empty"),
    "only a header": ("params,images,loss,flops\n", r"the table has no rows"),
    "no header": (
        "5849050,5000000,0.9,2e17\n1,2,3,4\n",
        r"line 1: holds numbers; the first line is to name the columns",
    ),
    "semicolons": (
        "params;images;loss\n5849050;5000000;0,9\n",
        r"line 1: only one column, 'params;images;loss'.*by commas",
    ),
    "a row cut short": (
        "params,images,loss,flops\n5849050,5000000,0.9,2e17\n5849050,50000",
        r"line 3: 2 cells where the header has 4",
    ),
    "a row too long": ("params,images,loss\n1,2,3,4\n", r"line 2: 4 cells where the header has 3"),
    "an open quote": ('params,images,loss\n1,2,"3\n', r"not a CSV table: unexpected end of data"),
}


def refused(capsys, out, *words):
    """Run the command; return the line that it is refused with."""
    assert cli.main(["fit", *map(str, words), "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    assert "Traceback" not in captured.err
    assert not out.exists()
    return captured.err.removeprefix("robustlaws fit: ").rstrip("\n")


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_table_is_refused_in_one_line(case, tmp_path, capsys):
    table, expected = WRONG[case]
    path = made.write_csv(tmp_path / "mine.csv", table)
    line = refused(capsys, tmp_path / "out", path)
    assert line.startswith(str(path))
    assert re.search(expected, line), line


@pytest.mark.parametrize("case", NO_TABLE)
def test_what_is_no_table_is_refused_in_one_line(case, tmp_path, capsys):
    text, expected = NO_TABLE[case]
    path = tmp_path / "mine.csv"
    path.write_text(text)
    line = refused(capsys, tmp_path / "out", path)
    assert line.startswith(str(path))
    assert re.search(expected, line), line


def test_files_that_hold_something_else_are_refused(tmp_path, capsys):
    out = tmp_path / "out"
    picture = tmp_path / "picture.csv"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe" * 50)
    cut = tmp_path / "cut.parquet"
    pd.DataFrame(made.rows()).to_parquet(cut)
    cut.write_bytes(cut.read_bytes()[:2000])
    book = tmp_path / "mine.xlsx"
    book.write_bytes(b"PK")
    for path, expected in {
        picture: "not a CSV table: it is not text in UTF-8",
        cut: "not a readable Parquet table",
        book: "unknown kind of table '.xlsx'; known: .csv, .parquet",
        tmp_path: "a folder; give a table",
        tmp_path / "none.csv": "no such file",
    }.items():
        assert expected in refused(capsys, out, path)


def test_parquet_is_refused_with_rows_instead_of_lines(tmp_path, capsys):
    frame = pd.DataFrame(made.rows())
    frame.loc[4, "loss"] = -1.0
    frame.to_parquet(tmp_path / "mine.parquet")
    assert "column loss, row 5: -1.0" in refused(capsys, tmp_path / "out", tmp_path / "mine.parquet")
    frame["loss"] = [[1.0]] * len(frame)
    frame.to_parquet(tmp_path / "mine.parquet")
    assert "column loss, row 1: [1.0]: not a number" in refused(capsys, tmp_path / "out", tmp_path / "mine.parquet")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_good_table_becomes_records(kind, tmp_path):
    table = made.rows()
    path = tmp_path / f"mine.{kind}"
    made.write_csv(path, table) if kind == "csv" else pd.DataFrame(table).to_parquet(path)
    result = run_table.runs(path)
    pd.testing.assert_frame_equal(tables.table(result, tables.RUNS), result)
    expected = pd.DataFrame(table)
    assert (result["params"] == expected["params"]).all()
    assert (result["images"] == expected["images"]).all()
    assert (result["size"] == expected["images"]).all()
    for ours, theirs in {"adv_loss": "loss", "flops": "flops", "fid": "fid", "adv_acc": "accuracy"}.items():
        assert (result[ours] == expected[theirs]).all()
    assert result["run"].tolist()[:2] == ["wrn-28-4/DG/5000000/1", "wrn-28-4/DG/10000000/1"]
    assert (result["real_fraction"] == 0).all()
    assert result["recipe"].isna().all()
    assert result["autoattack_acc"].isna().all()


def test_other_spellings_defaults_and_columns_of_no_meaning(tmp_path, caplog):
    table = [
        {"N": row["params"], "D": row["images"], "Adv Loss": row["loss"], "comment": "x"} for row in made.rows()[:24]
    ]
    path = made.write_csv(tmp_path / "mine.csv", table)
    with pytest.raises(ValueError, match="give FLOPs, or --flops-per-parameter-image"):
        run_table.runs(path)
    with caplog.at_level("INFO", logger="robustlaws"):
        result = run_table.runs(path, flops_per_parameter_image=7822)
    assert "not used: comment" in caplog.text
    assert np.allclose(result["flops"], 7822.0 * result["params"] * result["images"])
    assert set(result["dataset"]) == {"all"}
    assert (result["fid"] == 0).all()
    assert result["run"].iloc[0] == "n-5849050/all/5000000/1"


def test_a_dataset_without_a_fid_is_kept_but_left_to_itself(tmp_path):
    table = made.changed()
    for row in table:
        row["fid"] = "" if row["dataset"] == "EDM-7" else row["fid"]
    table[0]["fid"] = ""  # another row says it
    result = run_table.runs(made.write_csv(tmp_path / "mine.csv", table))
    assert result["fid"].isna().sum() == 24
    assert (result.loc[result["dataset"] == "DG", "fid"] == 1.65).all()


def test_every_spelling_means_one_column():
    spelt = [columns.spelt(name) for key, item in columns.RUNS.items() for name in (key, *item.aliases)]
    assert len(set(spelt)) == len(spelt)
    assert {item.target for item in columns.RUNS.values()} <= set(tables.RUNS)
    assert columns.spelt(" Adv-Loss ") == "adv_loss"


def test_shape_check_passes_over_other_networks(tmp_path):
    table = [row | {"depth": 50, "width": 1, "model": f"r{row['params']}"} for row in made.rows()]
    assert len(run_table.runs(made.write_csv(tmp_path / "mine.csv", table))) == 72


def test_many_classes_are_within_what_a_wide_resnet_can_have(tmp_path):
    table = made.changed(params=lambda row: wrn_flops.wrn_parameters(row["depth"], row["width"], classes=1000))
    table = [row | {"flops": 7822.0 * row["params"] * row["images"]} for row in table]
    assert len(run_table.runs(made.write_csv(tmp_path / "mine.csv", table))) == 72


def own_tables(tmp_path):
    """A runs.parquet and a curves.parquet as a study writes them."""
    runs = run_table.runs(made.write_csv(tmp_path / "mine.csv", made.rows()))
    runs = runs.assign(clean_loss=0.5, clean_acc=0.9, test_images=300, forward_flops=1000, seed=2)
    runs["run"] = [f"{row.model}/{row.dataset}/{row.size}/2" for row in runs.itertuples()]
    # a study has runs without a loss of interest and tiny ones, which nobody has to explain here
    runs.loc[0, ["images", "size"]] = 256
    curves = [
        {
            **{name: row[name] for name in ("run", "model", "dataset", "size", "seed")},
            "train_fraction": share,
            "images": int(share * row["images"]),
            "flops": share * row["flops"],
            "clean_loss": 0.5,
            "clean_acc": 0.9,
            "adv_loss": row["adv_loss"] * (1 + 0.1 * (1 - share)),
            "adv_acc": 0.5,
            "test_images": 300,
        }
        for row in runs.to_dict("records")
        for share in (0.0, 0.5, 0.75, 1.0)
    ]
    tables.write(tmp_path / "runs.parquet", runs, tables.RUNS)
    tables.write(tmp_path / "curves.parquet", curves, tables.CURVES)
    return tmp_path / "runs.parquet", tmp_path / "curves.parquet"


def test_our_own_tables_are_taken_as_they_are(tmp_path):
    runs_path, curves_path = own_tables(tmp_path)
    runs = run_table.runs(runs_path)
    pd.testing.assert_frame_equal(runs, tables.read(runs_path, tables.RUNS))
    pd.testing.assert_frame_equal(learning.curves(curves_path, runs), tables.read(curves_path, tables.CURVES))


def test_curves_find_their_runs_by_whatever_names_them(tmp_path):
    runs_path, curves_path = own_tables(tmp_path)
    runs, curves = run_table.runs(runs_path), tables.read(curves_path, tables.CURVES)
    shape = runs.set_index("run").loc[curves["run"], ["depth", "width"]].reset_index(drop=True)
    named = curves.drop(columns=["run", "model", "train_fraction", "flops"]).assign(**shape)
    named.to_csv(tmp_path / "curves.csv", index=False)
    result = learning.curves(tmp_path / "curves.csv", runs)
    assert (result["run"] == curves["run"]).all()
    assert np.allclose(result["flops"], curves["flops"])
    assert np.allclose(result["train_fraction"], curves["train_fraction"], atol=0.01)

    for broken, expected in {
        "no run has": named.assign(dataset="other"),
        "runs have": named.drop(columns=["dataset"]),
        "no column says whose curve": named.drop(columns=["depth", "width", "dataset", "size", "seed"]),
        "more than the run's": named.assign(images=named["images"] * 3),
        "a loss in nats is above 0": named.assign(adv_loss=0.0),
    }.items():
        expected.to_csv(tmp_path / "curves.csv", index=False)
        with pytest.raises(ValueError, match=broken) as error:
            learning.curves(tmp_path / "curves.csv", runs)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("depth", [604, 600_000_000_004])
def test_a_depth_beyond_all_networks_is_refused_at_once(tmp_path, depth):
    table = made.rows()[:12]
    table[3]["depth"] = depth
    with pytest.raises(ValueError, match=rf"params.*WRN-{depth}-\d+ has about \d+; give a count, or leave depth"):
        run_table.runs(made.write_csv(tmp_path / "mine.csv", table))


CELLS = st.one_of(
    st.integers(-5, 10**12).map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=8),
    st.sampled_from(["", "nan", "71.3%", "1e400", "-0", "5_000", "0x10", "TRUE"]),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_table_reader_reads_or_refuses_any_cell_in_one_line(data, tmp_path):
    """No cell may end in a traceback, or come through as a number that a run cannot have."""
    table = made.rows()[:12]
    for _ in range(data.draw(st.integers(1, 3))):
        row, name = data.draw(st.integers(0, 11)), data.draw(st.sampled_from(list(table[0])))
        table[row][name] = data.draw(CELLS)
    path = made.write_csv(tmp_path / "mine.csv", table)
    result = refusal = None
    try:
        result = run_table.runs(path)
    except ValueError as error:
        refusal = str(error)
    if result is None:
        assert refusal.startswith(str(path))
        assert len(refusal.splitlines()) == 1
    else:
        assert len(result) == 12
        assert (result[["params", "images", "flops", "adv_loss"]] > 0).all(axis=None)
        assert np.isfinite(result["fid"]).all()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    losses=st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=6, unique=True),
    params=st.integers(10_000, 10**12),
    images=st.integers(10_000, 10**12),
    ratio=st.floats(2, 9e5),
)
def test_numbers_come_through_unchanged(losses, params, images, ratio, tmp_path):
    table = [
        {"params": params, "images": images, "loss": loss, "flops": ratio * params * images, "seed": seed}
        for seed, loss in enumerate(losses)
    ]
    result = run_table.runs(made.write_csv(tmp_path / "mine.csv", table))
    assert result["adv_loss"].tolist() == losses
    assert (result["params"] == params).all()
    assert (result["images"] == images).all()
    assert (result["flops"] == ratio * params * images).all()


def test_the_published_table_can_be_brought_like_any_other():
    result, ours = run_table.runs(Path(str(paper_runs.TABLE))), paper_runs.runs()
    assert len(result) == len(ours) == 220
    for name in ("params", "images", "flops", "adv_loss", "fid", "dataset", "model"):
        assert (result[name] == ours[name]).all()
