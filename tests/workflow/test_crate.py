"""A finished study says where its files come from: every one of them in the table and in the crate."""

from urllib.parse import unquote

import yaml
from rocrate.rocrate import ROCrate

from robustlaws.storage import embedded, provenance, tables

# Itself, and what another test may have asked for, which is no part of the study.
ASIDE = ("ro-crate-metadata.json", "cost.json")


def test_crate_lists_every_file_with_provenance(finished):
    study = finished.folder / "results" / "tiny"
    written = [path for path in study.rglob("*") if path.suffix in embedded.SUFFIXES and path.name not in ASIDE]
    stamped = {path.relative_to(study).as_posix() for path in written if provenance.read(path)}
    itself = "tables/provenance.parquet"
    table = tables.read(study / itself, tables.PROVENANCE)
    assert set(table["file"]) == stamped - {itself}
    assert len(stamped) > 50
    assert table.drop(columns=["commit", "scheduler"]).notna().all().all()

    crate = ROCrate(study)
    described = {unquote(entity.id) for entity in crate.data_entities}
    assert stamped <= described
    assert {path for path in described if not (study / path).is_file()} == set()
    assert {"report.html", "plan.html", "figures/accuracy.png"} <= described
    made = {file for action in crate.get_by_type("CreateAction") for file in as_list(action["result"])}
    assert stamped - {itself} <= {unquote(file.id) for file in made}


def as_list(value):
    return value if isinstance(value, list) else [value]


def test_the_copied_workflow_is_that_of_the_study(finished):
    copy = yaml.safe_load((finished.folder / "results/tiny/workflow/config.yaml").read_text())
    assert copy == yaml.safe_load((finished.folder / "study.yaml").read_text())
    snakefile = finished.folder / "results/tiny/workflow/Snakefile"
    assert snakefile.read_text() == (finished.folder / "Snakefile").read_text()


def test_the_page_says_where_its_numbers_come_from(finished):
    page = (finished.folder / "results/tiny/report.html").read_text()
    assert "Where every number comes from" in page
    assert 'href="ro-crate-metadata.json"' in page
