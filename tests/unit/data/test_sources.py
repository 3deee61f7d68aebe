"""Sources of real images: digits, the hub's Parquet, CIFAR-10's official files, folders and npz."""

import hashlib
import io
import json
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from robustlaws import registry
from robustlaws.data import SOURCES, cifar10, encoded_images, npz, shards, sources
from robustlaws.settings import Import
from tests.support.image_sources import RNG, Hostile, import_files, picture, picture_folders, some_images

CIFAR10 = Path(__file__).parents[4] / "shared" / "cifar10"


def import_digits(folder, seed=1, test_images=300):
    settings = Import("digits", seed, None, test_images, None, None, 8, 1, 10)
    paths = folder / "train.h5", folder / "test.h5"
    sources.import_source(train_path=paths[0], test_path=paths[1], train_files=[], test_files=[], settings=settings)
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
    given = [wanted.get(name) for name in ("train", "test")]
    settings = Import("hub_parquet", 1, *given, "img", "label", wanted.get("size", 8), wanted.get("channels", 3), 10)
    paths = folder / "train.h5", folder / "test.h5"
    sources.import_source(
        train_path=paths[0], test_path=paths[1], train_files=files, test_files=files, settings=settings
    )
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
    _, test = import_hub(tmp_path, files, train=10, test=10_000, size=32)
    images, labels = shards.read(test)
    assert images.shape == (10_000, 32, 32, 3)
    assert np.bincount(labels).tolist() == [1000] * 10
    assert shards.attributes(test)["class_names"][3] == "cat"
    # published statistics of CIFAR-10: mean 0.4914, 0.4822, 0.4465 over the training split
    assert np.abs(images.mean((0, 1, 2)) / 255 - [0.4914, 0.4822, 0.4465]).max() < 0.01


def test_a_class_without_a_name_is_refused(tmp_path):
    path = hub_file(tmp_path / "a.parquet", some_images(3, 8, 3), [1, -1, 0])
    with pytest.raises(ValueError, match=r"a.parquet: 'label': classes from -1 to 1; there are 2"):
        import_hub(tmp_path, [path])


