"""AutoAttack, through the `pyautoattack` package, one chunk of the test split at a time.

Source: Croce and Hein 2020; spec/training.md 9. The package draws its randomness per batch, so a chunk is one batch
with its own seed. Interruptions and the choice of job change no number. A test split of one chunk equals one plain call
of the package. The package runs its attacks in turn, each on the images that are still classified right. Here they are
called one at a time, so that the record names the attack that broke each image.

A state is saved between two attacks. No state is saved within an attack: the package returns images only when the
attack has ended. Its own state file (0.2.0) holds no images and cannot be resumed.
"""

import time
from pathlib import Path

import numpy as np
import pyautoattack
import torch
from torch import Tensor, nn

from robustlaws.attacks import record, sanity_checks
from robustlaws.data import shards
from robustlaws.data.tensors import to_network
from robustlaws.networks import checkpoint
from robustlaws.runtime import device, resumable_state
from robustlaws.runtime.logger import log
from robustlaws.runtime.progress import Progress
from robustlaws.runtime.signals import Stop, Stopped
from robustlaws.settings import AutoAttack, Compute, as_params
from robustlaws.storage.embedded import content_digest


def attack_chunk(
    *,
    weights_path: Path | str,
    test_path: Path | str,
    outcome_path: Path | str,
    state_path: Path | str,
    chunk: int,
    settings: AutoAttack,
    compute: Compute,
) -> None:
    """Attack one chunk of the test images and write which attack broke which image, and the images.

    Parameters
    ----------
    weights_path, test_path, outcome_path : path
        Weights of the run or checkpoint, test images, HDF5 to write (:mod:`robustlaws.attacks.record`).
    state_path : path
        Folder where the state of an unfinished chunk is kept; a chunk that finds its own state there goes on after the
        last attack that had ended, and ends with the same bytes as one that was never interrupted (same
        machine, CPU).
    chunk : int
        Which one: images number chunk * settings.chunk and on, attacked with seed settings.seed + chunk.
    settings : AutoAttack
    compute : Compute

    Raises
    ------
    ValueError
        If the test split has no such images, or the network cannot be attacked
        (:mod:`robustlaws.attacks.sanity_checks`).
    Stopped
        Between two attacks, when the time is used up: says whether the state is saved.
    """
    s, deadline = settings.of_chunk(chunk), compute.deadline(time.time())
    where = device.prepare(compute.threads, compute.gpus)
    network = checkpoint.load(weights_path, s.architecture, where)
    images, labels = shards.read_range(test_path, chunk * s.chunk, s.images)
    x, y = to_network(torch.from_numpy(images), where).contiguous(), torch.from_numpy(labels).to(where)
    sanity_checks.check(network, x, y)
    about = {
        "chunk": chunk,
        "chunk_seeds": [s.seed + chunk],
        "pyautoattack": pyautoattack.__version__,
        "weights_sha256": content_digest(weights_path),
    }
    state = _State(state_path, {"settings": as_params(s), "images": shards.checksum(images, labels), **about})
    with resumable_state.locked(state_path):
        if not state.resume():
            with torch.no_grad():
                state.begin(x, network(x).argmax(1).cpu().numpy())
        # a signal may kill at once: what it would wait for is lost then, but nothing that was saved
        break_images(network, x, y, state, s, s.seed + chunk, Stop(deadline))
        _write(outcome_path, labels, state, s, chunk, about)
        resumable_state.forget(state_path)


def _write(path, labels, state, s, chunk, about):
    """Write the record of an attacked chunk."""
    robust = (state.clean_prediction == labels) & (state.broken_by < 0)
    columns = {
        "index": np.arange(chunk * s.chunk, s.images),
        "clean_prediction": state.clean_prediction,
        "adversarial_prediction": state.prediction,
        "broken_by": state.broken_by,
        "adversarial": np.ascontiguousarray(state.adversarial.transpose(0, 2, 3, 1)),
    }
    right, *standing = record.standing(labels, state.clean_prediction, state.broken_by, len(s.names))
    summary = {"clean_acc": right / len(labels), "robust_acc": standing[-1] / len(labels), "standing": standing}
    record.write(path, labels, robust, columns, s, {"attacks": list(s.names), **summary, **about})


