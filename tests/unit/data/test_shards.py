"""The format of shards, and writing them bit by bit through kills."""

import functools
import hashlib
import json
import logging
import multiprocessing
import random
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustlaws.data import sample_order, shard_format, shard_writer, shards
from robustlaws.runtime import folder_lock

RNG = np.random.default_rng(0)
OWNER = {"settings": {"seed": 3, "steps": [1, 2]}, "revision": "generate-r1"}


def some_images(count, size=4, channels=1):
    return RNG.integers(0, 256, (count, size, size, channels), dtype=np.uint8)


@pytest.fixture(params=list(shards.LAYOUTS))
def layout(request):
    if request.param in ("zstd", "lz4"):
        pytest.importorskip("hdf5plugin")
    return request.param


# the format


def test_every_layout_gives_back_what_was_written(tmp_path, layout, monkeypatch):
    monkeypatch.setattr(shard_format, "_CHUNK_IMAGES", 16)  # several chunks, the last one not full
    images, labels = some_images(50, 5, 3), RNG.integers(0, 10, 50)
    path = tmp_path / "s.h5"
    about = {"dataset": "edm-5", "seed": 3, "steps": None, "shift": 0.5, "churn": True, "class_names": ["ä", "dog"]}
    shards.write(path, images, labels, {**about, "versions": {"torch": "2.13"}}, layout)
    got = shards.read(path)
    assert (got[0].dtype, got[1].dtype) == (np.uint8, np.int64)
    assert np.array_equal(got[0], images)
    assert np.array_equal(got[1], labels)
    assert np.array_equal(shards.read(path, 20)[0], images[:20])
    assert np.array_equal(shards.read_range(path, 14, 35)[0], images[14:35])
    assert np.array_equal(shards.read_range(path, 14, 35)[1], labels[14:35])
    assert (shards.length(path), shards.image_shape(path)) == (50, (5, 5, 3))
    kept = shards.attributes(path)
    assert "steps" not in kept
    assert {name: kept[name] for name in about if name != "steps"} == {k: v for k, v in about.items() if k != "steps"}
    assert json.loads(kept["versions"]) == {"torch": "2.13"}
    assert shards.sealed(path)


def test_the_file_is_what_the_document_says(tmp_path, layout):
    """Read with h5py and hashlib alone, from docs/shards.md."""
    images, labels = some_images(20, 5, 3), RNG.integers(0, 10, 20)
    path = tmp_path / "s.h5"
    shards.write(path, images, labels, {"dataset": "edm-5"}, layout)
    content = path.read_bytes()
    line = f"robustlaws-shard-2 sha256={hashlib.sha256(content[512:]).hexdigest()}\n".encode()
    assert content[:512] == line + bytes(512 - len(line))
    with h5py.File(path) as file:
        assert np.array_equal(file["image"][:], images)
        assert file["label"].dtype == np.dtype("<i8")
        both = [image.tobytes() + label.tobytes() for image, label in zip(images, labels, strict=True)]
        digest = [hashlib.blake2b(content, digest_size=8).digest() for content in both]
        assert file["digest"][:].tobytes() == b"".join(digest)
        assert file.attrs["format"] == b"robustlaws-shard-2"
        assert file.attrs["checksum"].decode() == hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()


def test_plain_bytes_are_where_the_layout_says(tmp_path):
    images, labels = some_images(30, 6, 3), RNG.integers(0, 10, 30)
    shards.write(tmp_path / "s.h5", images, labels, {})
    raw, content = shards.raw_layout(tmp_path / "s.h5"), (tmp_path / "s.h5").read_bytes()
    assert content[raw.image :][: images.nbytes] == images.tobytes()
    assert content[raw.label :][: labels.nbytes] == labels.tobytes()
    shards.write(tmp_path / "c.h5", images, labels, {}, "chunked")
    raw, content = shards.raw_layout(tmp_path / "c.h5"), (tmp_path / "c.h5").read_bytes()
    assert (raw.image, raw.chunk) == (None, 30)
    assert content[raw.label :][: labels.nbytes] == labels.tobytes()


def test_shard_chunk_is_the_readers_block_up_to_a_size(tmp_path):
    shards.write(tmp_path / "c.h5", some_images(600), np.zeros(600, int), {}, "chunked")
    assert shards.raw_layout(tmp_path / "c.h5").chunk == sample_order.BLOCK
    shards.write(tmp_path / "d.h5", some_images(20, 512, 1), np.zeros(20, int), {}, "chunked")
    assert shards.raw_layout(tmp_path / "d.h5").chunk == 16  # of 256 KiB each


