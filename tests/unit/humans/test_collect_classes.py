"""The classes of a study have the names that the data give them, else their numbers, and each has one."""

import pytest

from robustlaws.humans.stimuli import class_names
from tests.support import answered


@pytest.mark.parametrize(
    ("given", "labels", "predictions", "wanted"),
    [
        (["cat", "dog", "ship"], [0, 1], None, ["cat", "dog", "ship"]),
        (["cat", "dog", "ship"], [0, 1], [2, 0], ["cat", "dog", "ship"]),
        (None, [0, 2, 1], None, ["0", "1", "2"]),
        ([], [0, 2, 1], None, ["0", "1", "2"]),
        (None, [0, 2, 1], [2, 4, 0], ["0", "1", "2", "3", "4"]),  # the split has no image of what the network saw
    ],
    ids=["names", "names enough", "numbers", "no names", "a class of the network alone"],
)
def test_names(tmp_path, given, labels, predictions, wanted):
    answered.shard_of(tmp_path / "images", labels, given)
    key = predictions and answered.key_of(labels, predictions)
    assert class_names.names(tmp_path / "images", key) == wanted


def test_class_numbers_without_stimuli_are_those_of_the_images(tmp_path):
    answered.shard_of(tmp_path / "images", [0, 1], None)
    assert class_names.names(tmp_path / "images", answered.key_of([0, 1], [1, 0], images=[])) == ["0", "1"]


def test_a_class_beyond_the_names_is_refused_in_one_line(tmp_path):
    answered.shard_of(tmp_path / "images", [0, 1], ["cat", "dog"])
    with pytest.raises(ValueError, match="images class_names: 2 names, but the key has class 2") as caught:
        class_names.names(tmp_path / "images", answered.key_of([0, 1], [1, 2]))
    assert "\n" not in str(caught.value)
