"""AutoAttack in chunks: the package's own numbers, whoever runs which chunk and however often it is cut off."""

import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import h5py
import numpy as np
import pyautoattack
import pytest
import torch
from pyautoattack.autoattack import AttackName
from pyautoattack.fab_pt import FABAttack_PT

from robustlaws.attacks import autoattack, merge_chunks, record
from robustlaws.data import shards
from robustlaws.networks import checkpoint, wrn
from robustlaws.runtime.signals import Stopped
from robustlaws.settings import AUTOATTACK, Compute
from tests.support.autoattack_chunks import ARCHITECTURE, CHUNKED, SETTINGS, attack, scaled, shortened


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with `weights.safetensors` and `test.h5`: 50 images, 4 of them wrong from the start."""
    folder = tmp_path_factory.mktemp("attacked")
    torch.manual_seed(1)
    network = wrn.build(ARCHITECTURE)
    network.train()(torch.rand(64, 1, 8, 8))  # statistics that are not those of the start
    network.eval()
    images = np.random.default_rng(2).integers(0, 256, (50, 8, 8, 1), dtype=np.uint8)
    with torch.no_grad():
        labels = network(scaled(images)).argmax(1).numpy()
    labels[:4] = (labels[:4] + 1) % 10
    checkpoint.save(folder / "weights.safetensors", network, SETTINGS.threat)
    shards.write(folder / "test.h5", images, labels, {})
    return folder


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(pyautoattack.AutoAttack, "__init__", shortened)


def plain(folder, settings=SETTINGS, chunk=0):
    """Return images and predictions of one call of the package on one chunk of the test split."""
    network = checkpoint.load(folder / "weights.safetensors", ARCHITECTURE, "cpu")
    first, stop = chunk * settings.chunk, (chunk + 1) * settings.chunk
    images, labels = (part[first:stop] for part in shards.read(folder / "test.h5"))
    suite = pyautoattack.AutoAttack(
        network,
        attacks=list(settings.attacks) or None,
        eps=settings.threat.epsilon,
        seed=settings.seed + chunk,
        version=settings.version,
    )
    made, predicted = suite.run_standard_evaluation(scaled(images), torch.from_numpy(labels), batch_size=len(labels))
    return made.permute(0, 2, 3, 1).numpy(), predicted.numpy()


@pytest.fixture(scope="module")
def undisturbed(folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyautoattack.AutoAttack, "__init__", shortened)
        return attack(folder, tmp_path_factory.mktemp("undisturbed") / "0.h5")


def test_the_versions_are_those_of_the_package(folder):
    network = checkpoint.load(folder / "weights.safetensors", ARCHITECTURE, "cpu")
    for version, names in AUTOATTACK.items():
        assert tuple(pyautoattack.AutoAttack(network, version=version).attacks_to_run) == names
    assert set(AUTOATTACK["plus"]) == set(get_args(AttackName))


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        replace(SETTINGS, version="plus"),
        # the targeted FAB changes how an untargeted one after it is run
        replace(SETTINGS, version="custom", attacks=("fab-t", "fab", "apgd-dlr")),
    ],
    ids=["standard", "plus", "custom"],
)
def test_one_chunk_is_one_plain_call_of_the_package(folder, tmp_path, settings):
    columns, about = record.read(attack(folder, tmp_path / "0.h5", settings))
    made, predicted = plain(folder, settings)
    assert np.array_equal(columns["adversarial"], made)
    assert np.array_equal(columns["adversarial_prediction"], predicted)
    assert about["attacks"] == list(settings.names)
    assert (about["chunk_seeds"], about["pyautoattack"]) == ([11], pyautoattack.__version__)


def test_each_chunk_is_a_plain_call_with_a_seed_of_its_own(folder, tmp_path):
    settings = replace(CHUNKED, chunk=15)
    for chunk in (2, 3):
        columns, _ = record.read(attack(folder, tmp_path / f"{chunk}.h5", settings, chunk))
        made, predicted = plain(folder, settings, chunk)
        assert np.array_equal(columns["adversarial"], made)
        assert np.array_equal(columns["adversarial_prediction"], predicted)
    assert columns["index"].tolist() == [45, 46, 47, 48, 49]
    assert not np.array_equal(made, plain(folder, replace(settings, seed=12), chunk)[0])  # a seed makes a difference


def test_the_record_says_which_attack_broke_which_image(undisturbed):
    columns, about = record.read(undisturbed)
    broken_by, right = columns["broken_by"], columns["clean_prediction"] == columns["label"]
    assert (right.sum(), about["clean_acc"]) == (46, 0.92)
    assert (broken_by[:4] == -1).all()
    assert not columns["robust"][:4].any()
    broken = columns["adversarial_prediction"] != columns["label"]
    assert np.array_equal(broken & right, broken_by >= 0)
    assert len(set(broken_by.tolist())) > 2  # none of them, and more than one attack
    assert about["standing"] == [46 - int(((broken_by >= 0) & (broken_by <= last)).sum()) for last in range(4)]
    assert about["robust_acc"] == columns["robust"].mean() > 0


ELSEWHERE = """
import sys
from pathlib import Path
import pyautoattack, torch
from tests.support import autoattack_chunks
pyautoattack.AutoAttack.__init__ = autoattack_chunks.shortened
folder, into, *chunks = sys.argv[1:]
for chunk in chunks:
    autoattack_chunks.attack(Path(folder), Path(into) / f"{chunk}.h5", autoattack_chunks.CHUNKED, int(chunk))
