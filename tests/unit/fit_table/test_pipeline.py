"""`robustlaws fit`: what comes out of a table, into which folder, and what stays whole when it is interrupted."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys

import pandas as pd
import pytest

from robustlaws import cli
from robustlaws.figures import FIGURE_INPUTS, FIGURES
from robustlaws.fit_table import output_folder, pipeline
from robustlaws.laws import LAWS, additive, determination, published
from robustlaws.storage import tables
from tests.support import finished_tables as made

QUICK = ("--refits", "20", "--laws", "additive")
TABLES = {
    "runs.parquet": tables.RUNS,
    "curves.parquet": tables.CURVES,
    "laws/limits.parquet": tables.APPROACHES,
    "laws/accuracy_refits.parquet": tables.REFITS,
    "laws/additive_allocations.parquet": tables.ALLOCATIONS,
    "laws/additive_predictions.parquet": tables.PREDICTIONS,
    "laws/additive_held_out.parquet": tables.PREDICTIONS,
    "laws/additive_refits.parquet": tables.REFITS,
}


def contents(path):
    """{name: bytes} of all files in a folder."""
    return {item.relative_to(path).as_posix(): item.read_bytes() for item in path.rglob("*") if item.is_file()}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return made.write_csv(tmp_path_factory.mktemp("brought") / "mine.csv", made.rows())


@pytest.fixture(scope="module")
def filled(table, tmp_path_factory):
    """A folder that was filled from the CSV, and what was printed."""
    out = tmp_path_factory.mktemp("fit") / "out"
    command = [sys.executable, "-m", "robustlaws", "fit", str(table), "--out", str(out), *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return out, done


def test_the_folder_holds_tables_laws_figures_and_pages(filled):
    out, _ = filled
    files = contents(out)
    for name, columns in TABLES.items():
        tables.read(out / name, columns)
    mark = json.loads(files["fit.json"])
    assert mark["finished"]
    assert mark["table"] == "mine.csv"
    assert set(mark["files"]) == set(files) - {"fit.json"}
    for page in ("report.html", "explorer.html"):
        assert files[page].lstrip().lower().startswith(b"<!doctype html")


def test_fit_draws_each_figure_with_inputs_and_points(filled):
    out, done = filled
    there = {"runs", "curves", "laws", "allocations", "predictions", "held_out", "refits", "accuracy",
             "accuracy_refits", "limits"}  # fmt: skip
    drawn = {path.name for path in (out / "figures").iterdir()}
    for name in FIGURES:
        files = {f"{name}.{kind}" for kind in ("png", "svg", "parquet")}
        if not set(FIGURE_INPUTS[name]) <= there or f"figure {name}: nothing to show" in done.stderr:
            assert not files & drawn, name
        else:
            assert files <= drawn, name
            assert len(tables.read(out / "figures" / f"{name}.parquet", tables.DRAWN)), name
    assert "allocation.png" in drawn


def test_the_laws_are_those_of_the_library(filled):
    """The same as a direct call with the same settings: the command is no second way to fit."""
    out, _ = filled
    work = pipeline.Work(out, *tables_of(out), ("additive",), pipeline.Choices(refits=20), "mine")
    direct = additive.fit(work.runs, work.curves, work.law_settings("additive"))
    assert json.loads((out / "laws/additive.json").read_text()) == direct.summary
    result = determination.values(direct.summary["parameters"])
    assert result["alpha"] == pytest.approx(published.ADDITIVE["alpha"], rel=0.3)
    assert direct.summary["n_runs"] == 72


def tables_of(out):
    named = (("runs.parquet", tables.RUNS), ("curves.parquet", tables.CURVES))
    return tuple(tables.read(out / name, columns) for name, columns in named)


def test_what_is_printed_says_parameters_exponents_and_limits(filled):
    _, done = filled
    assert "Approach 2: additive" in done.stdout
    for word in ("alpha", "a (N*)", "b (D*)", "limit (nats)", "limit of accuracy", "90% intervals", "DG (FID 1.65)"):
        assert word in done.stdout, done.stdout
    steps = [line for line in done.stderr.splitlines() if " steps (" in line]
    assert len(steps) > 5
    assert "left; figure allocation" in done.stderr
    assert "100 %" in steps[-1]


def test_a_second_run_into_the_folder_gives_the_same_bytes(filled, table, tmp_path, capsys):
    out, _ = filled
    again = tmp_path / "again"
    shutil.copytree(out, again)
    (again / "notes.txt").write_text("mine")
    (again / "report.html").write_text("older")
    assert cli.main(["fit", str(table), "--out", str(again), *QUICK]) == 0
    assert contents(again) == contents(out) | {"notes.txt": b"mine"}
    capsys.readouterr()


def test_parquet_gives_what_csv_gives(filled, tmp_path, monkeypatch, capsys):
    out, _ = filled
    path = tmp_path / "mine.parquet"
    pd.DataFrame(made.rows()).to_parquet(path)
    monkeypatch.setattr(pipeline, "STEPS", pipeline.STEPS[:4])
    assert cli.main(["fit", str(path), "--out", str(tmp_path / "out"), *QUICK]) == 0
    first, second = contents(out), contents(tmp_path / "out")
    assert {name for name in second if first[name] != second[name]} == {"fit.json"}
    assert "laws/limits.parquet" in second
    capsys.readouterr()


OPTIONS = {
    "no table": ((), "give either a TABLE of runs or --published"),
    "both": (("{table}", "--published"), "give either a TABLE of runs or --published"),
    "a level of percent": (("{table}", "--level", "90"), "--level 90: give a number between 0 and 1"),
    "humans in percent": (("{table}", "--human", "90.5"), "--human 90.5: give a number between 0 and 1"),
    "no refits": (("{table}", "--refits", "0"), "--refits 0: too few for a level of 0.9; give 20 or more"),
    "a law that is none": (("{table}", "--laws", "linear"), "--laws: unknown 'linear'; known: "),
    "no laws": (("{table}", "--laws", ","), "--laws ',': give names"),
    "half a rule": (("{table}", "--small-on-large", "1e8,1e7"), "--small-on-large '1e8,1e7': give three numbers"),
    "a base alone": (("{table}", "--base", "DG"), "--base and --quality belong together"),
    "K that is none": (("{table}", "--flops-per-parameter-image", "-1"), "--flops-per-parameter-image -1: give"),
    "curves of the paper": (("--published", "--curves", "c.csv"), "--published brings its own runs"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_a_wrong_option_is_refused_in_one_line(case, table, tmp_path, capsys):
    words, expected = OPTIONS[case]
    words = [word.format(table=table) for word in words]
    assert cli.main(["fit", *words, "--out", str(tmp_path / "out")]) == 2
    settings = capsys.readouterr().err
    assert settings.count("\n") == 1
    assert expected in settings
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_ours_is_left_alone(table, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("x")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "fit.json").write_text('{"format": "something else"}')
    for out, expected in ((file, "a file; give a folder"), (theirs, "holds something else")):
        before = out.read_bytes() if out is file else contents(out)
        assert cli.main(["fit", str(table), "--out", str(out), *QUICK]) == 2
        settings = capsys.readouterr().err
        assert settings.count("\n") == 1
        assert expected in settings
        assert (out.read_bytes() if out is file else contents(out)) == before


def test_a_mark_cannot_name_files_elsewhere(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("x")
    out = tmp_path / "out"
    out.mkdir()
    (out / "fit.json").write_text(
        json.dumps({"format": output_folder.FORMAT, "files": ["../precious", str(precious), 3]})
    )
    with output_folder.filling(out, {}) as inside:
        (inside / "new").write_text("y")
    assert precious.read_text() == "x"
    assert (out / "new").read_text() == "y"


def test_a_folder_is_filled_by_one_at_a_time(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    handle = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another fit is at work here"):
            with output_folder.filling(out, {}):
                pass
    finally:
        os.close(handle)


def test_what_fails_leaves_nothing(tmp_path):
    out = tmp_path / "deep" / "out"

    def fail():
        with output_folder.filling(out, {}) as inside:
            (inside / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moves", range(4))
def test_output_folder_killed_between_moves_is_marked_unfinished(moves, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def fill(word, names):
        with output_folder.filling(out, {}) as inside:
            for name in names:
                (inside / name).write_text(f"{word} {name}")

    class Killed(BaseException):
        pass

    fill("old", ("a", "b", "gone"))
    left, real = [moves], os.replace

    def replace(source, target):
        if os.path.basename(os.path.dirname(source)) == ".partial":
            if not left[0]:
                raise Killed
            left[0] -= 1
        real(source, target)

    monkeypatch.setattr(output_folder.os, "replace", replace)
    if moves < 3:
        with pytest.raises(Killed):
            fill("new", ("a", "b", "c"))
        result = contents(out)
        for name in result.keys() - {"fit.json"}:
            assert result[name].decode() in (f"old {name}", f"new {name}")
        assert not json.loads(result["fit.json"])["finished"]
        monkeypatch.undo()
    fill("new", ("a", "b", "c"))
    result = contents(out)
    assert {name: result[name].decode() for name in ("a", "b", "c")} == {n: f"new {n}" for n in ("a", "b", "c")}
    assert result.keys() == {"a", "b", "c", "fit.json"}
    assert json.loads(result["fit.json"])["finished"]


def test_killed_fit_leaves_no_finished_file_and_next_succeeds(table, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "robustlaws", "fit", str(table), "--out", str(out), *QUICK]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        for line in running.stderr:
            if "left; limits" in line:
                running.send_signal(signal.SIGKILL)
                break
        running.stderr.close()
    assert [path.name for path in out.iterdir()] == [".partial"]
    monkeypatch.setattr(pipeline, "STEPS", pipeline.STEPS[:2])
    assert cli.main(["fit", str(table), "--out", str(out), *QUICK]) == 0
    assert not (out / ".partial").exists()
    assert json.loads((out / "fit.json").read_text())["finished"]
    capsys.readouterr()


LITTLE = {
    "two runs": made.rows()[:2],
    "one size": [row for row in made.rows() if row["images"] == made.SIZES[0]],
    "losses all one": [row | {"loss": 0.8} for row in made.rows()],
    "losses that rise with D": [row | {"loss": 0.5 + row["images"] / 1e9} for row in made.rows()],
    "no accuracies": [{name: row[name] for name in row if name != "accuracy"} for row in made.rows()],
    "all classified right": [row | {"accuracy": 1.0} for row in made.rows()],
    "names of any script": [
        row | {"dataset": 'dü $x_1$ <b>"&中', "fid": 1.0, "seed": i} for i, row in enumerate(made.rows())
    ],
}


@pytest.mark.parametrize("case", LITTLE)
def test_a_table_that_says_little_is_fitted_without_a_traceback(case, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pipeline, "STEPS", pipeline.STEPS[:4])
    path = made.write_csv(tmp_path / "mine.csv", LITTLE[case])
    assert cli.main(["fit", str(path), "--out", str(tmp_path / "out"), "--refits", "20", "--human", "0.9"]) == 0
    settings = capsys.readouterr().out
    limits = tables.read(tmp_path / "out/laws/limits.parquet", tables.APPROACHES)
    assert (limits.loc[~limits["determined"], "why"] != "").all()
    if case in ("two runs", "one size", "losses all one"):
        assert not limits.loc[limits["quantity"] == "N_star", "determined"].any()
        assert "not determined" in settings


def test_laws_are_those_that_the_runs_allow():
    runs = pd.DataFrame({"fid": [1.0, 2.0, 3.0]})
    assert pipeline.laws_of(pipeline.Choices(), runs) == tuple(LAWS)
    assert pipeline.laws_of(pipeline.Choices(), runs[:2]) == tuple(law for law in LAWS if law != "additive_two_stage")
    assert pipeline.laws_of(pipeline.Choices(laws=("bottleneck", "envelope")), runs) == ("envelope", "bottleneck")


def test_help_explains_every_column_and_loads_no_torch(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["fit", "--help"])
    assert ended.value.code == 0
    settings = capsys.readouterr().out
    for word in ("params, n, n_params", "adversarial loss, nats (has to be there)", "autoattack", "train_fraction"):
        assert word in settings
    program = (
        "import sys; from robustlaws import cli; from robustlaws.fit_table import pipeline, terminal_summary; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
