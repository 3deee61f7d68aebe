"""Where each file comes from, gathered from the files: the table, and the RO-Crate as its own library reads it."""

import json
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from rocrate.rocrate import ROCrate

from robustlaws import settings
from robustlaws.archive import lineage, ro_crate
from robustlaws.data import shards
from robustlaws.storage import tables
from robustlaws.storage.atomic import write_json
from tests.support.origin_study import FOLDER, build, concluded, sha256

LED_THERE = {
    "datasets/d/shard-00000.h5", "runs/wrn@fast/d/8/1/weights.json", "runs/wrn@fast/d/8/1/best.json",
    "runs/wrn@fast/d/8/1/curve.parquet", "tables/curves.parquet", "laws/additive.json", "figures/envelope.parquet",
}  # fmt: skip
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5", "https://w3id.org/ro/wfrun/workflow/0.5",
    "https://w3id.org/ro/wfrun/provenance/0.5", "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working folder of a workflow."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def collect(here, about=None, **changes):
    """Collect the made-up study; return its table and the folder that is its crate."""
    build(here, **changes)
    root = type(here)(FOLDER)  # as Snakemake names it
    lineage.collect(
        concluded=concluded(root),
        drawn=[root / name for name in ("figures/envelope.png", "figures/envelope.svg", "plan.html")],
        table_path=root / "tables/provenance.parquet",
        crate_path=root / "ro-crate-metadata.json",
        workflow_path=root / "workflow/Snakefile",
        config_path=root / "workflow/config.yaml",
        snakefile="Snakefile",
        report=root / "report.html",
        config={"study": "made", "seed": 3},
        settings=settings.Crate(name="made", description="Made up.", config={}, **(about or {})),
    )
    table = tables.read(root / "tables/provenance.parquet", tables.PROVENANCE)
    return table.set_index("file"), root


def described(files, beside=()):
    """Return the crate of files."""
    return ro_crate.describe(
        files,
        folder=FOLDER,
        conclusions=["laws/additive.json"],
        beside=beside,
        announced=[],
        workflow=lineage.Origin("workflow/Snakefile", 1, "0"),
        config=lineage.Origin("workflow/config.yaml", 1, "0"),
        settings=settings.Crate(name="made", description="", config={}),
    )


def test_crate_table_lists_all_ancestors_and_siblings(here):
    table, _ = collect(here)
    assert set(table.index) == LED_THERE
    assert "runs/wrn@fast/d/8/1/left.json" not in table.index  # of a run that nothing was made from


def test_a_row_says_what_its_file_says(here):
    table, root = collect(here, commit="b" * 40 + "+changes", scheduler={"name": "slurm", "job": "17"})
    row = table.loc["laws/additive.json"]
    assert (row["rule"], row["revision"], row["commit"]) == ("fit_law", "fit_law-r1", "b" * 40 + "+changes")
    assert json.loads(row["wildcards"]) == {"law": "additive"}
    assert json.loads(row["seeds"]) == {"seed": 7}
    assert json.loads(row["versions"])["numpy"] == np.__version__
    assert row["scheduler"] == "slurm 17"
    assert row["bytes"] == (root / "laws/additive.json").stat().st_size
    assert row["sha256"] == sha256(root / "laws/additive.json")
    assert row["seconds"] == (pd.Timestamp(row["end"]) - pd.Timestamp(row["start"])).total_seconds()
    shard = root / "datasets/d/shard-00000.h5"
    assert table.loc["datasets/d/shard-00000.h5", "content"] == shards.attributes(shard)["checksum"]


def test_crate_content_is_equal_for_equal_results(here):
    first, _ = collect(here)
    second, _ = collect(here, start="2026-02-03T04:05:06.000+00:00", commit="c" * 40)
    assert (first["content"] == second["content"]).all()
    assert (first["settings"] == second["settings"]).all()
    assert (first["sha256"] != second["sha256"]).all()
    assert first["settings"].nunique() == 5  # of five rules


def test_large_files_are_not_read_again(here, monkeypatch):
    monkeypatch.setattr(lineage, "_HASHED_BYTES", 1)
    table, _ = collect(here)
    assert table["sha256"].isna().all()
    assert list(table.index[table["content"].notna()]) == ["datasets/d/shard-00000.h5"]


def test_a_file_that_says_nothing_is_listed_and_not_followed(here):
    build(here)
    root = type(here)(FOLDER)
    write_json(root / "laws/additive.json", {"law": "additive"})
    results = {origin.file: origin.job for origin in lineage.gather([root / "laws/additive.json"], root)}
    assert results == {"laws/additive.json": None}


def test_a_file_of_another_folder_is_no_file_of_the_study(here):
    root = build(here)
    with pytest.raises(ValueError, match="Snakefile: not in the folder of the study, .*made"):
        lineage.inside(here / "Snakefile", root)


def test_a_damaged_file_is_named(here):
    root = build(here)
    (root / "laws/additive.json").write_text('{"law": ')
    with pytest.raises(ValueError, match=r"additive\.json: damaged"):
        lineage.gather([root / "laws/additive.json"], root)


