"""`robustlaws show`: what a file says of itself, and the commands that make it again."""

import json
import shlex
from pathlib import Path

import pytest
import yaml

from robustlaws import cli
from robustlaws.runtime import job_facts
from robustlaws.storage import atomic, provenance, tables
from tests.support.jobs import CONFIG, SETTINGS, job


@pytest.fixture
def show(capsys):
    """Return a function that carries out `robustlaws show` and returns its status, stdout and stderr."""

    def carry_out(*arguments):
        status = cli.main(["show", *map(str, arguments)])
        return status, *capsys.readouterr()

    return carry_out


@pytest.fixture
def law(tmp_path):
    """Return a JSON file of a job."""
    return made(tmp_path / "my laws" / "a.json")


def made(path, commit="c" * 40, **changes):
    with job_facts.of_job(job(str(path), **changes)):
        with provenance.of(provenance.job() | {"commit": commit}):
            atomic.write_json(path, {"law": "additive"})
    return path


def test_the_page_says_what_made_the_file(show, law):
    status, out, err = show(law)
    stamp = provenance.read(law)
    assert (status, err) == (0, "")
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0] == str(law)
    rows = dict(line.split(": ", 1) for line in lines if ": " in line)
    rows = {name: value.strip() for name, value in rows.items()}
    assert rows["study"] == "digits"
    assert rows["rule"] == "train_run model=wrn-10-1"
    assert rows["output"] == str(law)
    assert (rows["revision"], rows["threads"], rows["scheduler"]) == ("train-r3", "2", "none")
    assert rows["seeds"] == "seed = 3, curve.seed = 4, parts.0.x_seed = 5"
    assert rows["machine"].startswith(stamp["hardware"]["processor"])
    assert rows["content"] == f"SHA-256 {provenance.content_digest(law)} (without this)"
    assert stamp["start"][:10] in rows["begun"]
    settings = out.partition("settings:\n")[2].partition("  inputs, 1:\n    in/a.h5\n")[0]
    assert yaml.safe_load(settings) == json.loads(json.dumps(SETTINGS))


@pytest.fixture
def commands(show):
    """Return a function that gives the lines with which `robustlaws show` ends."""
    return lambda path: [line.strip() for line in show(path)[1].partition("to make it again")[2].splitlines()[1:]]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return the folder of the programs of an installation within the workflow's folder, which is the current one."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for path in (tmp_path / "Snakefile", programs / "robustlaws", programs / "snakemake"):
        path.touch()
    monkeypatch.setattr("sys.executable", str(programs / "python"))
    monkeypatch.chdir(tmp_path)
    return programs


def test_the_commands_are_ready_to_paste(commands, law, installed, tmp_path, monkeypatch):
    first, second, last = commands(law)
    settings = [".venv/bin/robustlaws", "show", str(law), "--config", ">", "remake.yaml", "&&"]
    assert shlex.split(first.removesuffix("\\")) == settings
    assert second == f"git checkout {'c' * 40} && \\"
    asked = ["--force", str(law), "--configfile", "remake.yaml"]
    assert shlex.split(last) == [".venv/bin/snakemake", "--cores", "2", *asked]
    # a rule without outputs is asked for by its name; what is not known is a comment, before the chain
    unknown, first, last = commands(made(Path("cost.json"), None, output=[], rule="cost"))
    assert unknown == "# its commit is not known"
    assert f"show {tmp_path / 'cost.json'} --config" in first
    assert "--force cost --configfile" in last
    changed, *chain = commands(made(tmp_path / "b.json", "c" * 40 + "+changes"))
    assert (changed, chain[1]) == ("# the code had changes that are in no commit", second)
    # where the study was made with SLURM, it goes there again
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    assert "snakemake --profile slurm --force" in commands(made(tmp_path / "c.json"))[-1]


