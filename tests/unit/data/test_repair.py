"""`robustlaws remake`: what it asks Snakemake for, and that no shard is lost when something fails."""

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from robustlaws import cli
from robustlaws.data import repair, shards, verify
from robustlaws.runtime import job_facts, workflow_lock
from tests.support.jobs import CONFIG, job

NAMES = [f"results/digits/datasets/edm/shard-0000{number}.h5" for number in range(2)]


def write(name, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    with job_facts.of_job(job(name, rule="sample_shard")):
        shards.write(name, images, np.arange(4), {"dataset": "edm"})


def damage(name, at=-1):
    """Change a byte of a shard, the last one of its images by default; return its content."""
    content = bytearray(Path(name).read_bytes())
    content[at if at >= 0 else content.find(shards.read(name)[0].tobytes())] ^= 1
    Path(name).write_bytes(content)
    return bytes(content)


@pytest.fixture
def snakemake(tmp_path, monkeypatch):
    """Put two shards into an empty folder; return what replaces Snakemake: its status, what it makes, its calls."""
    settings = SimpleNamespace(status=0, makes=NAMES, seed=0, calls=[], configs=[])

    def run(command, check):
        assert not any(Path(name).exists() for name in command[3:] if name in NAMES)
        settings.calls.append(command[3:])
        settings.configs += [json.loads(Path(word).read_text()) for word in command if word.endswith(".json")]
        for name in command[3:]:
            if name in settings.makes:
                write(name, settings.seed)
        return SimpleNamespace(returncode=settings.status)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(repair, "subprocess", SimpleNamespace(run=run))
    for name in NAMES:
        write(name)
        repair.note(name, [])
        os.utime(name, ns=(10**18, 10**18))
        note = Path(name).with_name(f".{Path(name).name}.json")
        note.write_text(json.dumps(json.loads(note.read_text()) | {"time_ns": 10**18}))
    return settings


def hidden():
    return list(Path().rglob(".*.damaged")) + list(Path(".snakemake").glob("*.json"))


def test_a_damaged_shard_is_made_with_the_config_that_it_carries(snakemake, capsys):
    damage(NAMES[0])
    assert cli.main(["remake", *NAMES]) == 0
    ((target, *options),) = snakemake.calls
    assert (target, options[:3]) == (NAMES[0], ["--cores", "all", "--configfile"])
    assert snakemake.configs == [CONFIG]
    assert Path(NAMES[0]).stat().st_mtime_ns == 10**18
    assert not verify.check(NAMES[0]).findings
    assert not hidden()
    out = capsys.readouterr().out
    assert f"{NAMES[1]}: not damaged, stays as it is\n{NAMES[0]}: the same images as before" in out
    assert "--forcerun collect_provenance" in out
    # of one that cannot be read, or is lost, its neighbour tells; other images get no old time
    Path(NAMES[0]).unlink()
    snakemake.seed = 1
    assert cli.main(["remake", NAMES[0], "--cores", "3"]) == 0
    assert snakemake.calls[1][:4] == [NAMES[0], "--cores", "3", "--configfile"]
    assert snakemake.configs[1] == CONFIG
    assert Path(NAMES[0]).stat().st_mtime_ns > 10**18
    # what is given goes before
    Path(NAMES[0]).unlink()
    given = ["--cores", "1", "--configfile", "mine"]
    assert cli.main(["remake", NAMES[0], *given]) == 0
    assert snakemake.calls[2] == [NAMES[0], *given]


def test_without_any_that_tells_a_config_is_asked_for(snakemake, capsys):
    for name in NAMES:
        Path(name).unlink()
    assert cli.main(["remake", NAMES[0]]) == 2
    why = "does not say its config; give snakemake's options: --cores all --configfile CONFIG"
    assert capsys.readouterr().err == f"robustlaws remake: {NAMES[0]}: {why}\n"


def test_damaged_shards_stay_when_snakemake_fails(snakemake):
    before = [damage(name) for name in NAMES]
    snakemake.status, snakemake.makes = 1, NAMES[:1]
    assert cli.main(["remake", *NAMES]) == 1
    assert not verify.check(NAMES[0]).findings
    assert Path(NAMES[1]).read_bytes() == before[1]
    assert not hidden()
    # a dry run makes nothing and succeeds
    snakemake.status, snakemake.makes = 0, []
    assert cli.main(["remake", NAMES[1], "--dry-run"]) == 0
    assert Path(NAMES[1]).read_bytes() == before[1]
    # killed, it leaves the shard aside; the next one finds it
    Path(NAMES[1]).rename(repair._aside(Path(NAMES[1])))
    snakemake.makes = NAMES
    assert cli.main(["remake", NAMES[1]]) == 0
    assert not verify.check(NAMES[1]).findings
    assert not hidden()


@pytest.mark.parametrize(
    ("where", "error"),
    [("sealed", OSError(errno.EIO, os.strerror(errno.EIO))), ("values", MemoryError()), ("values", "deep")],
)
def test_what_cannot_be_read_is_not_damaged(snakemake, monkeypatch, capsys, where, error):
    def fail(*arguments):
        if error != "deep":
            raise error
        try:
            raise OSError("Can't read data (file read failed: errno = 5, error message = 'Input/output error')")
        except OSError:
            raise ValueError(f"{NAMES[0]}: damaged within images") from None

    before = damage(NAMES[0])
    monkeypatch.setattr(shards, where, fail)
    assert cli.main(["remake", NAMES[0]]) == 2
    assert "which need not be damage: nothing was done" in capsys.readouterr().err
    assert Path(NAMES[0]).read_bytes() == before
    assert not snakemake.calls


def test_it_waits_for_a_snakemake_at_work(snakemake, capsys):
    damage(NAMES[0])
    workflow_lock.register("digits", "log")
    assert cli.main(["remake", NAMES[0]]) == 2
    assert "Snakemake is at work here on the study digits" in capsys.readouterr().err
    assert not snakemake.calls
