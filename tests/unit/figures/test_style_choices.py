"""What figures show and leave out: images that no tile shows, runs of another recipe, a FID that no law can tell."""

import json

import numpy as np
import pytest

from robustlaws.data import shards
from robustlaws.figures import samples
from robustlaws.figures.drawing import inputs as sources
from robustlaws.figures.drawing import mosaics
from robustlaws.storage import tables
from tests.support.figure_study import CLASSES, build, draw, limit_rows


@pytest.fixture
def shard(tmp_path):
    """Return a shard of 400 images with some classes rare, and what is in it."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (400, 8, 8, 3), dtype=np.uint8), rng.choice(4, 400, p=[0.5, 0.3, 0.19, 0.01])
    shards.write(tmp_path / "shard.h5", images, labels, {"dataset": "edm-5"}, layout="gzip")
    return tmp_path / "shard.h5", images, labels


def test_samples_read_only_the_first_images_of_each_class(monkeypatch, shard):
    path, images, labels = shard
    monkeypatch.setattr(shards, "read", None)  # reads a shard whole
    tiles, indices = samples._block(path, [3, 0, 7, 1], 3)
    rgb = mosaics.as_rgb(images)
    for column, label in enumerate([3, 0, 7, 1]):
        wanted = list(rgb[labels == label][:3])
        results = [row[column] for row in tiles if row[column] is not None]
        assert len(results) == len(wanted)
        assert all(np.array_equal(a, b) for a, b in zip(results, wanted, strict=True))
        settings = [row[column] for row in indices if row[column] is not None]
        assert settings == list(np.flatnonzero(labels == label)[:3])
    assert samples._block(path, [7], 2) == ([[None], [None]],) * 2


def test_the_table_of_the_samples_says_which_images_they_are(tmp_path):
    inputs = build(tmp_path / "in")
    table = draw("samples", tmp_path, inputs)[3]
    assert set(table["kind"]) == {"image"}
    assert list(dict.fromkeys(table["panel"])) == ["real training images", "edm-18", "edm-5", "edm-3"]
    _, labels = shards.read(inputs["shards"][1])
    mine = table[table["panel"] == "edm-5"]
    assert len(mine) == 30
    for row in mine.itertuples():
        assert labels[int(row.z)] == row.x
        assert row.label == CLASSES[int(row.x)]
        assert (labels[: int(row.z)] == row.x).sum() == row.y


def test_adversarial_table_describes_each_picture(tmp_path):
    inputs = build(tmp_path / "in")
    table = draw("adversarial", tmp_path, inputs)[3]
    assert len(table) == 18
    _, labels = shards.read(inputs["test_images"])
    for panel, rows in table.groupby("panel", sort=False):
        true = int(rows["z"].iloc[0])
        assert panel == f"test image {true}"
        # the study's record turns each broken image into the class three further
        name, given = CLASSES[labels[true]], CLASSES[(labels[true] + 3) % 10]
        assert list(rows["x"]) == [0, 1, 2]
        assert rows["label"].iloc[0] == f"clean: {name}"
        assert rows["label"].iloc[1].startswith(f"attacked: {given} (")


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
    assert sources.of_the_study(tables.table([], tables.CURVES)).empty


def test_allocation_ends_with_fid_0(tmp_path):
    inputs = build(tmp_path / "in")
    _, text, _, table = draw("allocation", tmp_path, inputs)
    columns = ["edm-3", "edm-5", "edm-18", "FID 0"]
    assert list(dict.fromkeys(table["panel"])) == [f"{symbol}, {name}" for symbol in ("N*", "D*") for name in columns]
    for law, path in zip(("envelope", "additive", "bottleneck"), inputs["allocations"], strict=True):
        given = tables.read(path, tables.ALLOCATIONS)
        for name in columns:
            rows = given[given["dataset"].isna() if name == "FID 0" else given["dataset"] == name]
            for symbol, quantity in (("N*", "params"), ("D*", "images")):
                mine = table[(table["panel"] == f"{symbol}, {name}") & (table["series"] == law)]
                line, band = (mine[mine["kind"] == kind].reset_index() for kind in ("line", "band"))
                np.testing.assert_allclose(line["x"], rows["flops"])
                np.testing.assert_allclose(line["y"], rows[quantity])
                np.testing.assert_allclose(band["low"], rows[f"{quantity}_low"])
                np.testing.assert_allclose(band["high"], rows[f"{quantity}_high"])
    assert "Without a line at FID 0: Approach 1: envelope of training curves." in text


def test_allocation_shows_no_fid_0_that_is_not_determined(tmp_path):
    inputs = build(tmp_path / "in", laws=("additive",))
    tables.write(inputs["limits"], limit_rows(("additive",), {}, determined=False), tables.APPROACHES)
    _, text, _, table = draw("allocation", tmp_path, inputs)
    assert "N*, FID 0" not in set(table["panel"])
    assert "FID 0 is not shown: no law tells N* or D* there." in text
    assert (table["series"] == "additive").any()


def test_allocation_keeps_fid_0_without_one_dataset(tmp_path):
    inputs = build(tmp_path / "in", laws=("additive",))
    content = json.loads(inputs["laws"][0].read_text())
    for exponent in ("N_star", "D_star"):
        content["datasets"][1]["exponents"][exponent]["determined"] = False
    inputs["laws"][0].write_text(json.dumps(content))
    _, _, _, table = draw("allocation", tmp_path, inputs)
    assert "N*, FID 0" in set(table["panel"])
    assert (table["series"] == "additive").any()
