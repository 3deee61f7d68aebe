"""Images that somebody else sampled: staged, and read in a mixed order."""

import hashlib
import json
import os

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustlaws.generators.sampled_files.permutation import Order
from tests.support.sampled_files import (
    CLASSES,
    SIZE,
    chunked,
    contiguous,
    deflated,
    each_kind,
    encoded,
    pictures,
    sampler,
    some,
    staged,
    stored,
)

# each writes images and labels as one file of its kind and returns its path and its format


@each_kind
def test_every_image_comes_once_with_its_label_mixed(tmp_path, write):
    images, labels = some(200)
    path, kind = write(tmp_path, images, labels)
    made = sampler(staged(tmp_path, [path], kind), 200)
    results = [made.batch(range(first, first + 64)) for first in range(0, 256, 64)]
    found_images, found_labels = (np.concatenate(part)[:200] for part in zip(*results, strict=True))
    assert found_images.dtype == np.uint8
    assert found_labels.dtype == np.int64
    row_of = {image.tobytes(): row for row, image in enumerate(images)}
    rows = np.array([row_of[image.tobytes()] for image in found_images])
    assert sorted(rows.tolist()) == list(range(200))
    assert found_labels.tolist() == labels[rows].tolist()
    assert rows.tolist() == Order(200, 1).at(np.arange(200)).tolist()
    assert np.bincount(found_labels[:50], minlength=CLASSES).min() >= 2
    assert not (tmp_path / "state").exists()
    raw = write in (stored, contiguous)
    with h5py.File(tmp_path / "samples.h5") as file:
        assert ("image" in file) != raw
        assert file["label"].dtype == np.uint8
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    (line,) = made.provenance["sources"]
    assert line.endswith(f"  {path.name}")
    assert digest in (None, line.split()[0])
    assert (made.provenance["source_image_key"], made.provenance["source_images"]) == ("image", 200)
    assert str(tmp_path) not in json.dumps(made.provenance)