def test_the_same_images_give_the_same_bytes(tmp_path, layout):
    images = some_images(5)
    program = """
import sys, numpy as np
from robustlaws.data import shards
images = np.frombuffer(bytes.fromhex(sys.argv[2]), np.uint8).reshape(5, 4, 4, 1)
shards.write(sys.argv[1], images, np.arange(5), {"dataset": "x", "seed": 3}, sys.argv[3])
"""
    subprocess.run([sys.executable, "-c", program, tmp_path / "a", images.tobytes().hex(), layout], check=True)
    shards.write(tmp_path / "b", images, np.arange(5), {"dataset": "x", "seed": 3}, layout)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_one_damaged_image_is_named(tmp_path):
    path = tmp_path / "s.h5"
    images = some_images(50, 8)
    shards.write(path, images, np.arange(50), {"dataset": "edm-3"})
    content = bytearray(path.read_bytes())
    content[content.find(images[7].tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="s.h5: damaged, image 7 does not match its digest; robustlaws remake"):
        shards.read(path)


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
    with pytest.raises(ValueError, match="no such file"):
        shards.read(tmp_path / "none.h5")
    for format, expected in (("robustlaws-shard-1", "earlier format robustlaws-shard-1; delete"), ("z", "not a shard")):
        with h5py.File(tmp_path / "y.h5", "w") as file:
            file.attrs["format"] = format
        with pytest.raises(ValueError, match=expected):
            shards.length(tmp_path / "y.h5")


@pytest.mark.parametrize(
    ("images", "labels", "more", "expected"),
    [
        (np.zeros((2, 4, 4, 1)), [0, 1], {}, "images must be uint8"),
        (np.zeros((2, 4, 4), np.uint8), [0, 1], {}, "images must be uint8"),
        (np.zeros((2, 4, 4, 1), np.uint8), [0], {}, "as many integer labels"),
        (np.zeros((2, 4, 4, 1), np.uint8), [0.0, 1.0], {}, "as many integer labels"),
        (np.zeros((0, 4, 4, 1), np.uint8), np.zeros(0, int), {}, "without images"),
        (np.zeros((1, 4, 4, 1), np.uint8), [0], {"layout": "zip"}, "unknown 'zip'; known: chunked, contiguous, gzip"),
        (np.zeros((1, 4, 4, 1), np.uint8), [0], {"attributes": {"checksum": 1}}, "attribute checksum"),
        (np.zeros((1, 4, 4, 1), np.uint8), [0], {"attributes": {"it": object()}}, "attribute it cannot be kept"),
    ],
)
def test_what_makes_no_shard_is_refused(tmp_path, images, labels, more, expected):
    with pytest.raises(ValueError, match=expected):
        shards.write(tmp_path / "y.h5", images, np.array(labels), **{"attributes": {}, **more})
    assert not list(tmp_path.iterdir())


def test_a_missing_compression_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    with pytest.raises(ValueError, match="pip install hdf5plugin"):
        shards.Writer(tmp_path / "s.h5", 1, (2, 2, 1), {}, tmp_path / "s.h5.partial", "zstd")


# bit by bit


def work(folder, images, pause=0.0, step=8, **arguments):
    """Write `images` bit by bit, as a job does; return how many were there before."""
    path = folder / "s.h5"
    with shards.Writer(path, len(images), images.shape[1:], OWNER, folder / "s.h5.partial", **arguments) as writer:
        before = writer.done
        for start in range(before, len(images), step):
            writer.append(images[start : start + step], np.arange(start, min(start + step, len(images))) % 10)
            time.sleep(pause)
        writer.finish({"dataset": "x"})
    return before


def test_bit_by_bit_gives_the_bytes_of_a_whole_write(tmp_path, layout):
    images = some_images(100, 6, 3)
    work(tmp_path, images, layout=layout)
    shards.write(tmp_path / "whole.h5", images, np.arange(100) % 10, {"dataset": "x"}, layout)
    assert (tmp_path / "s.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.h5", "whole.h5"]


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_kills_at_random_moments_change_no_byte(tmp_path, seconds):
    images, moments = some_images(400, 8, 3), random.Random(seconds)
    start = time.monotonic()
    work(tmp_path / "alone", images, pause=0.004)
    took, fork = time.monotonic() - start, multiprocessing.get_context("fork")
    kills, done, journal = 0, [0], tmp_path / "killed" / "s.h5.partial" / "journal.json"
    while not (tmp_path / "killed" / "s.h5").exists():
        job = fork.Process(target=work, args=(tmp_path / "killed", images, 0.004), kwargs={"seconds": seconds})
        job.start()
        job.join(moments.uniform(0, took / 2) if kills < 20 else None)
        job.kill()
        job.join()
        kills += job.exitcode != 0
        if journal.exists():
            done.append(json.loads(journal.read_text())["done"])
    work(tmp_path / "killed", images)  # one that was killed after the rename; or simply once more
    print(f"\n{kills} kills, at images {done}")
    assert kills > 1
    assert done == sorted(done)
    assert max(done) > 0
    assert (tmp_path / "killed" / "s.h5").read_bytes() == (tmp_path / "alone" / "s.h5").read_bytes()
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["s.h5"]


def test_what_is_beyond_the_journal_does_not_count(tmp_path, caplog):
    caplog.set_level(logging.INFO, "robustlaws")
    images = some_images(40)
    partial = tmp_path / "s.h5.partial"
    with shards.Writer(tmp_path / "s.h5", 40, (4, 4, 1), OWNER, partial, seconds=99) as writer:
        writer.append(images[:24], np.arange(24) % 10)
    for name in ("image.raw", "label.raw"):  # as a kill within the next append leaves it
        with open(partial / name, "ab") as file:
            file.write(b"rubbish")
    assert work(tmp_path, images) == 24
    assert "going on after 24 of 40 images" in caplog.text
    assert np.array_equal(shards.read(tmp_path / "s.h5")[0], images)


def test_an_error_keeps_what_is_there(tmp_path, monkeypatch):
    images = some_images(40)
    with monkeypatch.context() as patch:
        patch.setattr(shard_writer, "assemble", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            work(tmp_path, images, seconds=99)
    assert not (tmp_path / "s.h5").exists()
    assert work(tmp_path, images) == 40


@pytest.mark.parametrize("other", ["owner", "count", "shape", "journal", "images"])
def test_work_of_others_or_damaged_work_is_not_taken_up(tmp_path, caplog, other):
    images, partial = some_images(40), tmp_path / "s.h5.partial"
    options = {"owner": OWNER, "count": 40, "image_shape": (4, 4, 1)}
    options |= {"owner": {"owner": {"seed": 4}}, "count": {"count": 41}, "shape": {"image_shape": (4, 2, 2)}}.get(
        other, {}
    )
    with shards.Writer(tmp_path / "s.h5", state_path=partial, **options) as writer:
        writer.append(np.zeros((16, *options["image_shape"]), np.uint8), np.zeros(16, int))
    if other == "journal":
        (partial / "journal.json").write_text("{")
    elif other == "images":
        (partial / "image.raw").write_bytes(b"short")
    assert work(tmp_path, images) == 0
    assert "starting from the beginning" in caplog.text
    assert np.array_equal(shards.read(tmp_path / "s.h5")[0], images)


def test_two_processes_exclude_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "locked", functools.partial(folder_lock.locked, seconds=0.2))
    with shards.Writer(tmp_path / "s.h5", 4, (4, 4, 1), OWNER, tmp_path / "p"):
        with pytest.raises(ValueError, match="another process"):
            shards.Writer(tmp_path / "s.h5", 4, (4, 4, 1), OWNER, tmp_path / "p").__enter__()


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs one image"):
        shards.Writer(tmp_path / "s.h5", 0, (4, 4, 1), OWNER, tmp_path / "p")
    with shards.Writer(tmp_path / "s.h5", 4, (4, 4, 1), OWNER, tmp_path / "p") as writer:
        for images, labels, expected in (
            (some_images(2, 5), [0, 1], r"shape \(4, 4, 1\), not \(5, 5, 1\)"),
            (some_images(2) / 2, [0, 1], "must be uint8"),
            (some_images(2), [0], "as many integer labels"),
            (some_images(5), [0] * 5, "5 images more than 0 of 4"),
        ):
            with pytest.raises(ValueError, match=expected):
                writer.append(images, np.array(labels))
        with pytest.raises(ValueError, match="0 of 4 images are there"):
            writer.finish({})


def test_a_large_shard_is_put_together_in_small_memory(tmp_path):
    program = """
import sys, numpy as np
from pathlib import Path
import robustlaws.runtime.resumable_state
from robustlaws.data import shards, verify
def peak():  # MB; not ru_maxrss, which begins with that of the process that started this one
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
before, folder = peak(), Path(sys.argv[1])
with shards.Writer(folder / "s.h5", 100_000, (32, 32, 3), {}, folder / "p") as writer:
    for start in range(0, 100_000, 1000):
        images = np.zeros((1000, 32, 32, 3), np.uint8)
        images[:, 0, 0] = np.arange(start, start + 1000)[:, None] // np.array([1, 256, 65536]) % 256
        writer.append(images, np.zeros(1000, int))
    writer.finish({})
made = peak()
assert not verify.verify([folder]).findings
print(before, made, peak())
"""
    ran = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    before, made, checked = map(float, ran.stdout.split())
    print(f"\na shard of 307 MB: {made - before:.0f} MB to make it, {checked - before:.0f} MB with checking it")
    assert made - before < 80
    assert checked - before < 80
