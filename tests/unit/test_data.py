"""Shards."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustlaws.data import shards

RNG = np.random.default_rng(0)


def some_images(count, size=4, channels=1):
    return RNG.integers(0, 256, (count, size, size, channels), dtype=np.uint8)


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