def test_sampled_files_read_plain_and_packed_files_in_order(tmp_path):
    images, labels = some(90)
    paths = []
    for number, (write, part) in enumerate(
        [(stored, slice(0, 40)), (deflated, slice(40, 70)), (stored, slice(70, 90))]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths.append(write(folder, images[part], labels[part])[0])
    result, found_labels = sampler(staged(tmp_path, paths, "npz"), 90).batch(range(90))
    rows = Order(90, 1).at(np.arange(90))
    assert np.array_equal(result, images[rows])
    assert np.array_equal(found_labels, labels[rows])


def test_the_first_images_do_not_depend_on_how_many_there_are(tmp_path):
    path, _ = stored(tmp_path, *some(200))
    index = staged(tmp_path, [path], "npz")
    assert np.array_equal(sampler(index, 64).batch(range(64))[0], sampler(index, 200).batch(range(64))[0])
    assert not np.array_equal(sampler(index, 64).batch(range(64))[0], sampler(index, 64, seed=2).batch(range(64))[0])


def test_more_images_than_there_are_are_refused(tmp_path):
    path, _ = stored(tmp_path, *some(200))
    index = staged(tmp_path, [path], "npz")
    with pytest.raises(ValueError, match=r"image 200 wanted for theirs; the files hold 200 images"):
        sampler(index, 101, first=100)
    with pytest.raises(ValueError, match=r"image 200 wanted; the files hold 200"):
        sampler(index, 100, first=100).batch(range(200, 264))
    with pytest.raises(ValueError, match=r"4x4 pixels, 3 channels, 5 classes; the study has images of 8x8 pixels"):
        sampler(index, 100, image_size=8)


def test_one_hot_labels_of_other_keys_are_read(tmp_path):
    images, labels = some(50)
    np.savez(tmp_path / "dg.npz", samples=images, label=np.eye(CLASSES, dtype=np.float32)[labels])
    index = staged(tmp_path, [tmp_path / "dg.npz"], "npz", image_key="samples")
    result, found_labels = sampler(index, 50).batch(range(50))
    rows = Order(50, 1).at(np.arange(50))
    assert np.array_equal(result, images[rows])
    assert np.array_equal(found_labels, labels[rows])


# the order


@given(length=st.integers(1, 700), seed=st.integers(0, 2**62))
@settings(max_examples=40, deadline=None)
def test_the_order_is_a_permutation_whatever_the_length(length, seed):
    assert sorted(Order(length, seed).at(np.arange(length)).tolist()) == list(range(length))


def test_the_order_looks_random():
    count, length = 20_000, 50_000_000
    order = Order(length, 3).at(np.arange(count))
    assert len(set(order.tolist())) == count
    # class-sorted: ten classes of 5 million; chi-squared with 9 degrees of freedom is above 33.7 once in 10,000 times
    counts = np.bincount(order // 5_000_000, minlength=10)
    chi = ((counts - count / 10) ** 2 / (count / 10)).sum()
    neighbours = np.corrcoef(order[:-1], order[1:])[0, 1]
    print(f"order of {length:,}: chi-squared {chi:.1f} over 10 classes, correlation of neighbours {neighbours:.4f}")
    assert chi < 33.7
    assert abs(neighbours) < 4 / np.sqrt(count)
    # a pair of places is in ascending order half of the time, whatever the distance
    for distance in (1, 7071, 7072):
        ascending = (order[distance:] > order[:-distance]).mean()
        assert abs(ascending - 0.5) < 4 * 0.5 / np.sqrt(count - distance)


def test_places_outside_of_the_order_are_refused():
    with pytest.raises(ValueError, match="places 3 to 10 of an order of 10"):
        Order(10, 1).at([3, 10])


# what is refused


def refused(tmp_path, match, kind="npz", path=None, **changes):
    with pytest.raises(ValueError, match=match):
        staged(tmp_path, [path or tmp_path / "x.npz"], kind, **changes)
    assert not (tmp_path / "samples.h5").exists()


def test_npz_files_that_hold_something_else_are_refused(tmp_path):
    images, labels = some(20)
    refused(tmp_path, "x.npz: no such file")

    def save(**content):
        np.savez(tmp_path / "x.npz", **content)

    save(image=images.astype(np.float32), label=labels)
    refused(tmp_path, r"'image' is float32 \(20, 4, 4, 3\); uint8 \(count, 4, 4, 3\) is wanted")
    save(image=images.transpose(0, 3, 1, 2), label=labels)
    refused(tmp_path, r"'image' is uint8 \(20, 3, 4, 4\).*channels last")
    save(image=images, label=labels[1:])
    refused(tmp_path, r"20 images, but 'label' is \(19,\)")
    save(image=images, label=labels + 1)
    refused(tmp_path, r"'label': classes from 1 to 5; there are 5, numbered from 0")
    save(image=images, label=np.eye(CLASSES)[labels] * 2)
    refused(tmp_path, r"'label': rows of 5 numbers that are not one-hot")
    save(image=np.array([None] * 20), label=labels)
    refused(tmp_path, r"'image' holds Python objects")
    save(image=images, label=labels)
    refused(tmp_path, r"x.npz: has the SHA-256 \w{64}; generators.theirs.sha256 asks for 00", sha256=["00"])
    refused(tmp_path, r"generators.theirs.sha256: 2 given for 1 files", sha256=["00", "01"])
    refused(tmp_path, r"generators.theirs.format: unknown 'zarr'; known: folder, hdf5, npz, parquet", kind="zarr")


@pytest.mark.parametrize("write", [stored, deflated, chunked])
def test_a_damaged_file_is_refused(tmp_path, write):
    path, kind = write(tmp_path, *some(400))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    refused(tmp_path, r"damaged|cannot be read", kind, path)


def test_hdf5_that_only_points_elsewhere_is_refused(tmp_path):
    path, _ = contiguous(tmp_path, *some(20))
    layout = h5py.VirtualLayout((20, SIZE, SIZE, 3), np.uint8)
    layout[:] = h5py.VirtualSource(path, "image", (20, SIZE, SIZE, 3))
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_virtual_dataset("image", layout)
        file["label"] = np.zeros(20, int)
        file["link"] = h5py.ExternalLink(str(path), "image")
        file.create_group("group")
    refused(tmp_path, r"'image' only points to .*c.h5; give those files", "hdf5", tmp_path / "v.h5")
    refused(tmp_path, r"'link' only points to .*c.h5", "hdf5", tmp_path / "v.h5", image_key="link")
    refused(tmp_path, r"'group' is a group", "hdf5", tmp_path / "v.h5", image_key="group")
    refused(
        tmp_path,
        r"no dataset 'x' that can be opened; it has group, image, label",
        "hdf5",
        tmp_path / "v.h5",
        image_key="x",
    )


def test_hdf5_of_a_compression_that_is_not_there_is_refused(tmp_path):
    with h5py.File(tmp_path / "z.h5", "w") as file:
        packed = {"chunks": (20, SIZE, SIZE, 3), "compression": 32015, "allow_unknown_filter": True}
        image = file.create_dataset("image", (20, SIZE, SIZE, 3), np.uint8, **packed)
        image.id.write_direct_chunk((0, 0, 0, 0), b"of Zstandard")
        file["label"] = np.zeros(20, int)
    refused(tmp_path, r"image cannot be read .*may need the package hdf5plugin", "hdf5", tmp_path / "z.h5")


def test_folders_that_are_not_the_classes_are_refused(tmp_path):
    path, _ = pictures(tmp_path, *some(20))
    refused(tmp_path, r"5 folders; one for each of the 7 classes", "folder", path, classes=7)
    (path / "3" / "zz.png").write_bytes(encoded(np.zeros((6, 4, 3), np.uint8)))
    refused(tmp_path, r"zz.png: 4x6 pixels in colour; 4x4 pixels in colour wanted", "folder", path)


def test_a_file_that_changed_after_it_was_staged_is_named(tmp_path):
    path, _ = stored(tmp_path, *some(20))
    index = staged(tmp_path, [path], "npz")
    os.utime(path, (1, 1))
    with pytest.raises(ValueError, match=r"a.npz: changed since it was staged; delete .*samples.h5"):
        sampler(index, 20)
    path.unlink()
    with pytest.raises(ValueError, match=r"a.npz: No such file.*must stay, or be staged again"):
        sampler(index, 20)
