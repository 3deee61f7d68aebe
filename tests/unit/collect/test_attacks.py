"""The table of attacks: its stages, and intervals with known values."""

import numpy as np
import pytest

from robustlaws import intervals
from robustlaws.attacks import record
from robustlaws.collect import attacks
from robustlaws.settings import Architecture, AutoAttack, CollectAttacks, PgdCw, Threat
from robustlaws.storage import tables

ARCHITECTURE = Architecture(10, 1, 10, 1, 8, (0.3,), (0.38,))
THREAT = Threat("Linf", 0.01)
RUN, SUITE = "m/d/1/1", ["apgd-ce", "apgd-t", "fab-t", "square"]


@pytest.mark.parametrize("images", [1, 50, 10_000])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_intervals_of_none_and_all_have_a_closed_form(images, level):
    # with no success in n, the upper end p is where (1 - p)^n is half of what the level leaves
    end = ((1 - level) / 2) ** (1 / images)
    assert intervals.exact_interval(0, images, level) == pytest.approx((0, 1 - end), rel=1e-9)
    assert intervals.exact_interval(images, images, level) == pytest.approx((end, 1), rel=1e-9)


def test_the_interval_of_a_published_example():
    # Clopper-Pearson as quantiles of the beta distribution; 10 of 100: [0.0490, 0.1762] in every table
    assert intervals.exact_interval(10, 100, 0.95) == pytest.approx((0.0490, 0.1762), abs=5e-5)


@pytest.fixture
def outcomes(tmp_path):
    """Records of PGD and of AutoAttack on ten images of one run, and of PGD on a checkpoint."""
    labels = np.arange(10)
    clean = labels.copy()
    clean[:2] = 9  # two wrong from the start
    images = np.zeros((10, 8, 8, 1), np.float32)
    paths = [tmp_path / name for name in ("pgd.h5", "auto.h5", "zoo.h5")]
    for path, run in ((paths[0], RUN), (paths[2], "zoo")):
        attacked = np.where(labels < 5, 9, labels)
        columns = {"clean_prediction": clean, "adversarial_prediction": attacked, "adversarial": images}
        settings = PgdCw(run, ARCHITECTURE, THREAT, 1, 40, 0.1, 5.0, None, 8)
        record.write(path, labels, attacked == labels, columns, settings, {"attacks": ["pgd_cw"]})
    broken_by = np.array([-1, -1, 0, 0, 0, 1, 3, -1, -1, -1])
    columns |= {"broken_by": broken_by, "adversarial_prediction": np.where(labels < 7, 9, labels)}
    settings = AutoAttack(RUN, ARCHITECTURE, THREAT, 1, "standard", 10, 10)
    record.write(paths[1], labels, broken_by < 0, columns, settings, {"attacks": SUITE})
    return paths


def collecting(*names):
    of = {
        "pgd": (RUN, "run", "last", "pgd_cw"),
        "auto": (RUN, "run", "last", "autoattack"),
        "best": (RUN, "run", "best", "autoattack"),
        "zoo": ("zoo", "checkpoint", "imported", "pgd_cw"),
    }
    keys = ("victim", "kind", "weights", "attack")
    return CollectAttacks(0.9, tuple(dict(zip(keys, of[name], strict=True)) for name in names))


def test_best_and_last_weights_have_a_clean_row_each(outcomes, tmp_path):
    attacks.collect(outcome_paths=outcomes[:2], table_path=tmp_path / "t.parquet", settings=collecting("pgd", "best"))
    rows = tables.read(tmp_path / "t.parquet", tables.ATTACKS)
    assert rows.loc[rows["attack"] == "clean", "weights"].tolist() == ["last", "best"]


def test_each_victim_has_a_row_for_each_stage(outcomes, tmp_path):
    attacks.collect(
        outcome_paths=outcomes, table_path=tmp_path / "t.parquet", settings=collecting("pgd", "auto", "zoo")
    )
    rows = tables.read(tmp_path / "t.parquet", tables.ATTACKS)
    assert rows[["victim", "kind", "attack", "right"]].to_records(index=False).tolist() == [
        (RUN, "run", "clean", 8),
        (RUN, "run", "pgd_cw", 5),
        (RUN, "run", "autoattack/clean", 8),
        (RUN, "run", "autoattack/apgd-ce", 5),
        (RUN, "run", "autoattack/apgd-t", 4),
        (RUN, "run", "autoattack/fab-t", 4),
        (RUN, "run", "autoattack/square", 3),
        (RUN, "run", "autoattack", 3),
        ("zoo", "checkpoint", "clean", 8),
        ("zoo", "checkpoint", "pgd_cw", 5),
    ]
    assert (rows["images"] == 10).all()
    assert (rows["accuracy"] == rows["right"] / 10).all()
    assert ((rows["low"] < rows["accuracy"]) & (rows["accuracy"] < rows["high"])).all()
    assert (rows["level"] == 0.9).all()


def test_a_record_of_another_victim_is_refused(outcomes, tmp_path):
    with pytest.raises(ValueError, match="zoo.h5: the record of zoo, not of m/d/1/1"):
        attacks.collect(
            outcome_paths=[outcomes[0], outcomes[2]],
            table_path=tmp_path / "t.parquet",
            settings=collecting("pgd", "auto"),
        )
