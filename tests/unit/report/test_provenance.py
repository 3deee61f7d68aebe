"""What the report says of where its numbers come from."""

import json

import pytest

from robustlaws.formatting.numbers import TIMES
from robustlaws.report import provenance as origins
from robustlaws.runtime import shell_commands
from robustlaws.storage import tables
from tests.support.report_pages import write

TORCH = {"python": "3.11.9", "torch": "2.13.0"}


def row(rule, number=0, **changes):
    """Return a row of the table: a file of a job."""
    about = {
        "file": f"{rule}/{number}.h5", "bytes": 10, "rule": rule, "wildcards": json.dumps({"n": number}),
        "revision": f"{rule}-r1", "seeds": "{}", "commit": "a" * 40, "versions": json.dumps(TORCH),
        "processor": "A CPU", "cores": 2, "memory_gb": 8.0, "gpus": "", "threads": 1,
        "start": "2026-01-02T03:04:05.000+00:00", "end": "2026-01-02T03:06:05.000+00:00", "seconds": 120.0,
    }  # fmt: skip
    return about | changes


def section(tmp_path, rows):
    """Return the section on a table of these rows."""
    path = tmp_path / "tables" / "provenance.parquet"
    tables.write(path, rows, tables.PROVENANCE)
    return origins.section(path, tmp_path / "report.html")


def cells(result):
    """Return the texts of a section's table: stage -> the others."""
    return {line[0].text: [cell.text for cell in line[1:]] for line in result["table"].groups[""]}


def test_stages_are_summed_up_over_jobs_not_files(tmp_path):
    later = {"start": "2026-01-03T01:00:00.000+00:00", "end": "2026-01-03T02:00:00.000+00:00", "seconds": 3600.0}
    gpus = {"gpus": "H100; H100"}
    rows = [
        row("train_run", 1),
        row("train_run", 1, file="train_run/1.parquet", end="2026-01-02T03:05:05.000+00:00", seconds=60.0),
        row("train_run", 2, **later, **gpus),
        row("fit_law", 1),
    ]
    result = section(tmp_path, rows)
    assert (result["files"], result["jobs"], result["remarks"]) == (4, 3, [])
    assert cells(result) == {
        "training": [
            "2", "train_run-r1", "a" * 7, f"2 {TIMES} H100; A CPU, 2 cores", "2026-01-02 03:04 to 2026-01-03 02:00",
            "1 h 02 min",
        ],
        "analysis": ["1", "fit_law-r1", "a" * 7, "A CPU, 2 cores", "2026-01-02 03:04 to 03:06", "2 min 00 s"],
    }  # fmt: skip
    assert result["software"] == "python 3.11.9, torch 2.13.0"


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        (
            {"versions": json.dumps(TORCH | {"torch": "2.12.1"})},
            "2 versions of torch: 2.13.0 in 2 jobs (training) and 2.12.1 in 1 job (training).",
        ),
        ({"commit": "b" * 40}, "The jobs of training ran 2 states of the code: aaaaaaa (2 jobs) and bbbbbbb (1 job)."),
        ({"revision": "train_run-r2"}, "The jobs of training ran train_run-r1 and train_run-r2:"),
        ({"commit": "a" * 40 + "+changes"}, "1 job of training ran code with changes that no commit has."),
        ({"rule": None, "versions": None}, "1 file was made before files said where they come from: train_run/2.h5."),
    ],
    ids=["version", "commit", "revision", "changes", "silent"],
)  # fmt: skip
def test_what_differs_and_what_is_not_known_is_remarked(tmp_path, change, remark):
    settings = [row("train_run", 0), row("train_run", 1), row("train_run", 2) | change]
    assert any(remark in item for item in section(tmp_path, settings)["remarks"])


def test_a_commit_that_is_not_known_is_not_told_apart(tmp_path):
    result = section(tmp_path, [row("fit_law", commit=None), row("sample_shard", revision=None)])
    assert cells(result)["analysis"][2] == cells(result)["sampling"][1] == "not known"
    assert result["remarks"] == []


def test_many_revisions_are_counted(tmp_path):
    result = section(tmp_path, [row("draw_figure", n, revision=f"figure.{n}-r1") for n in range(5)])
    assert cells(result)["analysis"][1] == "figure.0-r1; figure.1-r1; figure.2-r1; 2 more"


def test_the_page_shows_and_links_it(tmp_path):
    study = tmp_path / "my page"
    section(study, [row("fit_law", file="laws/additive.json"), row("train_run")])
    (study / "ro-crate-metadata.json").write_text("{}")
    _, page = write(study, provenance=study / "tables" / "provenance.parquet")
    assert "Where every number comes from 2 files of 2 jobs say themselves" in page.text
    assert f"{shell_commands.call('robustlaws')} show '{study / 'laws/additive.json'}'" in page.text
    assert {"tables/provenance.parquet", "ro-crate-metadata.json", "#origins"} <= set(page.addresses)


def test_without_provenance_there_is_no_word_of_it(tmp_path):
    text, _ = write(tmp_path)
    assert "origins" not in text
    assert "Where every number" not in text