def test_the_crate_can_be_read_and_has_what_its_profiles_ask_for(here):
    _, root = collect(here)
    (root / "report.html").write_text("")
    result = ROCrate(root)
    described = {unquote(entity.id) for entity in result.data_entities}
    beside = {"figures/envelope.png", "figures/envelope.svg", "plan.html", "report.html", "tables/provenance.parquet"}
    assert described == LED_THERE | beside | {"workflow/Snakefile", "workflow/config.yaml"}
    assert all((root / name).is_file() for name in described)
    assert (result.name, result.description) == ("made", "Made up.")
    assert result.root_dataset["datePublished"] == max(
        action["endTime"] for action in result.get_by_type("CreateAction")
    )
    assert result.license
    assert {entity.id for entity in result.root_dataset["conformsTo"]} == PROFILES
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow"} <= set(result.mainEntity.type)
    assert result.mainEntity["programmingLanguage"]["name"] == "Snakemake"
    assert {tool["name"] for tool in result.mainEntity["hasPart"]} == {
        f"rule {rule}" for rule in ("sample_shard", "train_run", "collect_runs", "fit_law", "draw_figure")
    }
    (run,) = [item for item in result.get_by_type("CreateAction") if item["instrument"] == result.mainEntity]
    assert result.get("workflow/config.yaml") in run["object"]
    assert {result.get("report.html"), result.get("laws/additive.json")} <= set(run["result"])


def test_crate_describes_each_job_as_an_action(here):
    _, root = collect(here)
    result = ROCrate(root)
    (training,) = [item for item in result.get_by_type("CreateAction") if item["name"].startswith("train_run")]
    assert training["object"] == result.get("datasets/d/shard-00000.h5")
    assert {unquote(file.id).split("/")[-1] for file in training["result"]} == {
        "weights.json", "best.json", "curve.parquet",
    }  # fmt: skip
    assert training["instrument"]["softwareVersion"] == "train_run-r1"
    assert training["startTime"] == "2026-01-02T03:04:05.000+00:00"
    assert training["endTime"] > training["startTime"]
    (drawing,) = [item for item in result.get_by_type("CreateAction") if item["name"].startswith("draw_figure")]
    assert {file.id for file in drawing["result"]} == {f"figures/envelope.{kind}" for kind in ("parquet", "png", "svg")}
    (sampling,) = [item for item in result.get_by_type("CreateAction") if item["name"].startswith("sample_shard")]
    assert (sampling["object"].type, sampling["object"]["name"]) == ("CreativeWork", "models/net.pkl")
    software = {item["name"]: item["softwareVersion"] for item in training["instrument"]["softwareRequirements"]}
    assert software["numpy"] == np.__version__


def test_every_reference_leads_somewhere(here):
    _, root = collect(here)
    graph = json.loads((root / "ro-crate-metadata.json").read_text())["@graph"]
    names = [entity["@id"] for entity in graph]
    assert len(names) == len(set(names))

    def references(value):
        if isinstance(value, dict):
            yield value["@id"]
        for item in value if isinstance(value, list) else []:
            yield from references(item)

    met = {ref for entity in graph for key, value in entity.items() if key != "@id" for ref in references(value)}
    outside = {name for name in met - set(names) if not name.startswith("https://")}
    assert outside == set()


def test_two_states_of_the_code_are_two_tools_of_one_step(here):
    build(here)
    root = type(here)(FOLDER)
    before = lineage.gather(concluded(root), root)
    job = next(origin.job for origin in before if origin.file == "runs/wrn@fast/d/8/1/weights.json")
    other = job | {"commit": "d" * 40, "wildcards": job["wildcards"] | {"seed": "9"}}
    another = lineage.Origin("runs/wrn@fast/d/8/9/weights.json", 3, job=other)
    entities = {entity["@id"]: entity for entity in described([*before, another])["@graph"]}
    tools = {name for name in entities if name.startswith("#rule-train_run")}
    assert len(tools) == 2
    assert {item["@id"] for item in entities["#step-train_run"]["workExample"]} == tools
    assert len(entities["#control-train_run"]["object"]) == 2


def test_the_same_files_give_the_same_crate_in_whatever_order(here):
    build(here)
    root = type(here)(FOLDER)
    files = lineage.gather(concluded(root), root)
    drawn = [lineage.look(root / name, root) for name in ("figures/envelope.png", "plan.html")]
    assert files == lineage.gather(reversed(concluded(root)), root)
    assert json.dumps(described(files, drawn)) == json.dumps(described(files[::-1], drawn[::-1]))


def test_licence_and_authors_are_said_where_the_config_has_them(here):
    licence, orcid = "https://spdx.org/licenses/CC-BY-4.0", "https://orcid.org/0000-0002-1825-0097"
    people = ({"name": "Josiah Carberry", "orcid": orcid}, {"name": "A. N. Other"})
    _, root = collect(here, {"license": licence, "authors": people})
    result = ROCrate(root)
    assert result.license.id == licence
    assert [person["name"] for person in result.root_dataset["author"]] == ["Josiah Carberry", "A. N. Other"]
    assert result.root_dataset["author"][0].id == orcid
    words = "CC-BY-4.0: see LICENSE"
    _, root = collect(here, {"license": words})
    assert ROCrate(root).root_dataset["license"] == words