def test_sources_mix_images_sorted_by_class(tmp_path):
    images = np.arange(40, dtype=np.uint8).repeat(64).reshape(40, 8, 8, 1)
    path = hub_file(tmp_path / "a.parquet", images, np.arange(40) // 20)
    train, _ = import_hub(tmp_path, [path], train=20, channels=1)
    kept, labels = shards.read(train)
    assert 5 < labels.sum() < 15
    assert (kept[:, 0, 0, 0] // 20 == labels).all()
    assert len(set(kept[:, 0, 0, 0].tolist())) == 20


# CIFAR-10's official files

OFFICIAL = {"size": 32, "channels": 3, "classes": 10}


class Python2(pickle._Pickler):
    """Pickles as Python 2 did: every string is one of bytes."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_string(self, text):
        content = text if isinstance(text, bytes) else text.encode("latin-1")
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(text)

    dispatch[bytes] = dispatch[str] = save_string


def as_python2(content):
    buffer = io.BytesIO()
    Python2(buffer, 2).dump(content)
    return buffer.getvalue().replace(b"numpy._core", b"numpy.core")


def official(monkeypatch, folder, per_batch=20, binary=False):
    """Write batches and the archive as CIFAR-10 has them, and let their checksums be the official ones."""
    images, labels = some_images(6 * per_batch, 32, 3), RNG.integers(0, 10, 6 * per_batch)
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    inside = folder / ("cifar-10-batches-bin" if binary else "cifar-10-batches-py")
    inside.mkdir()
    names = [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]
    for k, name in enumerate(names):
        part = slice(k * per_batch, (k + 1) * per_batch)
        if binary:
            name += ".bin"
            content = np.column_stack([labels[part].astype(np.uint8), planes[part]]).tobytes()
        else:
            # one array in the order of C, the others in Fortran's
            data = np.asfortranarray(planes[part]) if k else planes[part]
            content = as_python2({"batch_label": "of 5", "labels": labels[part].tolist(), "data": data})
        (inside / name).write_bytes(content)
        monkeypatch.setitem(cifar10._BATCHES, name, hashlib.new("sha1" if binary else "md5", content).hexdigest())
    archive = folder / "renamed.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(inside, inside.name)
    monkeypatch.setitem(cifar10._ARCHIVES, "the test's", hashlib.md5(archive.read_bytes()).hexdigest())
    return archive, inside, (images, labels)


@pytest.mark.parametrize("binary", [False, True], ids=["python", "binary"])
@pytest.mark.parametrize("given", ["archive", "folder", "outer folder", "files"])
def test_cifar10_is_read_from_its_official_files(monkeypatch, tmp_path, binary, given):
    archive, inside, (images, labels) = official(monkeypatch, tmp_path, binary=binary)
    files = {"archive": [archive], "folder": [inside], "outer folder": [tmp_path], "files": sorted(inside.iterdir())}
    (train, train_labels), (test, test_labels) = import_files(
        tmp_path, "cifar10", files[given], files[given], **OFFICIAL
    )
    assert np.array_equal(np.concatenate([train, test]), images)
    assert np.concatenate([train_labels, test_labels]).tolist() == labels.tolist()
    assert shards.attributes(tmp_path / "test.h5")["class_names"] == list(cifar10.NAMES)


def test_the_archive_alone_gives_both_splits(monkeypatch, tmp_path):
    archive, _, (images, _) = official(monkeypatch, tmp_path)
    (train, _), (test, _) = import_files(tmp_path, "cifar10", [archive], **OFFICIAL)
    assert np.array_equal(np.concatenate([train, test]), images)


def test_an_archive_that_is_cut_off_is_refused_by_its_checksum(monkeypatch, tmp_path):
    archive, _, _ = official(monkeypatch, tmp_path)
    archive.write_bytes(archive.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"renamed.tar.gz: has the MD5 \w{32}, so it is not cifar-10-python.tar.gz"):
        import_files(tmp_path, "cifar10", [archive])


@pytest.mark.parametrize(("binary", "kind"), [(False, "MD5"), (True, "SHA1")])
def test_a_changed_batch_is_refused_by_its_checksum(monkeypatch, tmp_path, binary, kind):
    _, inside, _ = official(monkeypatch, tmp_path, binary=binary)
    path = sorted(inside.iterdir())[2]
    path.write_bytes(path.read_bytes()[:-1] + b"\0\0")
    with pytest.raises(ValueError, match=rf"{path.name}: has the {kind} \w+, the official file"):
        import_files(tmp_path, "cifar10", [inside])


def test_a_missing_batch_and_a_missing_file_are_named(monkeypatch, tmp_path):
    _, inside, _ = official(monkeypatch, tmp_path)
    (inside / "data_batch_4").unlink()
    with pytest.raises(ValueError, match=r"cifar-10-batches-py: no data_batch_4"):
        import_files(tmp_path, "cifar10", [inside])
    with pytest.raises(ValueError, match=r"nowhere.tar.gz: no such file; get https"):
        import_files(tmp_path, "cifar10", [tmp_path / "nowhere.tar.gz"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: no batch of CIFAR-10 in it"):
        import_files(tmp_path, "cifar10", [tmp_path / "empty"])


def test_a_batch_that_would_run_code_is_refused_and_nothing_runs(monkeypatch, tmp_path):
    _, inside, _ = official(monkeypatch, tmp_path)
    marker = tmp_path / "ran"
    content = as_python2({"labels": [1], "data": Hostile(marker)})
    (inside / "data_batch_1").write_bytes(content)
    with pytest.raises(ValueError, match="the official file"):  # it has another checksum
        import_files(tmp_path, "cifar10", [inside])
    monkeypatch.setitem(cifar10._BATCHES, "data_batch_1", hashlib.md5(content).hexdigest())
    with pytest.raises(ValueError, match="does not hold posix.mkdir"):  # and even with the official one
        import_files(tmp_path, "cifar10", [inside])
    assert not marker.exists()


# folders of pictures


def test_a_folder_is_read_with_its_class_names_and_mixed(tmp_path):
    images = some_images(40, 8, 3)
    picture_folders(tmp_path / "all/train", images[:30])
    picture_folders(tmp_path / "all/test", images[30:])
    splits = import_files(tmp_path, "folder", [tmp_path / "all"], channels=3)
    for (result, labels), there, first in zip(splits, (images[:30], images[30:]), (0, 30), strict=True):
        row_of = {image.tobytes(): k for k, image in enumerate(images)}
        rows = [row_of[image.tobytes()] for image in result]
        assert sorted(rows) == list(range(first, first + len(there)))
        assert [(row - first) % 2 for row in rows] == labels.tolist()
        assert sorted(labels.tolist()) != labels.tolist()  # not class after class
    assert shards.attributes(tmp_path / "train.h5")["class_names"] == ["cat", "dog"]
    again = import_files(tmp_path, "folder", [tmp_path / "all/train"], [tmp_path / "all/test"], channels=3)
    assert np.array_equal(again[0][0], splits[0][0])


def test_folders_named_by_numbers_are_in_their_order(tmp_path):
    for k in range(12):
        picture(tmp_path / str(k) / "a.png", np.full((4, 4), k, np.uint8))
    assert [name for name, _ in encoded_images.class_folders(tmp_path)] == [str(k) for k in range(12)]


def test_pictures_are_shrunk_by_the_mean_over_each_new_pixel(tmp_path):
    image = some_images(1, 16, 3)[0]
    wide = np.concatenate([np.zeros((16, 4, 3), np.uint8), image, np.full((16, 4, 3), 255, np.uint8)], axis=1)
    for split in ("train", "test"):
        for name in ("a", "b"):
            picture(tmp_path / split / name / "x.png", wide)
    (result, _), _ = import_files(tmp_path, "folder", [tmp_path], image_size=4, size=4, channels=3)
    mean = image.reshape(4, 4, 4, 4, 3).mean((1, 3))
    assert np.abs(result[0] - mean).max() <= 1  # two roundings


def test_pictures_that_do_not_fit_together_are_named(tmp_path):
    picture_folders(tmp_path / "train", some_images(4, 8, 3))
    picture_folders(tmp_path / "test", some_images(2, 8, 3))
    picture(tmp_path / "train/cat/zz.png", some_images(1, 6, 3)[0])
    with pytest.raises(ValueError, match=r"zz.png: 6x6 pixels in colour; 8x8 pixels in colour wanted"):
        import_files(tmp_path, "folder", [tmp_path])
    picture(tmp_path / "train/cat/zz.png", some_images(1, 8)[0])
    with pytest.raises(ValueError, match=r"zz.png: 8x8 pixels in grey; 8x8 pixels in colour wanted"):
        import_files(tmp_path, "folder", [tmp_path])
    picture(tmp_path / "train/cat/zz.png", some_images(1, 8, 3)[0], "RGBA")
    with pytest.raises(ValueError, match=r"zz.png: a picture of kind RGBA; grey or RGB"):
        import_files(tmp_path, "folder", [tmp_path])
    (tmp_path / "train/cat/zz.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"zz.png: not an image"):
        import_files(tmp_path, "folder", [tmp_path])


def test_splits_of_other_classes_are_refused(tmp_path):
    picture_folders(tmp_path / "train", some_images(4, 8))
    picture_folders(tmp_path / "test", some_images(6, 8), ("cat", "cow", "dog"))
    with pytest.raises(ValueError, match=r"3 classes for test, 2 for train; only one has cow"):
        import_files(tmp_path, "folder", [tmp_path])
    with pytest.raises(ValueError, match=r"nowhere: no such folder"):
        import_files(tmp_path, "folder", [tmp_path / "nowhere"])


# npz


def test_npz_files_are_read_one_after_the_other(tmp_path):
    images, labels = some_images(30, 8), np.arange(30) % 3
    np.savez(tmp_path / "a.npz", x=images[:10, ..., 0], y=labels[:10])
    np.savez_compressed(tmp_path / "b.npz", x=images[10:20, ..., 0], y=labels[10:20])
    np.savez(tmp_path / "t.npz", x=images[20:], y=labels[20:, None])
    files = [tmp_path / "a.npz", tmp_path / "b.npz"], [tmp_path / "t.npz"]
    (train, train_labels), (test, _) = import_files(tmp_path, "npz", *files, image_column="x", label_column="y")
    assert np.array_equal(np.concatenate([train, test]), images)
    assert train_labels.tolist() == labels[:20].tolist()


def test_npz_with_other_content_is_refused_unrun(tmp_path):
    path = tmp_path / "a.npz"
    marker = tmp_path / "ran"
    images, labels = some_images(4, 8), np.arange(4)

    def refused(match, **content):
        np.savez(path, **content)
        with pytest.raises(ValueError, match=match):
            import_files(tmp_path, "npz", [path], [path])

    refused(r"a.npz: no array 'label'; it has image", image=images)
    refused(r"'image' holds Python objects", image=np.array([Hostile(marker)], object), label=labels)
    refused(r"'image' is float64 \(4, 8, 8, 1\); uint8", image=images / 255, label=labels)
    refused(r"4 images, but 'label' is \(3,\)", image=images, label=labels[:3])
    refused(r"'label': classes from -1 to 2", image=images, label=labels - 1)
    refused(r"Fortran's order", image=np.asfortranarray(some_images(4, 8, 3)), label=labels)
    assert not marker.exists()
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"not a readable npz file"):
        import_files(tmp_path, "npz", [path], [path])


def test_npz_files_of_two_shapes_are_refused(tmp_path):
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    np.savez(first, image=some_images(4, 8), label=np.arange(4))
    np.savez(second, image=some_images(4, 6), label=np.arange(4))
    with pytest.raises(ValueError, match=r"b.npz: .*6x6 pixels in grey; 8x8 pixels in grey wanted"):
        import_files(tmp_path, "npz", [first, second], [first])
    with pytest.raises(ValueError, match=r"b.npz: 'image' is uint8 \(4, 6, 6, 1\); uint8 \(count, 8, 8, 1\) is wanted"):
        import_files(tmp_path, "npz", [first], [second])


def test_grey_npz_without_channels_is_read(tmp_path):
    path, images = tmp_path / "a.npz", some_images(40, 8)
    np.savez(path, image=images[..., 0], label=np.arange(40) % 10)
    for read, labels in import_files(tmp_path, "npz", [path], [path]):
        assert np.array_equal(read, images)
        assert np.array_equal(labels, np.arange(40) % 10)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_byte_of_an_npz_is_found(tmp_path, save):
    path = tmp_path / "a.npz"
    save(path, image=some_images(50, 8), label=np.arange(50) % 2)
    content = bytearray(path.read_bytes())
    array = npz.Archive(path).array("image")
    content[(array.offset or 200) + 1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"'image' (is damaged|cannot be read)"):
        list(npz.Archive(path).array("image").blocks(10))


@pytest.mark.parametrize("kind", [np.float32, np.int64, bool])
def test_one_hot_rows_are_classes(kind):
    labels = RNG.integers(0, 5, 20)
    assert npz.class_indices(np.eye(5)[labels].astype(kind), 5, "x").tolist() == labels.tolist()
    with pytest.raises(ValueError, match="x: rows of 5 numbers that are not one-hot"):
        npz.class_indices(np.ones((20, 5), kind), 5, "x")


def test_the_table_names_what_is_there():
    assert {"cifar10", "digits", "folder", "hub_parquet", "npz"} <= set(SOURCES)
    for name in SOURCES:
        assert callable(registry.load(name, SOURCES))
