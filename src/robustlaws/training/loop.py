"""Train one WideResNet adversarially: one pass over D images, resumable at any step, on any number of GPUs."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from robustlaws.data import shard_reader, shards
from robustlaws.networks import checkpoint
from robustlaws.runtime import device, resumable_state
from robustlaws.runtime.logger import log
from robustlaws.runtime.progress import Progress
from robustlaws.runtime.signals import Stop, Stopped
from robustlaws.settings import Compute, Training, as_params
from robustlaws.storage import tables
from robustlaws.training import distributed
from robustlaws.training.batches import Batches, ImagesInMemory
from robustlaws.training.run_state import Run

_SAVE = "save"


def train(
    *,
    real_path: Path | str | None,
    test_path: Path | str,
    shard_paths: Sequence[Path | str],
    weights_path: Path | str,
    best_path: Path | str,
    curve_path: Path | str,
    state_path: Path | str,
    settings: Training,
    revision: str,
    compute: Compute,
) -> None:
    """Train one run; write its averaged weights, the best of them, and its learning curve.

    Parameters
    ----------
    real_path, test_path : path
        Real training images (read only if the run mixes them in or holds some out) and test images.
    shard_paths : list of path
        The shards of the run's synthetic images, in order; of a mixture, those of `settings.parts`, by dataset.
    weights_path, best_path, curve_path : path
        Written at the end: safetensors of the averaged weights after the last step; of those with the best accuracy
        under attack on the held-out images (the last if there are none); Parquet of tables.CURVES.
    state_path : path
        Folder of the states of an unfinished run. A run resumes from its own state, and ends with the bytes of an
        uninterrupted one (same machine, one CPU process).
    settings : Training
    revision : str
        Of the code: a state of another one is not taken up.
    compute : Compute
        With more than one rank, processes are started through torch's elastic launcher.

    Raises
    ------
    ValueError
        If the shards are damaged or have too few or too many images, the loss is not finite, a state is of other
        settings, or there is no GPU.
    OSError
        If the disk is full at the end. One that is full for a while costs a state, not the run.
    Stopped, errors.ReportedError
        After SIGTERM, SIGUSR1, Ctrl-C or the time budget, or if a GPU fails: the newest state is kept.
    """
    paths = {"test": test_path, "weights": weights_path, "best": best_path, "curve": curve_path, "state": state_path}
    job: dict[str, Any] = {
        "real_path": real_path and str(real_path),
        "shard_paths": [str(path) for path in shard_paths],
        **{f"{name}_path": str(path) for name, path in paths.items()},
        "settings": as_params(settings),
        "revision": revision,
        "compute": as_params(compute),
        "deadline": compute.deadline(time.time()),
    }
    if compute.ranks > 1:
        distributed.launch("robustlaws.training.loop:train_as_rank", job, compute, state_path)
    else:
        where = device.prepare(compute.threads, compute.gpus)  # may wait for a GPU, which a signal must end
        with Stop() as stop:
            train_as_rank(distributed.SingleProcess(where), stop, **job)


def train_as_rank(
    me: distributed.SingleProcess,
    stop: Stop,
    *,
    settings: dict[str, Any],
    revision: str,
    compute: dict[str, Any],
    deadline: float | None,
    state_path: Path | str,
    **paths: Any,
) -> None:
    """Do one rank's part of a run; the first rank writes the files. Arguments are JSON values of :func:`train`."""
    run_settings, may_use = Training(**settings), Compute(**compute)
    stop.deadline = deadline
    with (
        resumable_state.locked(state_path) if me.index == 0 else nullcontext(),
        device.watched(run_settings.run, state_path),
    ):
        run, test, validation = _begin(me, run_settings, may_use, paths)
        states_of_run = _States(state_path, _owner(run_settings, revision, paths), me)
        states_of_run.take_up(run)
        try:
            _advance(run, test, validation, stop, may_use, states_of_run)
        except Stopped as stopped:
            saved = resumable_state.outcome(states_of_run.save(run), state_path)
            where = f"{run_settings.run}: stopped ({stopped}) at step {run.step} of {run_settings.steps}, {saved}"
            raise Stopped(f"{where}; the same job goes on from there") from None
        except torch.OutOfMemoryError as error:
            first = str(error).splitlines()[0]
            raise ValueError(
                f"{run_settings.run}: {first} Raise training.accumulate, lower training.curve.batch"
                " or give it more GPUs"
            ) from None
        if me.index == 0:
            _write(run, run_settings, paths)
            resumable_state.forget(state_path)


