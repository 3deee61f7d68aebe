"""A file says where it comes from, and is otherwise the one that is written outside a job."""

import json
import os
import re
import shutil
import subprocess
import time

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from robustlaws import settings
from robustlaws.attacks import record
from robustlaws.data import shards, verify
from robustlaws.generators import network_files
from robustlaws.networks import checkpoint, ddpmpp, wrn
from robustlaws.quality import moments
from robustlaws.runtime import job_facts, resumable_state
from robustlaws.storage import atomic, embedded, provenance, tables
from tests.support.generator_zoo import DDPMPP, awake
from tests.support.jobs import CONFIG, SETTINGS, job

SHAPE = settings.Architecture(10, 1, 10, 1, 8, (0.3,), (0.4,))
RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.integers(0, 256, (300, 8, 8, 1), dtype=np.uint8), np.arange(300) % 10
CURVE = {
    "run": "a/b/1/1", "model": "a", "dataset": "b", "size": 1, "seed": 1, "train_fraction": 0.5, "images": 1,
    "flops": 1.5, "adv_loss": 2.5,
}  # fmt: skip
CHECKPOINT = settings.Checkpoint(name="a", architecture=SHAPE)
NETWORK, DENOISER = wrn.build(SHAPE), awake(ddpmpp.Preconditioned(ddpmpp.build(DDPMPP), 0.5))


def write_appended(path, layout="contiguous"):
    with shards.Writer(path, 300, (8, 8, 1), {"a": 1}, f"{path}.partial", layout) as writer:
        writer.append(IMAGES, LABELS)
        writer.finish({"generator": "x", "settings": {"a": 1}})


def write_record(path):
    options = settings.PgdCw(
        run="a/b/1/1", architecture=SHAPE, threat=settings.Threat("Linf", 0.1), seed=1, images=4, steps=1,
        step_size=0.1, beta=5.0, batch=4,
    )  # fmt: skip
    right, columns = np.arange(4), {"clean_prediction": np.arange(4), "adversarial": np.zeros((4, 8, 8, 1), "f4")}
    record.write(path, right, right > 1, columns, options, {"attacks": ["pgd_cw"], "clean_acc": 1.0})


def write_moments(path):
    piece = (3, np.arange(2.0), np.eye(2))
    moments._write(path, [piece], {"format": moments.FORMAT, "features": {"dimensions": 2}})


# Everything that writes one of the four kinds, and what reads it.
WRITERS = {
    "laws/accuracy.json": (lambda path: atomic.write_json(path, {"b": [1.5, None], "a": {}}), atomic.read_json),
    "network.json": (
        lambda path: network_files.save(path, path.with_suffix(".st"), DENOISER, {"kind": "edm"}),
        lambda path: network_files.load(path, path.with_suffix(".st"), "cpu")[1],
    ),
    "network.safetensors": (
        lambda path: network_files.save(path.with_suffix(".js"), path, DENOISER, {"kind": "edm"}),
        lambda path: network_files.load(path.with_suffix(".js"), path, "cpu")[1],
    ),
    "weights.safetensors": (lambda path: checkpoint.save(path, NETWORK, CHECKPOINT), checkpoint.settings_of),
    "moments.safetensors": (write_moments, moments.about),
    "curve.parquet": (
        lambda path: tables.write(path, [CURVE], tables.CURVES),
        lambda path: tables.read(path, tables.CURVES).to_json(),
    ),
    "data/test.h5": (lambda path: shards.write(path, IMAGES, LABELS, {"source": "x"}), shards.attributes),
    "shard-00000.h5": (write_appended, shards.attributes),
    "zstd.h5": (lambda path: write_appended(path, "zstd"), shards.attributes),
    "pgd_cw.h5": (write_record, lambda path: record.read(path)[1]),
}


def written(folder, name, **changes):
    """Write a file of a job in `folder`; return its path."""
    path = folder / name
    with job_facts.of_job(job(str(path), **changes)):
        WRITERS[name][0](path)
    return path


