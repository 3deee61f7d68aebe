"""The ledger knows the code as it stands, and sees what changes an output and nothing else."""

import pytest

from robustlaws import revisions
from robustlaws.data import SOURCES
from robustlaws.figures import FIGURES
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
    assert set(revisions.ledger()) == set(revisions.ROOTS)
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
    assert revisions._meaning(harmless) == revisions._meaning(CODE)


@pytest.mark.parametrize(
    "real", [CODE.replace("2", "3"), CODE.replace("double", "twice"), CODE.replace("(x)", "(x=1)")]
)
def test_a_change_of_meaning_counts(real):
    assert revisions._meaning(real) != revisions._meaning(CODE)


def test_another_version_of_a_package_counts_where_it_is_imported(monkeypatch):
    before = {entry: revisions.fingerprint(entry) for entry in ("train", "law.additive")}
    pins = revisions._pins() | {"torch": "3.0.0"}
    monkeypatch.setattr(revisions, "_pins", lambda: pins)
    assert revisions.fingerprint("train") != before["train"]
    assert revisions.fingerprint("law.additive") == before["law.additive"]


def test_the_packages_behind_an_entry_are_those_that_are_installed_for_it():
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


@pytest.mark.parametrize(
    ("prefix", "table"),
    [("data", SOURCES), ("sampler", SAMPLERS), ("generator", GENERATORS), ("law", LAWS), ("figure", FIGURES)],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_the_module_that_a_table_names_is_behind_its_entry(prefix, table):
    for name, place in table.items():
        assert place.split(":")[0] in revisions.modules(f"{prefix}.{name}"), name
