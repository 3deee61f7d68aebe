"""The ledger knows the code as it stands, and sees what changes an output and nothing else."""

from dataclasses import replace

import pytest

from robustlaws import code_dependencies, registry, revisions
from robustlaws.attacks import ATTACKS
from robustlaws.data import SOURCES
from robustlaws.figures import FIGURES, FIGURES_OF_RUNS
from robustlaws.generators import GENERATORS, SAMPLERS
from robustlaws.laws import LAWS

CODE = '''
"""A module."""
def double(x):
    """Twice x."""
    # a comment
    return [x * 2, f"{x}"]
'''


def test_the_ledger_is_up_to_date():
    differing = revisions.changed()
    advice = "run `python -m robustlaws.revisions bump` (outputs change) or `accept` (they cannot)"
    assert not differing, f"code changed behind {' '.join(differing)}: {advice}"


def test_every_entry_has_a_revision():
    assert set(revisions.ledger()) == set(revisions.entries())
    assert revisions.revision("train").startswith("train-r")
    with pytest.raises(ValueError, match="no entry 'trian'"):
        revisions.revision("trian")


@pytest.mark.parametrize(
    "harmless",
    [
        CODE.replace("    # a comment\n", ""),
        CODE.replace("Twice x.", "Two times x."),
        CODE.replace("[x * 2, ", "[\n        x   *   2,\n        "),
        CODE.replace('"""A module."""', ""),
    ],
)
def test_layout_comments_and_docstrings_do_not_count(harmless):
    assert code_dependencies.meaning(harmless) == code_dependencies.meaning(CODE)


@pytest.mark.parametrize(
    "real", [CODE.replace("2", "3"), CODE.replace("double", "twice"), CODE.replace("(x)", "(x=1)")]
)
def test_a_change_of_meaning_counts(real):
    assert code_dependencies.meaning(real) != code_dependencies.meaning(CODE)


def test_fingerprint_changes_with_an_imported_packages_version(monkeypatch):
    before = {entry: revisions.fingerprint(entry) for entry in ("train", "law.additive")}
    pins = revisions._pins() | {"torch": "3.0.0"}
    monkeypatch.setattr(revisions, "_pins", lambda: pins)
    assert revisions.fingerprint("train") != before["train"]
    assert revisions.fingerprint("law.additive") == before["law.additive"]


def test_packages_behind_an_entry_are_its_distributions():
    assert {"torch", "numpy", "h5py"} <= set(revisions.packages("train"))
    assert "pyautoattack" in revisions.packages("attack.autoattack")
    assert {"pillow", "scikit-learn"} <= set(revisions.packages("data.digits"))
    assert "torch" not in revisions.packages("report")


def test_the_modules_behind_training_are_found():
    behind = revisions.modules("train")
    for name in (
        "training.trades",
        "networks.wrn",
        "data.sample_order",
        "attacks.pgd",
        "attacks.threat_model",
        "training.weight_average",
        "seeds",
    ):
        assert f"robustlaws.{name}" in behind
    assert not [name for name in behind if "laws.laws" in name or "figures" in name or "generators" in name]


def test_laws_and_figures_do_not_hang_on_training():
    for entry in ("law.additive", "figure.accuracy", "report", "collect"):
        assert not [name for name in revisions.modules(entry) if "training" in name or "generators" in name], entry


TABLES = {
    "attack": ATTACKS, "data": SOURCES, "figure": FIGURES, "generator": GENERATORS, "law": LAWS, "sampler": SAMPLERS,
}  # fmt: skip


@pytest.mark.parametrize("prefix", TABLES)
def test_each_line_of_a_registry_is_an_entry_of_its_module(prefix):
    for name, line in TABLES[prefix].items():
        behind = revisions.modules(f"{prefix}.{name}")
        assert registry.target(line).split(":")[0] in behind
        others = {registry.target(other).split(":")[0] for other in TABLES[prefix].values()}
        if prefix in ("attack", "figure"):  # laws and samplers are built on one another
            assert len(others & set(behind)) == 1


def edited(monkeypatch, module, change=lambda text: text + "\nANOTHER = 1\n"):
    """Have `module` read as if it had been edited; return the entries whose fingerprint that changes."""
    before = {entry: revisions.fingerprint(entry) for entry in revisions.entries()}
    original = code_dependencies.source
    monkeypatch.setattr(
        code_dependencies, "source", lambda name: change(original(name)) if name == module else original(name)
    )
    return {entry for entry, known in before.items() if revisions.fingerprint(entry) != known}


