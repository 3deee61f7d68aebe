"""What figures leave out: images that no tile shows, and runs of another recipe."""

import numpy as np
import pytest

from robustlaws.data import shards
from robustlaws.figures import mosaics, samples, sources
from tests.unit.test_figures import build, draw


@pytest.fixture
def shard(tmp_path):
    """Return a shard of 400 images with some classes rare, and what is in it."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (400, 8, 8, 3), dtype=np.uint8), rng.choice(4, 400, p=[0.5, 0.3, 0.19, 0.01])
    shards.write(tmp_path / "shard.h5", images, labels, {"dataset": "edm-5"}, layout="gzip")
    return tmp_path / "shard.h5", images, labels


def test_tiles_are_the_first_images_of_each_class_and_no_other_is_read(monkeypatch, shard):
    path, images, labels = shard
    monkeypatch.setattr(shards, "read", None)  # reads a shard whole
    tiles = samples._block(path, [3, 0, 7, 1], 3)
    rgb = mosaics.as_rgb(images)
    for column, label in enumerate([3, 0, 7, 1]):
        wanted = list(rgb[labels == label][:3])
        found = [row[column] for row in tiles if row[column] is not None]
        assert len(found) == len(wanted)
        assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert samples._block(path, [7], 2) == [[None], [None]]


def test_a_damaged_image_is_not_shown(tmp_path):
    path, images = tmp_path / "shard.h5", np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    shards.write(path, images, np.arange(60) % 10, {})
    content = bytearray(path.read_bytes())
    content[shards.raw_layout(path).image + 12 * 64] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"shard.h5: damaged, image 12 does not match its digest"):
        samples._block(path, [2, 3], 2)
    samples._block(path, [2, 3], 1)


@pytest.mark.parametrize("name", ["learning_curves", "accuracy"])
def test_runs_of_another_recipe_are_not_drawn(tmp_path, name):
    def with_recipe(rows):
        better = [row | {"run": row["run"].replace("/", "@long/", 1), "recipe": "long"} for row in rows]
        rows[:0] = [row | {"adv_loss": row["adv_loss"] / 2, "adv_acc": 0.99, "flops": 1e20} for row in better]

    own = build(tmp_path / "own")
    more = build(tmp_path / "more", change=with_recipe)
    both = own | {table: more[table] for table in ("runs", "curves")}
    assert draw(name, tmp_path, both, "out of both")[2] == draw(name, tmp_path, own)[2]


def test_a_study_of_other_recipes_alone_draws_nothing(tmp_path):
    def renamed(rows):
        for row in rows:
            row |= {"run": row["run"].replace("/", "@long/", 1), "recipe": "long"}

    inputs = build(tmp_path / "in", change=renamed)
    assert "no curves of the study's own recipe" in draw("learning_curves", tmp_path, inputs)[1]
    assert "no runs of the study's own recipe" in draw("accuracy", tmp_path, inputs)[1]
    assert sources.of_the_study(sources.records.table([], sources.records.CURVES)).empty
