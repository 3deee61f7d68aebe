<<<<<<< HEAD
"""Shards."""

import hashlib
=======
"""Where real images come from."""

import io
import json
from pathlib import Path
>>>>>>> h-e

import numpy as np
import pytest
<<<<<<< HEAD
from hypothesis import given, settings
from hypothesis import strategies as st
=======
from PIL import Image
from sklearn.datasets import load_digits
>>>>>>> h-e

from robustlaws.data import shards

RNG = np.random.default_rng(0)


def some_images(count, size=4, channels=1):
    return RNG.integers(0, 256, (count, size, size, channels), dtype=np.uint8)


<<<<<<< HEAD
def test_one_damaged_byte_is_found(tmp_path):
    path = tmp_path / "s.h5"
    images = some_images(50, 8)
    shards.write(path, images, np.arange(50), {"dataset": "edm-3"})
    content = bytearray(path.read_bytes())
    at = content.find(images[7].tobytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="image 7 does not match its digest"):
        shards.read(path)


def test_the_same_images_give_the_same_bytes(tmp_path):
    images = some_images(5)
    digests = set()
    for name in "ab":
        shards.write(tmp_path / name, images, np.arange(5), {"dataset": "x", "seed": 3})
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


@given(sizes=st.lists(st.integers(1, 7), min_size=1, max_size=4), data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_prefix_is_the_first_images_whatever_the_shards(sizes, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    total = sum(sizes)
    images, labels = some_images(total, 2), np.arange(total)
    edges = np.cumsum([0, *sizes])
    paths = []
    for index, (start, stop) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        paths.append(folder / f"{index}.h5")
        shards.write(paths[-1], images[start:stop], labels[start:stop], {})
    count = data.draw(st.integers(1, total))
    got = shards.read_prefix(paths, count)
    assert np.array_equal(got[0], images[:count])
    assert got[1].tolist() == list(range(count))
    with pytest.raises(ValueError, match=f"{total + 1} wanted"):
        shards.read_prefix(paths, total + 1)


def test_what_is_no_shard_is_refused(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable HDF5"):
        shards.read(tmp_path / "x.h5")
    with pytest.raises(ValueError, match="uint8"):
        shards.write(tmp_path / "y.h5", np.zeros((2, 4, 4, 1)), np.zeros(2, int), {})
=======
def import_digits(folder, seed=1, test_images=300):
    told = Import("digits", seed, None, test_images, None, None)
    paths = folder / "train.h5", folder / "test.h5"
    sources.import_source(train_path=paths[0], test_path=paths[1], train_files=[], test_files=[], settings=told)
    return [shards.read(path) for path in paths]


def test_digits_are_all_there_once_and_split_by_seed(tmp_path):
    (train, train_labels), (test, test_labels) = import_digits(tmp_path)
    assert (len(train), len(test)) == (1497, 300)
    assert (train.min(), train.max()) == (0, 255)
    both = np.concatenate([train, test]).reshape(1797, -1), np.concatenate([train_labels, test_labels])
    truth = load_digits()
    ours = sorted(map(tuple, np.column_stack([np.round(both[0] * (16 / 255)), both[1]]).astype(int).tolist()))
    assert ours == sorted(map(tuple, np.column_stack([truth.data, truth.target]).astype(int).tolist()))
    (other, _), _ = import_digits(tmp_path, seed=2)
    assert not np.array_equal(train, other)


def test_more_test_images_than_there_are_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"source.test_images: 1797; digits has 1797"):
        import_digits(tmp_path, test_images=1797)


def hub_file(path, images, labels, names=("no", "yes"), kind="PNG"):
    def encoded(image):
        buffer = io.BytesIO()
        Image.fromarray(image.squeeze()).save(buffer, kind)
        return {"bytes": buffer.getvalue(), "path": None}

    table = pa.table({"img": [encoded(image) for image in images], "label": pa.array(labels, pa.int64())})
    about = {"info": {"features": {"label": {"names": list(names), "_type": "ClassLabel"}}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(about)}), path)
    return path


def import_hub(folder, files, **wanted):
    told = Import("hub_parquet", 1, wanted.get("train"), wanted.get("test"), "img", "label")
    paths = folder / "train.h5", folder / "test.h5"
    sources.import_source(train_path=paths[0], test_path=paths[1], train_files=files, test_files=files, settings=told)
    return paths


def test_hub_parquet_is_read_whole_in_order_with_its_class_names(tmp_path):
    images, labels = some_images(5, 8, 3), [0, 1, 1, 0, 1]
    first = hub_file(tmp_path / "a.parquet", images[:3], labels[:3])
    second = hub_file(tmp_path / "b.parquet", images[3:], labels[3:])
    train, _ = import_hub(tmp_path, [first, second])
    assert np.array_equal(shards.read(train)[0], images)
    assert shards.read(train)[1].tolist() == labels
    assert shards.attributes(train)["class_names"] == ["no", "yes"]


def test_a_damaged_row_is_named(tmp_path):
    path = hub_file(tmp_path / "a.parquet", some_images(2, 8, 3), [0, 1])
    rows = pq.read_table(path).to_pylist()
    rows[1]["img"]["bytes"] = b"not an image"
    pq.write_table(pa.Table.from_pylist(rows), path)
    with pytest.raises(ValueError, match=r"a.parquet row 1: not an image"):
        import_hub(tmp_path, [path])


def test_a_missing_column_is_named(tmp_path):
    pq.write_table(pa.table({"image": [1], "label": [0]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"no column 'img'; it has image, label"):
        import_hub(tmp_path, [tmp_path / "a.parquet"])


@pytest.mark.skipif(not CIFAR10.exists(), reason="the real CIFAR-10 files are not beside this checkout")
def test_real_cifar10_is_read(tmp_path):
    files = sorted(CIFAR10.glob("test-*.parquet"))
    _, test = import_hub(tmp_path, files, train=10, test=10_000)
    images, labels = shards.read(test)
    assert images.shape == (10_000, 32, 32, 3)
    assert np.bincount(labels).tolist() == [1000] * 10
    assert shards.attributes(test)["class_names"][3] == "cat"
    # published statistics of CIFAR-10: mean 0.4914, 0.4822, 0.4465 over the training split
    assert np.abs(images.mean((0, 1, 2)) / 255 - [0.4914, 0.4822, 0.4465]).max() < 0.01
>>>>>>> h-e
