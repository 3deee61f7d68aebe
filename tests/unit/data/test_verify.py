"""Checking shards: every kind of damage is found and named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robustlaws import cli
from robustlaws.data import repeated_images, shards
from robustlaws.data.verify import check, verify
from robustlaws.runtime import job_log

ABOUT = {"dataset": "edm-5", "generator": "edm", "weights_sha256": "ab", "steps": 5, "seed": 1, "revision": "r1"}
SIZE = 12 * 12 * 3


def images_of(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)


def write(folder, number, images, first, layout="contiguous", **more):
    path = folder / f"shard-{number:05d}.h5"
    labels = np.arange(len(images)) % 10
    shards.write(path, images, labels, {**ABOUT, "first_index": first, **more}, layout)
    return path


@pytest.fixture(autouse=True)
def _no_log(monkeypatch):
    monkeypatch.setattr(job_log, "to_stderr", lambda level: None)


@pytest.fixture
def dataset(tmp_path):
    """Return the folder of a dataset of four shards of 30 images."""
    folder = tmp_path / "datasets" / "edm-5"
    for number in range(4):
        write(folder, number, images_of(number, 30), 30 * number)
    return folder


def test_a_whole_dataset_has_no_findings(dataset, tmp_path, capsys):
    for paths in ([dataset], [tmp_path], sorted(dataset.iterdir()), [dataset / "shard-00002.h5"], [dataset, tmp_path]):
        report = verify(paths)
        assert report.findings == []
        assert report.notes == []
    assert cli.main(["verify", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "4 shards, 120 images: all whole\n"
    assert verify([dataset], workers=2).images == 120


@pytest.fixture(scope="module", params=["contiguous", "chunked", "gzip", "zstd", "lz4"])
def one_shard(request, tmp_path_factory):
    """Return a shard of one layout, its bytes, and where the plain bytes of its images are."""
    if request.param in ("zstd", "lz4"):
        pytest.importorskip("hdf5plugin")
    path = write(tmp_path_factory.mktemp("one"), 0, images_of(0, 40), 0, request.param)
    return path, path.read_bytes(), shards.raw_layout(path)


@given(data=st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_bad_byte_anywhere_is_found(one_shard, data):
    path, content, raw = one_shard
    # everything that is not an image is small: half of the bytes tried are of that kind
    edges = (0, raw.image or 0, (raw.image or 0) + 40 * SIZE, len(content))
    where = data.draw(st.sampled_from([(0, len(content) - 1), (edges[2], edges[3] - 1), (0, max(edges[1] - 1, 511))]))
    at = data.draw(st.integers(*where))
    damaged = bytearray(content)
    damaged[at] ^= data.draw(st.integers(1, 255))
    path.with_name("damaged.h5").write_bytes(damaged)
    (finding,) = check(path.with_name("damaged.h5")).findings[:1]
    assert finding.startswith(str(path.with_name("damaged.h5")))
    if raw.image and raw.image <= at < raw.image + 40 * SIZE:
        assert f"damaged: image {(at - raw.image) // SIZE} (or" in finding
    elif raw.label <= at < raw.label + 40 * 8:
        assert f"damaged: image {(at - raw.label) // 8} (or its label)" in finding
    elif raw.image:
        assert "outside its images" in finding


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_other_damage_is_found_too(one_shard, data):
    path, content, _ = one_shard
    damaged = bytearray(content)
    kind = data.draw(st.sampled_from(["cut", "grown", "zeros", "moved", "noise"]))
    at = data.draw(st.integers(0, len(content) - 1))
    if kind == "cut":
        del damaged[at:]
    elif kind == "grown":
        damaged += data.draw(st.binary(min_size=1, max_size=600))
    elif kind == "zeros":
        damaged[at : at + 4096] = bytes(len(damaged[at : at + 4096]))
    elif kind == "moved":
        damaged[at:at] = b"x"
    else:
        damaged = bytearray(data.draw(st.binary(max_size=2000)))
    path.with_name("damaged.h5").write_bytes(damaged)
    if damaged != content:
        assert check(path.with_name("damaged.h5")).findings


def test_a_missing_shard_is_named(dataset, capsys):
    (dataset / "shard-00001.h5").unlink()
    assert verify([dataset]).findings == [f"{dataset / 'shard-00001.h5'}: missing"]
    (dataset / "shard-00002.h5").unlink()
    (dataset / "shard-00000.h5").unlink()
    assert cli.main(["verify", str(dataset)]) == 1
    assert capsys.readouterr().out == f"{dataset / 'shard-00000.h5'} to shard-00002.h5: missing\n"
    assert not verify([dataset / "shard-00003.h5"]).findings


def test_verify_names_missing_last_shards_given_the_image_count(dataset, capsys):
    there = verify([dataset]).images
    assert cli.main(["verify", "--images", str(there), str(dataset)]) == 0
    last = sorted(dataset.glob("shard-*.h5"))[-1]
    left = there - shards.length(last)
    last.unlink()
    assert verify([dataset]).findings == []  # nothing in the files says it
    assert verify([dataset], images=there).findings == [f"{last}: missing: there are {left} images, {there} are due"]


def test_swapped_shards_are_both_named_and_no_others(dataset):
    first, second = dataset / "shard-00001.h5", dataset / "shard-00002.h5"
    first.rename(dataset / "x")
    second.rename(first)
    (dataset / "x").rename(second)
    assert verify([dataset]).findings == [
        f"{first}: starts at image 60 of its dataset; in its place, 30 is due",
        f"{second}: starts at image 30 of its dataset; in its place, 60 is due",
    ]


def test_shards_of_different_origin_are_told_apart(dataset):
    path = write(dataset, 2, images_of(2, 30), 60, steps=6, weights_sha256="cd")
    assert verify([dataset]).findings == [
        f"{path}: weights_sha256 is 'cd'; 'ab' in shard-00000.h5",
        f"{path}: steps is 6; 5 in shard-00000.h5",
    ]
    for number in range(4):
        options = {"steps": 5, "sigma_max": 80.0 + (number == 3), "first": 30 * number, "layout": "contiguous"}
        write(dataset, number, images_of(number, 30), 30 * number, settings=options)
    path = dataset / "shard-00003.h5"
    assert verify([dataset]).findings == [f"{path}: settings.sigma_max is 81.0; 80.0 in shard-00000.h5"]
    path = write(dataset, 3, images_of(3, 30)[:, :6], 90, settings={"steps": 5, "sigma_max": 80.0})
    assert verify([dataset]).findings == [f"{path}: shape of images is (6, 12, 3); (12, 12, 3) in shard-00000.h5"]


def test_shards_may_come_from_different_machines(dataset):
    options = {
        "device": "NVIDIA H100 80GB HBM3",
        "torch": "2.14.0",
        "robustlaws": "0.2.0",
        "numpy": "3.0",
        "h5py": "4.0",
    }
    write(dataset, 2, images_of(2, 30), 60, last_index=89, seed_range=[60, 89], **options)
    assert verify([dataset]).findings == []


def test_images_held_twice_are_named_in_both_places(dataset, capsys):
    images = images_of(3, 30)
    images[17] = images_of(0, 30)[7]  # of the same class
    images[22] = images[12]
    path = write(dataset, 3, images, 90)
    expected = [
        f"{path} image 17 is the same as shard-00000.h5 image 7",
        f"{path} image 22 is the same as shard-00003.h5 image 12",
    ]
    assert verify([dataset]).findings == expected
    assert cli.main(["verify", str(dataset)]) == 1
    assert capsys.readouterr().out.splitlines() == expected


def test_a_copy_of_a_shard_is_few_lines(dataset):
    shutil.copy(dataset / "shard-00000.h5", dataset / "shard-00004.h5")
    findings = verify([dataset]).findings
    assert findings[0] == f"{dataset / 'shard-00004.h5'}: starts at image 0 of its dataset; in its place, 120 is due"
    assert f"{dataset / 'shard-00004.h5'} image 0 is the same as shard-00000.h5 image 0" in findings
    assert findings[-1] == f"{dataset}: 10 more images have the digest of one before them (not compared)"
    assert len(findings) == 22


def test_real_images_may_be_the_same(tmp_path, capsys):
    images = images_of(0, 20)
    images[13] = images[3]
    shards.write(tmp_path / "data" / "train.h5", images, np.arange(20) % 10, {"source": "digits"})
    assert cli.main(["verify", str(tmp_path)]) == 0
    output = capsys.readouterr().out.splitlines()
    assert output == [
        f"note: {tmp_path / 'data' / 'train.h5'} image 13 is the same as train.h5 image 3",
        "1 shard, 20 images: all whole",
    ]


def test_same_digests_of_different_images_are_no_repetition(tmp_path, monkeypatch):
    monkeypatch.setattr("robustlaws.data.shard_format.digests", lambda images, labels: np.zeros(len(images), "<u8"))
    images = images_of(0, 8)
    images[6] = images[2]
    shards.write(tmp_path / "s.h5", images, np.zeros(8, int), {})
    assert repeated_images.find([tmp_path / "s.h5"], [8]) == [
        f"{tmp_path / 's.h5'} image 6 is the same as s.h5 image 2"
    ]


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_repetitions_are_those_of_a_plain_search_in_any_memory(data, tmp_path_factory):
    folder, kinds = tmp_path_factory.mktemp("d"), images_of(5, 12)
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    kept = data.draw(st.integers(1, 30))
    chosen = [data.draw(st.integers(0, 11)) for _ in range(sum(sizes))]
    ends, paths = np.cumsum(sizes), []
    for number, (size, end) in enumerate(zip(sizes, ends, strict=True)):
        paths.append(folder / f"shard-{number:05d}.h5")
        shards.write(paths[-1], kinds[chosen[end - size : end]], np.zeros(size, int), {})
    places = [(number, index) for number, size in enumerate(sizes) for index in range(size)]
    expected = []
    for at, kind in enumerate(chosen):
        if kind in chosen[:at]:
            (a, b), (c, d) = places[at], places[chosen.index(kind)]
            expected.append(f"{paths[a]} image {b} is the same as {paths[c].name} image {d}")
    assert repeated_images.find(paths, sizes, kept) == expected


def test_other_files_are_passed_over_and_unfinished_ones_noted(dataset, tmp_path):
    with h5py.File(tmp_path / "pgd_cw.h5", "w") as file:
        file.attrs["format"] = "robustlaws-attack-1"
    (dataset / ".shard-00009.h5.partial").write_bytes(b"half")
    os.makedirs(dataset / "shard-00004.h5.partial")
    report = verify([tmp_path])
    assert (report.shards, report.findings) == (4, [])
    assert report.notes == [f"{dataset / 'shard-00004.h5'}: unfinished; its job goes on from shard-00004.h5.partial"]


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        (
            "robustlaws-shard-1",
            "of the earlier format robustlaws-shard-1; delete",
        ),
        ("another", "not a shard of this project"),
        ("robustlaws-shard-2", "it needs datasets image, label and digest"),
    ],
)
def test_what_is_no_shard_is_said_to_be_none(tmp_path, format, expected):
    with h5py.File(tmp_path / "shard-00000.h5", "w") as file:
        file.attrs["format"] = format
    (finding,) = verify([tmp_path]).findings
    assert expected in finding


def test_mistakes_in_the_command_are_one_line(tmp_path, dataset, capsys):
    (tmp_path / "empty").mkdir()
    for words in ([str(tmp_path / "none")], [str(tmp_path / "empty")], [str(dataset), "--workers", "0"]):
        assert cli.main(["verify", *words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("robustlaws verify: ")
    for words in ([], ["fly"], ["verify"]):
        with pytest.raises(SystemExit, match="2"):
            cli.main(words)


def test_verify_and_help_need_no_torch(dataset):
    program = "import sys; from robustlaws import cli; cli.main(sys.argv[1:]); assert 'torch' not in sys.modules"
    ran = subprocess.run([sys.executable, "-c", program, "verify", dataset], capture_output=True, text=True, check=True)
    assert "all whole" in ran.stdout


def test_the_document_says_how_to_read_and_write_one(tmp_path):
    """Run the programs of docs/shards.md as they stand there."""
    text = (Path(__file__).parents[3] / "docs" / "shards.md").read_text(encoding="utf-8")
    reading, writing = (block.split("```")[0] for block in text.split("```python\n")[1:])
    images, labels = images_of(0, 30), np.arange(30) % 10
    exec(writing, {"path": tmp_path / "theirs.h5", "images": images, "labels": labels})
    assert not verify([tmp_path]).findings
    assert np.array_equal(shards.read(tmp_path / "theirs.h5")[0], images)
    assert shards.attributes(tmp_path / "theirs.h5")["dataset"] == "mine"
    got = {"path": write(tmp_path, 0, images, 0)}
    exec(reading, got)
    assert np.array_equal(got["images"], images)
    assert np.array_equal(got["labels"], labels)