def _advance(run, test, validation, stop, compute, states_of_run):
    """Train to the end, saving states by the clock; Stopped if the ranks are asked to stop."""
    s, me = run.settings, run.ranks
    progress = Progress(f"training {s.run}", s.draws, done=s.seen(run.step))
    saved = time.monotonic()

    def poll(due=False):
        """Return whether any rank finds a state due; Stopped if any is asked to stop."""
        messages = me.messages(stop.reason() or (_SAVE if due else ""))
        if reasons := [word for word in messages if word != _SAVE]:
            raise Stopped(reasons[0])
        return bool(messages)

    while True:
        run.measure(test, validation, poll)
        if run.step == s.steps:
            return
        if poll(time.monotonic() - saved > 60 * compute.state_minutes):
            states_of_run.save(run)
            saved = time.monotonic()
        progress.advance(*run.advance())


class _States:
    """The states of a run that its ranks share."""

    def __init__(self, folder, owner, ranks):
        self.folder, self.owner, self.ranks = folder, owner, ranks

    def take_up(self, run):
        """Let the run go on from the newest state, the same one on all ranks."""
        path = resumable_state.newest(self.folder, self.owner) if self.ranks.index == 0 else None
        if chosen := self.ranks.messages(str(path or "")):
            run.take_up(resumable_state.read(chosen[0]))
            if self.ranks.index == 0:
                resumable_state.going_on(self.folder, f"at step {run.step} of {run.settings.steps}")

    def save(self, run):
        """Write a state; no rank leaves before it is written. Return why it could not be, or an empty string."""
        run.look_at_losses()
        failed = ""
        if self.ranks.index == 0:
            failed = resumable_state.save(self.folder, run.state(), self.owner, run.step)
            if not failed:
                log.info("state saved at step %d of %d", run.step, run.settings.steps)
        return self.ranks.gathered(failed)[0]


def _owner(settings, revision, paths):
    """Return the owner of a state: the settings, the code, and the images by their checksums."""
    images = {name: paths[f"{name}_path"] for name in ("real", "test") if paths[f"{name}_path"]}
    images |= {f"shard {index}": path for index, path in enumerate(paths["shard_paths"])}
    return {
        "revision": revision,
        "settings": as_params(settings),
        "images": {name: shards.attributes(path)["checksum"] for name, path in images.items()},
    }


def _begin(me, settings, compute, paths):
    """Return the run at its start, the test images and the held-out images."""

    def tensors(pair):
        return tuple(torch.from_numpy(part) for part in pair)

    synthetic = shard_reader.Reader(
        shard_reader.split(paths["shard_paths"], settings.parts),
        (settings.seed, "synthetic order"),
        shuffle=settings.shuffle,
        replacement=settings.replacement,
        window=settings.window_images,
    )
    real, validation, held_out = None, None, settings.validation_images
    if settings.real_fraction or held_out:
        images, labels = tensors(shards.read(paths["real_path"]))
        if len(labels) <= held_out:
            raise ValueError(
                f"training.validation_images: {held_out} of {len(labels)} real training images; hold out fewer"
            )
        if settings.real_fraction:
            names = settings.seed, "real order"
            real = ImagesInMemory(images[held_out:], labels[held_out:], *names, shuffle=settings.shuffle)
        validation = (images[:held_out], labels[:held_out]) if held_out else None
    batches = Batches(synthetic, real, settings)
    return Run(settings, me, batches, compute.compile), tensors(shards.read(paths["test_path"])), validation


def _write(run, settings, paths):
    tables.write(paths["curve_path"], [{k: v for k, v in r.items() if k != "step"} for r in run.rows], tables.CURVES)
    network = run.average.network
    run.average.copy_statistics(run.network)
    checkpoint.save(paths["weights_path"], network, settings)
    if run.best:
        log.info("best weights: step %d, %.1f %% under attack", run.best["step"], 100 * run.best["adv_acc"])
        network.load_state_dict(run.best["average"])
    checkpoint.save(paths["best_path"], network, settings)