def test_the_commands_name_the_programs_wherever_they_are(commands, law, installed, tmp_path, monkeypatch):
    # the file as the workflow names it, if that is it, and its whole path otherwise
    monkeypatch.setattr("sys.executable", str(tmp_path / "no scripts" / "python"))
    inner = made(Path("results/a.json"))
    first, _, last = commands(inner)
    python = "'no scripts/python'"
    assert f"{python} -m robustlaws show results/a.json --config" in first
    assert last.startswith(f"{python} -m snakemake --cores 2 --force results/a.json ")
    monkeypatch.chdir(tmp_path / "results")
    monkeypatch.setattr("sys.executable", str(installed / "python"))
    first, _, last = commands(Path("a.json"))
    assert first.startswith(f"{installed / 'robustlaws'} show {tmp_path / 'results' / 'a.json'}")
    assert last.startswith(str(installed / "snakemake"))


def test_config_settings_and_all_of_it_can_be_had_alone(show, law, tmp_path):
    assert yaml.safe_load(show(law, "--config")[1]) == CONFIG
    assert yaml.safe_load(show(law, "--settings")[1]) == json.loads(json.dumps(SETTINGS))
    assert json.loads(show(law, "--json")[1]) == provenance.read(law)
    status, _, err = show(law, law, "--config")
    assert (status, err) == (2, "robustlaws show: --config is of one file; 2 were given\n")


def test_several_files_are_shown_one_after_the_other(show, law, tmp_path):
    bare = tmp_path / "bare.json"
    atomic.write_json(bare, {"a": 1})
    status, out, err = show(bare, law, law)
    assert out.count("to make it again") == 2
    why = "carries no provenance: written outside a job of the workflow, or before files carried any"
    assert (status, err) == (1, f"robustlaws show: {bare}: {why}\n")


def test_a_picture_names_the_table_beside_it(show, tmp_path):
    picture, page = tmp_path / "accuracy.png", tmp_path / "report.html"
    for path in (picture, page):
        path.write_bytes(b"\x89PNG")
    with job_facts.of_job(job(str(tmp_path / "accuracy.parquet"))):
        tables.write(tmp_path / "accuracy.parquet", [], tables.DRAWN)
    why = "no HDF5, Parquet, safetensors or JSON, which are what carries provenance"
    beside = f"; that of {picture.with_suffix('.parquet')}, beside it, tells"
    assert show(picture) == (1, "", f"robustlaws show: {picture}: {why}{beside}\n")
    assert show(page) == (1, "", f"robustlaws show: {page}: {why}\n")


def test_what_cannot_be_read_is_one_line(show, law, tmp_path):
    gone, damaged, cut = tmp_path / "gone.h5", tmp_path / "a.parquet", tmp_path / "cut.json"
    damaged.write_bytes(b"PAR1 and so on")
    content = json.loads(law.read_text())
    del content["provenance"]["hardware"]
    cut.write_text(json.dumps(content))
    says = {
        gone: "gone.h5: No such file or directory",
        tmp_path: "Is a directory",
        damaged: "a.parquet: damaged, not a readable Parquet file",
        cut: "cut.json: its provenance is not whole (KeyError: 'hardware')",
    }
    for path, text in says.items():
        status, out, err = show(path)
        assert (status, out) == (2, "")
        assert text in err
        assert err.count("\n") == 1
    assert show(law, gone)[0] == 2


def test_many_inputs_are_counted(show, tmp_path):
    path = made(tmp_path / "a.json", input=[f"{number}.h5" for number in range(1234)])
    out = show(path)[1]
    assert "inputs, 1,234:\n    0.h5\n" in out
    assert "    19.h5\n    ... and 1,214 more; --json has them all\n" in out


def test_what_went_on_and_where_it_ran_is_said(show, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    path = tmp_path / "a.json"
    with job_facts.of_job(job(str(path))):
        provenance.go_on_from(["2026-01-02T03:04:05.678+00:00"])
        atomic.write_json(path, {"a": 1})
    out = show(path)[1]
    assert "went on with: work begun 2026-01-02 03:04:05 UTC\n" in out
    assert "scheduler:    slurm, job 77\n" in out
