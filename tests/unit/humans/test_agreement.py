"""Agreement is what the literature's worked example and scikit-learn say it is."""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

from robustlaws.humans.analysis import agreement
from robustlaws.humans.analysis.responses import NO_CLASS, NOT_SHOWN, Responses
from robustlaws.storage import human_tables, tables
from tests.support import answered

# Fleiss 1971, table 1 as it is taught: ten subjects, fourteen raters, five categories
FLEISS = np.array([
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
])  # fmt: skip


def test_fleiss_worked_example():
    assert agreement.fleiss_kappa(FLEISS) == pytest.approx(0.2099, abs=5e-5)


def test_an_image_that_one_participant_answered_changes_nothing():
    lone = np.eye(5, dtype=int)
    assert agreement.fleiss_kappa(np.vstack([FLEISS, lone])) == agreement.fleiss_kappa(FLEISS)


def test_unequal_numbers_of_participants_by_hand():
    # pairs that agree: 1, 1/3; shares of the classes: (1, 0) and (1/3, 2/3), so chance is (2/3)^2 + (1/3)^2 = 5/9
    assert agreement.fleiss_kappa(np.array([[2, 0], [1, 2]])) == pytest.approx((2 / 3 - 5 / 9) / (4 / 9))


@pytest.mark.parametrize(
    "counts",
    [np.zeros((0, 3), int), np.array([[1, 0], [0, 1]]), np.array([[3, 0], [2, 0]]), np.full((7, 1), 3)],
    ids=["no images", "one participant each", "one class", "one class there is"],
)
def test_where_it_is_not_defined(counts):
    assert np.isnan(agreement.fleiss_kappa(counts))


@pytest.mark.parametrize("counts", [np.array([1, 2]), np.array([[0.5, 1.5]]), np.array([[-1, 3]])])
def test_what_are_no_counts(counts):
    with pytest.raises(ValueError, match="whole numbers"):
        agreement.fleiss_kappa(counts)


def responses_of(chosen, kinds=None, variant="adversarial", labels=None):
    """Return responses with these classes (images, participants)."""
    chosen = np.asarray(chosen)
    images, participants = chosen.shape
    kinds = np.array(kinds or ["person"] * participants, dtype=object)
    labels = np.zeros(images, int) if labels is None else labels
    return Responses(variant, tuple(f"p{n}" for n in range(participants)), kinds, np.arange(images), labels, labels,
                     chosen, np.full(chosen.shape, -1))  # fmt: skip


def rows_of(responses, **rule):
    frame = tables.table(agreement.table([responses], answered.judging(**rule)), human_tables.AGREEMENT)
    return frame.to_dict("records")


def test_pairs_against_scikit_learn():
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 4, 300)
    chosen = np.where(rng.random((300, 3)) < 0.6, truth[:, None], rng.integers(0, 4, (300, 3)))
    chosen[:20, 0], chosen[10:40, 1] = NO_CLASS, NOT_SHOWN
    rows = {(r["first"], r["second"], r["measure"]): r for r in rows_of(responses_of(chosen)) if r["among"] == "pair"}
    assert len(rows) == 6
    for a, b in ((0, 1), (0, 2), (1, 2)):
        both = (chosen[:, a] >= 0) & (chosen[:, b] >= 0)
        first, second = chosen[both][:, a], chosen[both][:, b]
        kappa, share = rows[f"p{a}", f"p{b}", "cohen_kappa"], rows[f"p{a}", f"p{b}", "agreement"]
        assert kappa["images"] == share["images"] == both.sum()
        assert kappa["value"] == pytest.approx(sklearn.metrics.cohen_kappa_score(first, second))
        assert share["value"] == pytest.approx((first == second).mean())
        assert kappa["low"] < kappa["value"] < kappa["high"]


def test_people_alone_and_all():
    """The worked example as people; a model that agrees with nobody lowers the kappa of all alone."""
    chosen = np.stack([np.repeat(np.arange(5), row) for row in FLEISS])
    with_model = np.hstack([chosen, np.full((10, 1), 7)])
    results = {row["among"]: row["value"] for row in rows_of(responses_of(with_model, ["person"] * 14 + ["model"]))
             if row["measure"] == "fleiss_kappa"}  # fmt: skip
    assert results["person"] == pytest.approx(0.2099, abs=5e-5)
    assert results["all"] < results["person"]


def test_one_participant_agrees_with_nobody():
    assert rows_of(responses_of(np.zeros((5, 1), int))) == []


def test_an_undefined_measure_is_null():
    for row in rows_of(responses_of(np.zeros((5, 2), int))):
        undefined = row["measure"] != "agreement"
        assert pd.isna(row["value"]) == pd.isna(row["low"]) == undefined
        assert undefined or row["value"] == row["low"] == row["high"] == 1


def test_too_many_pairs_are_left_out(caplog):
    rows = rows_of(responses_of(np.zeros((3, agreement.PAIRED + 1), int)))
    assert {row["among"] for row in rows} == {"person"}
    assert "no pairs are given" in caplog.text


def test_all_are_given_where_there_are_models_too():
    chosen = np.arange(12).reshape(6, 2) % 3
    groups = [{row["among"] for row in rows_of(responses_of(chosen, kinds))} - {"pair"}
              for kinds in (["person"] * 2, ["person", "model"], ["model"] * 2)]  # fmt: skip
    assert groups == [{"person"}, {"all"}, {"all"}]


@pytest.mark.parametrize("shown", [True, False], ids=["the study's people", "nobody of the study"])
def test_pairs_are_of_those_who_were_shown_adversarial_images(shown, caplog):
    """Many who classified clean images elsewhere take no pair from the study's people, and have none."""
    clean = np.zeros((4, 2 + agreement.PAIRED), int)
    adversarial = np.full(clean.shape, NOT_SHOWN)
    if shown:
        adversarial[:, :2] = [0, 1]
    both = [responses_of(adversarial), responses_of(clean, variant="clean")]
    rows = agreement.table(both, answered.judging())
    pairs = {(row["variant"], row["first"], row["second"]) for row in rows if row["among"] == "pair"}
    assert pairs == ({("adversarial", "p0", "p1"), ("clean", "p0", "p1")} if shown else set())
    assert ("no pairs are given" in caplog.text) != shown


def test_agreement_intervals_cover_the_true_kappa():
    rng = np.random.default_rng(11)
    # right with 0.8, else one of the two others: two agree with 0.8^2 + 2 x 0.1^2, by chance with 1/3
    truth = (0.66 - 1 / 3) / (2 / 3)
    covered = {"fleiss_kappa": 0, "cohen_kappa": 0}
    for seed in range(120):
        labels = rng.integers(0, 3, 150)
        wrong = (labels[:, None] + rng.integers(1, 3, (150, 2))) % 3
        chosen = np.where(rng.random((150, 2)) < 0.8, labels[:, None], wrong)
        for row in rows_of(responses_of(chosen, labels=labels), seed=seed, level=0.9):
            if row["measure"] in covered and row["among"] != "all":
                covered[row["measure"]] += row["low"] <= truth <= row["high"]
    # 108 of 120 are expected, with a deviation of 3.3
    assert all(97 <= count <= 118 for count in covered.values()), covered