"""


def test_autoattack_chunks_are_independent_of_their_job(folder, tmp_path):
    assert CHUNKED.chunks == 7
    groups = {"one": ["0123456"], "three": ["520", "31", "64"], "seven": list("6543210")}
    outcomes = {}
    for name, jobs in groups.items():
        (tmp_path / name).mkdir()
        if name == "three":  # in processes of their own
            where = [str(folder), str(tmp_path / name)]
            started = [
                subprocess.Popen([sys.executable, "-c", ELSEWHERE, *where, *job], cwd=Path(__file__).parents[3])
                for job in jobs
            ]
            assert [process.wait() for process in started] == [0, 0, 0]
        for job in jobs if name != "three" else []:
            torch.manual_seed(len(jobs))  # whatever was drawn before
            for chunk in job:
                attack(folder, tmp_path / name / f"{chunk}.h5", CHUNKED, int(chunk))
        paths = [tmp_path / name / f"{chunk}.h5" for chunk in range(7)]
        merge_chunks.gather(chunk_paths=paths, outcome_path=tmp_path / f"{name}.h5", settings=CHUNKED)
        outcomes[name] = (tmp_path / f"{name}.h5").read_bytes()
    assert outcomes["one"] == outcomes["three"] == outcomes["seven"]
    columns, about = record.read(tmp_path / "one.h5")
    assert columns["index"].tolist() == list(range(50))
    assert about["chunk_seeds"] == [11, 12, 13, 14, 15, 16, 17]
    assert about["standing"][-1] == columns["robust"].sum() == round(50 * about["robust_acc"])


class Killed(Exception):
    pass


def killed_after(attacks, folder, path, settings=SETTINGS):
    """Start a chunk; cut it off when the state after so many attacks is saved."""
    save = autoattack._State.save

    def cut(state):
        save(state)
        if state.done == attacks:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autoattack._State, "save", cut)
        with pytest.raises(Killed):
            attack(folder, path, settings)
    assert not path.exists()


@pytest.mark.parametrize("attacks", [1, 2, 3, 4])
def test_a_killed_chunk_goes_on_and_ends_with_the_same_bytes(folder, tmp_path, undisturbed, monkeypatch, attacks):
    killed_after(attacks, folder, tmp_path / "0.h5")
    run, calls = pyautoattack.AutoAttack.run_standard_evaluation, []
    monkeypatch.setattr(
        pyautoattack.AutoAttack,
        "run_standard_evaluation",
        lambda self, *given, **options: calls.extend(self.attacks_to_run) or run(self, *given, **options),
    )
    assert attack(folder, tmp_path / "0.h5").read_bytes() == undisturbed.read_bytes()
    assert calls == list(SETTINGS.names[attacks:])
    assert [path.name for path in tmp_path.iterdir()] == ["0.h5"]  # no state is left


def test_autoattack_chunk_stops_in_time_and_resumes(folder, tmp_path, undisturbed, monkeypatch, caplog):
    caplog.set_level("INFO", "robustlaws")
    save, now = autoattack._State.save, time.time()

    def late(state):
        save(state)
        if state.done == 2:
            monkeypatch.setattr("robustlaws.runtime.signals.time", SimpleNamespace(time=lambda: now + 3600))

    with monkeypatch.context() as patch:
        patch.setattr(autoattack._State, "save", late)
        with pytest.raises(Stopped, match=r"stopped \(.*\) after 2 of 4 attacks, state saved; the same job goes on"):
            attack(folder, tmp_path / "0.h5", compute=Compute(ends=now + 3600))
    caplog.clear()
    assert attack(folder, tmp_path / "0.h5").read_bytes() == undisturbed.read_bytes()
    # the log of the attempt before is gone by now
    assert "going on after 2 attacks" in caplog.text
    assert re.search("earlier: .* started on ", caplog.text)
    assert re.search("earlier: .* after 2 of 4 attacks, state saved", caplog.text)


def test_what_one_attack_leaves_to_the_next_survives_a_restart(folder, tmp_path, monkeypatch):
    # restarts of FAB seldom change an image of so small a network, so its settings are looked at too
    perturb, runs = FABAttack_PT.perturb, []

    def seen(fab, x, y):
        runs.append((fab.targeted, fab.n_restarts, fab.seed))
        return perturb(fab, x, y)

    monkeypatch.setattr(FABAttack_PT, "perturb", seen)
    settings = replace(SETTINGS, version="custom", attacks=("fab-t", "fab"))
    made, _ = plain(folder, settings)
    theirs = [runs.pop(0) for _ in range(2)]
    killed_after(1, folder, tmp_path / "0.h5", settings)
    columns, _ = record.read(attack(folder, tmp_path / "0.h5", settings))
    assert runs == theirs
    assert np.array_equal(columns["adversarial"], made)


def test_a_damaged_state_falls_back_to_the_one_before(folder, tmp_path, undisturbed, caplog):
    caplog.set_level("INFO", "robustlaws")
    killed_after(2, folder, tmp_path / "0.h5")
    newest = sorted((tmp_path / "0.h5.partial").glob("state-*.pt"))[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    assert attack(folder, tmp_path / "0.h5").read_bytes() == undisturbed.read_bytes()
    assert f"{newest}: damaged; going back to the state before it" in caplog.text
    assert "going on after 1 attacks" in caplog.text


@pytest.mark.parametrize("what", ["settings", "weights", "chunk"])
def test_a_state_of_something_else_is_passed_over(folder, tmp_path, undisturbed, caplog, what):
    other = (
        replace(SETTINGS, seed=12) if what == "settings" else replace(SETTINGS, chunk=25) if what == "chunk" else None
    )
    if what == "weights":
        (tmp_path / "elsewhere").mkdir()
        for name in ("weights.safetensors", "test.h5"):
            (tmp_path / "elsewhere" / name).write_bytes((folder / name).read_bytes())
        network = checkpoint.load(folder / "weights.safetensors", ARCHITECTURE, "cpu")
        network.logits.bias += 1e-3
        checkpoint.save(tmp_path / "elsewhere" / "weights.safetensors", network, SETTINGS.threat)
        killed_after(1, tmp_path / "elsewhere", tmp_path / "0.h5")
    else:
        killed_after(1, folder, tmp_path / "0.h5", other)
    assert attack(folder, tmp_path / "0.h5").read_bytes() == undisturbed.read_bytes()
    named = {"settings": "settings.seed", "weights": "weights_sha256", "chunk": "settings.images"}[what]
    assert f"0.h5.partial: holds unfinished work of other settings (step 1; {named} is" in caplog.text
    assert "starting from the beginning" in caplog.text


def test_more_images_leave_finished_chunks_as_they_are():
    few, many = replace(SETTINGS, images=16, chunk=8), replace(SETTINGS, images=50, chunk=8)
    assert [few.of_chunk(chunk) for chunk in range(2)] == [many.of_chunk(chunk) for chunk in range(2)]
    assert [many.of_chunk(chunk).images for chunk in range(7)] == [8, 16, 24, 32, 40, 48, 50]


def test_images_that_are_not_there_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="test.h5: images 48 to 63 wanted, 50 there"):
        attack(folder, tmp_path / "0.h5", replace(SETTINGS, images=100, chunk=16), 3)


def test_a_network_that_cannot_be_attacked_costs_no_attack(folder, tmp_path, monkeypatch):
    network = checkpoint.load(folder / "weights.safetensors", ARCHITECTURE, "cpu")
    network.logits.bias[3] = float("nan")
    checkpoint.save(tmp_path / "weights.safetensors", network, SETTINGS.threat)
    monkeypatch.setattr(autoattack, "break_images", None)
    with pytest.raises(ValueError, match="logits: not finite for 50 images"):
        attack(folder, tmp_path / "0.h5", weights_path=tmp_path / "weights.safetensors")


@pytest.fixture(scope="module")
def chunks(folder, tmp_path_factory):
    """Records of three chunks of a short attack."""
    into = tmp_path_factory.mktemp("chunks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyautoattack.AutoAttack, "__init__", shortened)
        return [attack(folder, into / f"{chunk}.h5", THREE, chunk) for chunk in range(3)]


THREE = replace(SETTINGS, chunk=20, version="custom", attacks=("apgd-ce",))


@pytest.mark.parametrize(
    ("order", "settings", "says"),
    [
        ([0, 1], THREE, "2 chunks given; 50 images in chunks of 20 make 3"),
        ([0, 1, 1], THREE, "1.h5: is chunk 1 where chunk 2 belongs"),
        ([1, 0, 2], THREE, "1.h5: is chunk 1 where chunk 0 belongs"),
        ([0, 1, 2], replace(THREE, seed=12), "0.h5: attacked under other settings; delete it and run again"),
        ([0, 1, 2], replace(THREE, images=45), "2.h5: attacked under other settings"),
    ],
    ids=["missing", "twice", "out of order", "another seed", "fewer images"],
)
def test_only_the_chunks_of_one_attack_are_gathered(chunks, tmp_path, order, settings, says):
    with pytest.raises(ValueError, match=says):
        merge_chunks.gather(chunk_paths=[chunks[i] for i in order], outcome_path=tmp_path / "all.h5", settings=settings)
    assert not (tmp_path / "all.h5").exists()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda file: file.attrs.update(weights_sha256="0" * 64), "1.h5: weights_sha256 is 0+, in chunk 0 "),
        (lambda file: file["index"].write_direct(np.arange(20)), "1.h5: does not hold the images of chunk 1"),
    ],
    ids=["other weights", "other images"],
)
def test_a_foreign_chunk_is_not_gathered(chunks, tmp_path, spoil, says):
    foreign = tmp_path / "1.h5"
    foreign.write_bytes(chunks[1].read_bytes())
    with h5py.File(foreign, "r+") as file:
        spoil(file)
    with pytest.raises(ValueError, match=says):
        merge_chunks.gather(
            chunk_paths=[chunks[0], foreign, chunks[2]], outcome_path=tmp_path / "all.h5", settings=THREE
        )


def test_gathering_imports_no_torch():
    code = "import sys, robustlaws.attacks.merge_chunks, robustlaws.collect.attacks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