def plain(folder, name):
    """Write the same file outside a job."""
    path = folder / "plain" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[name][0](path)
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_files_carry_provenance_and_equal_content(tmp_path, name):
    ours, without = written(tmp_path, name), plain(tmp_path, name)
    stamp = provenance.read(ours)
    assert provenance.read(without) is None
    assert (stamp["output"], stamp["rule"], stamp["config"]) == (str(ours), "train_run", CONFIG)
    assert stamp["settings"] == json.loads(json.dumps(SETTINGS))
    assert WRITERS[name][1](ours) == WRITERS[name][1](without)
    digest = provenance.content_digest(ours)
    assert digest == provenance.content_digest(without)
    assert atomic.digest(ours) != atomic.digest(without)
    if ours.suffix != ".h5":
        assert digest == atomic.digest(without)
    # another time, machine, job and place
    other = written(tmp_path / "b", name, threads=1, config=CONFIG | {"more": "x" * 999}, input=["b"] * 99)
    assert provenance.read(other) != stamp
    assert provenance.content_digest(other) == digest


@pytest.mark.parametrize("name", [name for name in WRITERS if not name.endswith(".h5")])
def test_no_byte_but_the_provenance_is_left_out_of_the_digest(tmp_path, name):
    path = written(tmp_path, name)
    digest, whole = provenance.content_digest(path), path.read_bytes()
    text = json.dumps(provenance.read(path))
    own = (json.dumps(text)[1:-1] if path.suffix == ".safetensors" else text).encode()
    begins, ends = whole.index(own), whole.index(own) + len(own)
    step = max(1, (len(whole) - len(own)) // 200)
    for at in [*range(0, begins, step), *range(begins - 20, begins), *range(ends, len(whole), step)]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            assert provenance.content_digest(path) != digest, at
        except ValueError:
            continue  # damaged


CHANGES = {
    "value": lambda file: file["image"].__setitem__((9, 0, 0, 0), file["image"][9, 0, 0, 0] ^ 1),
    "attribute": lambda file: file.attrs.__setitem__("generator", "y"),
    "another attribute": lambda file: file.attrs.__setitem__("more", 1),
    "type of an attribute": lambda file: file.attrs.create("checksum", bytes(file.attrs["checksum"]).decode()),
    "attribute of a dataset": lambda file: file["label"].attrs.__setitem__("provenance", "x"),
    "another dataset": lambda file: file.create_dataset("more", data=1),
    "name": lambda file: file.move("label", "labels"),
    "link": lambda file: file.__setitem__("more", h5py.SoftLink("/label")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_differs_in_an_hdf5_file_shows_in_the_digest(tmp_path, change):
    path = written(tmp_path, "shard-00000.h5")
    digest = provenance.content_digest(path)
    with h5py.File(path, "r+") as file:
        CHANGES[change](file)
    assert provenance.content_digest(path) != digest


def test_layouts_differ_in_the_digest_and_a_cut_file_has_none(tmp_path):
    paths = [written(tmp_path, name) for name in ("shard-00000.h5", "zstd.h5")]
    assert len({provenance.content_digest(path) for path in paths}) == 2
    for path in paths:
        path.write_bytes(path.read_bytes()[:-3000])
        with pytest.raises(ValueError, match=f"{path}: damaged, not a readable HDF5 file"):
            provenance.content_digest(path)


def test_a_shard_with_its_provenance_is_sealed_and_verified(tmp_path):
    path = written(tmp_path, "shard-00000.h5")
    assert verify.verify([path]).findings == []
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"robustlaws-provenance-1") + 30] ^= 1
    path.write_bytes(whole)
    assert "damaged outside its images" in verify.verify([path]).findings[0]
    with pytest.raises(ValueError, match="attribute provenance is the format's own"):
        shards.write(tmp_path / "own.h5", IMAGES, LABELS, {"provenance": "mine"})


@pytest.mark.parametrize(
    "name", ["pgd_cw.h5", "shard-00000.h5", "weights.safetensors", "curve.parquet", "network.json"]
)
def test_a_long_list_of_inputs_fits(tmp_path, name):
    inputs = [f"results/digits/runs/wrn-10-1/edm-20/{number}/1/curve.parquet" for number in range(6000)]
    path = written(tmp_path, name, input=inputs)  # half a megabyte: HDF5 takes 64 KB where it is not asked for more
    assert provenance.read(path)["inputs"] == inputs
    assert WRITERS[name][1](path) == WRITERS[name][1](plain(tmp_path, name))


def test_readers_of_others_find_the_same(tmp_path):
    weights, table = written(tmp_path, "weights.safetensors"), written(tmp_path, "curve.parquet")
    assert all(torch.equal(value, NETWORK.state_dict()[name]) for name, value in load_file(weights).items())
    with safe_open(weights, framework="pt") as file:
        assert list(file.metadata()) in (["settings", "provenance"], ["provenance", "settings"])
    assert pd.read_parquet(table)["adv_loss"].tolist() == [2.5]
    assert pq.read_schema(table).field("flops").metadata[b"unit"] == b"FLOPs"


def test_what_is_no_job_of_ours_is_content(tmp_path):
    path = tmp_path / "theirs.json"
    path.write_text('{"provenance": {"format": "another"}}')
    assert provenance.read(path) is None
    assert provenance.content_digest(path) == atomic.digest(path)
    pq.write_table(pa.table({"a": [1]}), path)
    assert provenance.read(path) is None
    save_file({"a": torch.zeros(2)}, path)
    assert provenance.read(path) is None
    assert provenance.content_digest(path) == atomic.digest(path)


@pytest.mark.parametrize("name", ["curve.parquet", "weights.safetensors", "laws/accuracy.json", "pgd_cw.h5"])
def test_a_damaged_file_is_one_line(tmp_path, name):
    path = written(tmp_path, name)
    for content in (path.read_bytes()[: path.stat().st_size // 2], b"\0" * 100):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"^{path}: damaged, not a readable [^\n]*$"):
            provenance.read(path)
    other = tmp_path / "a.txt"
    other.write_text("text")
    with pytest.raises(ValueError, match=r"a\.txt: no HDF5, Parquet, safetensors or JSON"):
        provenance.read(other)


def test_what_another_program_has_rewritten_has_no_digest(tmp_path):
    path = written(tmp_path, "laws/accuracy.json")
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert provenance.read(path)["rule"] == "train_run"
    with pytest.raises(ValueError, match="accuracy.json: another program has rewritten it"):
        provenance.content_digest(path)


def test_what_is_known_of_a_job(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1234_5")
    begun = time.time()
    with job_facts.of_job(job("out/a.json", "out/folder")):
        stamp = provenance.current("out/a.json")
        assert provenance.current("out/folder/deep/b.json")["output"] == "out/folder"
        assert provenance.current("out/other.json")["output"] is None
        monkeypatch.chdir(tmp_path)
        assert json.loads(json.dumps(stamp)) == stamp
    assert provenance.current("out/a.json") is None
    assert list(stamp) == [
        "format", "study", "rule", "wildcards", "output", "inputs", "revision", "settings", "seeds", "config", "commit",
        "versions", "hardware", "threads", "scheduler", "earlier_starts", "start", "end",
    ]  # fmt: skip
    assert (stamp["study"], stamp["revision"], stamp["threads"]) == ("digits", "train-r3", 2)
    assert stamp["seeds"] == {"seed": 3, "curve.seed": 4, "parts.0.x_seed": 5}
    assert stamp["scheduler"] == {"name": "slurm", "job": "1234_5"}
    assert stamp["versions"]["torch"] == torch.__version__
    assert stamp["hardware"]["cores"] == os.cpu_count()
    assert stamp["hardware"]["gpus"] == []
    start, end = (pd.Timestamp(stamp[name]) for name in ("start", "end"))
    assert start <= end
    assert abs(start.timestamp() - begun) < 60
    assert start.tzname() == "UTC"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_gpus_of_a_run_on_several_nodes_are_those_of_a_node(monkeypatch):
    """Names stand for GPUs: there are none here."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", "abcd".__getitem__)

    def recorded(**changes):
        with job_facts.of_job(job("a", config={"compute": {"gpus": 3}}, **changes)):
            return "".join(provenance.current("a")["hardware"]["gpus"])

    assert recorded(resources={}) == "cab"
    assert recorded(resources={"gpu": 1}) == "c"
    assert recorded(resources={"gpu": 0}) == ""
    assert recorded(resources={}, rule="fit_law") == ""


def test_the_commit_is_that_of_the_workflow(tmp_path):
    def git(*arguments):
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        return subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True, text=True)

    def commit(folder):
        with job_facts.of_job(job("a.json", scriptdir=str(folder))):
            return provenance.current("a.json")["commit"]

    scripts, foreign = tmp_path / "workflow/scripts", tmp_path / "results/copy/workflow/scripts"
    for folder in (scripts, foreign):
        folder.mkdir(parents=True)
        (folder / "a.py").write_text("1")
    assert commit(scripts) is None  # no repository
    git("init", "-q")
    assert commit(scripts) is None  # nothing in it
    profile = tmp_path / "profiles/slurm/config.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text("1")
    git("add", "workflow", "profiles")
    git("commit", "-qm", "a")
    made = git("rev-parse", "HEAD").stdout.strip()
    assert re.fullmatch("[0-9a-f]{40}", made)
    assert commit(scripts) == made
    assert commit(foreign) is None  # a copy that lies in a repository is not of it
    profile.write_text("2")
    assert commit(scripts) == made  # no code
    (scripts / "a.py").write_text("2")
    assert commit(scripts) == f"{made}+changes"
    (tmp_path / ".git/index").write_bytes(b"damaged")
    assert commit(scripts) == made  # whether there are changes git cannot say, the commit it can


def test_without_git_the_commit_is_not_known(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with job_facts.of_job(job("a.json")):
        assert provenance.current("a.json")["commit"] is None


def test_work_that_goes_on_notes_when_it_was_begun(tmp_path):
    path, begun = tmp_path / "shard.h5", []

    def append(first, stop):
        with (
            job_facts.of_job(job(str(path))),
            shards.Writer(path, 300, (8, 8, 1), {"a": 1}, f"{path}.partial", seconds=0.0) as writer,
        ):
            assert writer.done == first
            writer.append(IMAGES[first:stop], LABELS[first:stop])
            begun.append(provenance.starts()[-1])
            if stop == 300:
                writer.finish({})

    for first, stop in ((0, 100), (100, 200), (200, 300)):
        append(first, stop)
        time.sleep(0.002)
    stamp = provenance.read(path)
    assert [*stamp["earlier_starts"], stamp["start"]] == begun
    assert len(set(begun)) == 3


def test_states_note_when_their_jobs_began(tmp_path):
    begun = []
    for step in range(3):
        with job_facts.of_job(job("a.json")):
            assert (resumable_state.newest(tmp_path, {"a": 1}) is None) == (step == 0)
            resumable_state.save(tmp_path, {"x": 1}, {"a": 1}, step)
            stamp = provenance.current("a.json")
            begun.append(stamp["start"])
            assert [*stamp["earlier_starts"], stamp["start"]] == begun
        time.sleep(0.002)
    assert resumable_state.newest(tmp_path, {"a": 1}) is not None  # outside a job


def test_notes_of_unfinished_work_carry_nothing(tmp_path):
    with job_facts.of_job(job("a.json")):
        atomic.write_json(tmp_path / "journal.json", {"done": 1}, stamped=False)
    assert (tmp_path / "journal.json").read_text() == '{\n  "done": 1\n}\n'
    with pytest.raises(ValueError, match="only a dict with keys other than provenance"):
        embedded.json_text([1], {"format": embedded.FORMAT})
