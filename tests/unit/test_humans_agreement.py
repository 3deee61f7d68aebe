"""Agreement is what the literature's worked example and scikit-learn say it is."""

import numpy as np
import pytest

from robustlaws.humans import agreement

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