def break_images(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    state: "_State",
    settings: AutoAttack,
    seed: int,
    stop: Stop,
) -> None:
    """Run the attacks that `state` has not seen, and leave in it what they did.

    Parameters
    ----------
    network : nn.Module in eval mode, parameters frozen
    images : float tensor (count, channels, height, width)
        Pixels in [0, 1].
    labels : int64 tensor (count,)
    state : _State
        Begun or resumed; saved after each attack.
    settings : AutoAttack
    seed : int
    stop : stopping.Stop
        Looked at between two attacks.

    Raises
    ------
    Stopped
        If asked to stop.
    """
    suite = _suite(network, images.device, settings, seed, settings.names[: state.done])
    right = state.clean_prediction == labels.cpu().numpy()
    what = f"AutoAttack on {settings.run}, seed {seed}"
    progress = Progress(what, len(settings.names), unit="attacks", done=state.done, every=0.0)
    for index, attack in list(enumerate(settings.names))[state.done :]:
        if reason := stop.reason():
            where = f"{what}: stopped ({reason}) after {state.done} of {len(settings.names)} attacks, {state.kept}"
            raise Stopped(f"{where}; the same job goes on from there")
        standing = np.flatnonzero(right & (state.broken_by < 0))
        log.info("%s: %s on %d of %d images", what, attack, len(standing), len(labels))
        if len(standing):
            suite.attacks_to_run = [attack]
            chosen = torch.from_numpy(standing).to(images.device)
            made, predicted = suite.run_standard_evaluation(images[chosen], labels[chosen], batch_size=settings.chunk)
            wrong = (predicted != labels[chosen]).cpu().numpy()
            state.adversarial[standing[wrong]] = made.cpu().numpy()[wrong]
            state.prediction[standing[wrong]] = predicted.cpu().numpy()[wrong]
            state.broken_by[standing[wrong]] = index
        state.done = index + 1
        state.save()
        left = int((right & (state.broken_by < 0)).sum())
        progress.advance(1, f"{attack} leaves {left} of {len(labels)} standing")


def _suite(network, where, settings, seed, done):
    suite = pyautoattack.AutoAttack(
        network,
        attacks=list(settings.attacks) or None,
        device=where,
        eps=settings.threat.epsilon,
        norm=settings.threat.norm,
        seed=seed,
        version=settings.version,
    )
    suite.logger.setLevel("DEBUG")
    if "fab-t" in done:
        suite.fab.n_restarts = 1  # the package's FAB-T leaves it so for an untargeted FAB that follows
    return suite


class _State:
    """Progress of a chunk: the images after each finished attack.

    Parameters
    ----------
    folder : path
        Where it is kept between two attempts (:mod:`robustlaws.runtime.resumable_state`).
    owner : dict
        Settings, chunk, images, weights and package; a state of other ones is passed over.

    Attributes
    ----------
    kept : str
        In words, whether what is done is saved.
    """

    _ARRAYS = ("adversarial", "clean_prediction", "prediction", "broken_by")

    def __init__(self, folder, owner):
        self.folder, self.owner, self.kept = folder, owner, "nothing to save yet"

    def begin(self, images, clean_prediction):
        """Start with clean images and no attack done."""
        self.done = 0
        self.adversarial = images.cpu().numpy().copy()  # float32 NCHW; the clean image where nothing broke it
        self.clean_prediction = clean_prediction
        self.prediction = clean_prediction.copy()
        self.broken_by = np.full(len(clean_prediction), -1)

    def save(self):
        """Write everything that the attacks to come and the record depend on."""
        arrays = {name: torch.from_numpy(getattr(self, name)) for name in self._ARRAYS}
        failed = resumable_state.save(self.folder, {"done": self.done, **arrays}, self.owner, self.done)
        self.kept = resumable_state.outcome(failed, self.folder)

    def resume(self):
        """Take up the newest state of this very owner; return whether there was one."""
        path = resumable_state.newest(self.folder, self.owner, refuse=False)
        if path is None:
            return False
        saved = resumable_state.read(path)
        vars(self).update(done=saved["done"], **{name: saved[name].numpy() for name in self._ARRAYS})
        self.kept = resumable_state.outcome("", self.folder)
        resumable_state.going_on(self.folder, f"after {self.done} attacks")
        return True