@pytest.mark.parametrize(
    ("module", "behind", "not_behind"),
    [
        ("robustlaws.training.loop", {"train"}, {"features", "collect", "law.additive"}),
        ("robustlaws.attacks.pgd", {"train", "attack.pgd_cw"}, {"attack.autoattack", "gather", "collect"}),
        ("robustlaws.settings.accounting", {"train", "plan"}, {"attack.pgd_cw", "law.additive"}),
        # by name, from a registry
        ("robustlaws.laws.bottleneck", {"law.bottleneck", "figure.allocation", "plan", "limits", "published"},
         {"law.additive", "law.accuracy", "figure.samples", "train"}),
        ("robustlaws.figures.residuals", {"figure.residuals", "published"}, {"figure.envelope", "report"}),
        ("robustlaws.figures.samples", {"figure.samples"}, {"published", "report"}),
        ("robustlaws.generators.heun", {"sampler.edm", "sampler.dg"}, {"sampler.files", "train"}),
        # the code in the __init__ of a package
        ("robustlaws.report", {"report", "published"}, {"explorer", "law.additive"}),
        ("robustlaws.runtime.progress", set(), {"train"}),
    ],
)  # fmt: skip
def test_an_edit_changes_the_entries_that_it_is_behind(monkeypatch, module, behind, not_behind):
    changed = edited(monkeypatch, module)
    assert behind <= changed
    assert not not_behind & changed
    assert changed == {entry for entry in revisions.entries() if module in revisions.modules(entry)}


def test_report_depends_on_captions_and_figures_do_not(monkeypatch):
    before = {entry: revisions.fingerprint(entry) for entry in ("report", "published", "figure.residuals", "train")}
    monkeypatch.setitem(FIGURES, "residuals", replace(FIGURES["residuals"], caption="Better words."))
    changed = {entry for entry, known in before.items() if revisions.fingerprint(entry) != known}
    assert changed == {"report", "published"}


def test_a_template_that_another_includes_counts():
    names = {path.name for path in revisions._behind("plan").files}
    assert {"page.html.j2", "page.macros.j2"} <= names


def test_the_modules_aside_exist():
    assert [name for name in code_dependencies.ASIDE if not code_dependencies._path(name).is_file()] == []


def test_figures_of_the_published_study_need_no_other_files():
    assert "samples" not in FIGURES_OF_RUNS
    assert "residuals" in FIGURES_OF_RUNS


@pytest.fixture
def own_ledger(tmp_path, monkeypatch):
    """A ledger that may be written, up to date."""
    monkeypatch.setattr(revisions, "_LEDGER", tmp_path / "revisions.toml")
    lines = [f'["{entry}"]\nrevision = 3\nfingerprint = ""\n' for entry in revisions.entries()]
    (tmp_path / "revisions.toml").write_text("\n".join(lines))
    revisions.ledger.cache_clear()
    assert revisions.main(["accept", *revisions.entries()]) == 0
    yield tmp_path / "revisions.toml"
    revisions.ledger.cache_clear()


def test_accept_keeps_revisions_and_bump_raises_them(own_ledger, monkeypatch, capsys):
    assert revisions.main([]) == 0
    changed = edited(monkeypatch, "robustlaws.figures.residuals")
    assert set(revisions.changed()) == changed == {"figure.residuals", "published"}
    assert revisions.main(["bump", "figure.residuals"]) == 0
    assert revisions.main([]) == 1
    assert revisions.main(["accept", "published"]) == 0
    assert revisions.changed() == []
    assert revisions.revision("figure.residuals") == "figure.residuals-r4"
    assert revisions.revision("published") == "published-r3"
    assert revisions.main(["bump", "figure.nosuch"]) == 2
    assert "entries: " in capsys.readouterr().err


def test_a_new_law_changes_no_other_entry(own_ledger, monkeypatch):
    """Figures load every law by name; none of their files was drawn with one that has no revision yet."""
    text = own_ledger.read_text()
    head, _, rest = text.partition('\n["law.bottleneck"]')
    own_ledger.write_text(head + rest[rest.index("\n[") :])
    revisions.ledger.cache_clear()
    differing = revisions.changed()
    loading = {
        entry for entry in revisions.entries() if "robustlaws.laws.bottleneck" in code_dependencies_of_all(entry)
    }
    assert set(differing) == loading  # here the ledger was up to date with the law
    assert revisions.main(["accept", *(loading - {"law.bottleneck"})]) == 0
    assert revisions.changed() == ["law.bottleneck"]
    assert revisions.main(["bump", "law.bottleneck"]) == 0
    assert revisions.changed() == []
    assert revisions.revision("law.bottleneck") == "law.bottleneck-r1"
    assert revisions.revision("plan") == "plan-r3"


def code_dependencies_of_all(entry):
    """Return the modules behind an entry, those of all laws included."""
    return revisions._behind(entry, revisions.entries()).modules
