"""Train one WideResNet adversarially: one pass over D images, resumable at any step, on any number of GPUs."""

import time

import torch

from robustlaws import device, records, states
from robustlaws import settings as told
from robustlaws.data import shards
from robustlaws.data.batches import Batches
from robustlaws.joblog import Progress, log
from robustlaws.networks import checkpoint
from robustlaws.stopping import Stop, Stopped
from robustlaws.training import ranks
from robustlaws.training.run import Run


def train(
    *, real_path, test_path, shard_paths, weights_path, best_path, curve_path, state_path, settings, revision, compute
):
    """Train one run; write its averaged weights, the best of them, and its learning curve.

    Parameters
    ----------
    real_path, test_path : path
        Real training images (read only if the run mixes them in or holds some out) and test images.
    shard_paths : list of path
        The shards that hold the run's synthetic images, in order.
    weights_path, best_path, curve_path : path
        Written at the end: safetensors of the averaged weights after the last step and of those with the
        best accuracy on the held-out images under attack (the last ones where none are held out), and
        Parquet of records.CURVES.
    state_path : path
        Folder where the states of an unfinished run are kept; a run that finds its own state there goes on
        from it and ends with the same bytes as one that was never interrupted (same machine, one CPU process).
    settings : settings.Training
    revision : str
        Of the code: a state of another one is not taken up.
    compute : settings.Compute
        With more than one rank, processes are started through torch's elastic launcher.

    Raises
    ------
    ValueError
        If the shards hold too few images, the loss is no longer finite, a state is of other settings, or
        a GPU is asked for where there is none.
    Stopped
        After SIGTERM, SIGUSR1 or Ctrl-C, or when the time budget is used up: the state is saved.
    """
    job = {
        "real_path": real_path and str(real_path),
        "test_path": str(test_path),
        "shard_paths": [str(path) for path in shard_paths],
        "weights_path": str(weights_path),
        "best_path": str(best_path),
        "curve_path": str(curve_path),
        "state_path": str(state_path),
        "settings": told.as_params(settings),
        "revision": revision,
        "compute": told.as_params(compute),
        "deadline": compute.budget_minutes and time.time() + 60 * compute.budget_minutes,
    }
    if compute.ranks > 1:
        ranks.launch("robustlaws.training.loop:train_as_rank", job, compute, state_path)
    else:
        with Stop() as stop:
            train_as_rank(ranks.Alone(device.prepare(compute.threads, compute.gpus)), stop, **job)
    states.forget(state_path)


def train_as_rank(me, stop, *, settings, revision, compute, deadline, state_path, **paths):
    """Do one rank's part of a run; the first rank writes the files. Arguments are JSON values of :func:`train`."""
    settings, compute = told.Training(**settings), told.Compute(**compute)
    stop.deadline = deadline
    owner = {"revision": revision, "settings": told.as_params(settings)}
    run, test, validation = _begin(me, settings, compute, paths)
    if state := states.newest(state_path, owner, me.where):
        run.take_up(state)
    progress = Progress(f"training {settings.run}", settings.draws, done=settings.seen(run.step))
    saved = time.monotonic()

    def poll():
        if reason := me.agreed(stop.reason()):
            raise Stopped(reason)

    def save():
        run.look_at_losses()
        if me.index == 0:
            states.save(state_path, run.state(), owner, run.step)
            log.info("state saved at step %d of %d", run.step, settings.steps)

    try:
        while True:
            run.measure(test, validation, poll)
            if run.step == settings.steps:
                break
            poll()
            if me.agreed("save" if time.monotonic() - saved > 60 * compute.state_minutes else ""):
                save()
                saved = time.monotonic()
            progress.advance(*run.advance())
    except Stopped as stopped:
        save()
        where = f"{settings.run}: stopped ({stopped}) at step {run.step} of {settings.steps}, state saved"
        raise Stopped(f"{where}; the same job goes on from there") from None
    if me.index == 0:
        _write(run, settings, paths)


def _begin(me, settings, compute, paths):
    """Return the run at its start, the test images and the held-out images."""

    def tensors(pair):
        return tuple(torch.from_numpy(part) for part in pair)

    synthetic = tensors(shards.read_prefix(paths["shard_paths"], settings.synthetic_images))
    real, validation, held_out = None, None, settings.validation_images
    if settings.real_fraction or held_out:
        images, labels = tensors(shards.read(paths["real_path"]))
        if len(labels) <= held_out:
            raise ValueError(
                f"training.validation_images: {held_out} of {len(labels)} real training images; hold out fewer"
            )
        real = (images[held_out:], labels[held_out:]) if settings.real_fraction else None
        validation = (images[:held_out], labels[:held_out]) if held_out else None
    batches = Batches(synthetic, real, settings)
    return Run(settings, me, batches, compute.compile), tensors(shards.read(paths["test_path"])), validation


def _write(run, settings, paths):
    records.write(paths["curve_path"], [{k: v for k, v in r.items() if k != "step"} for r in run.rows], records.CURVES)
    network = run.average.network
    run.average.copy_statistics(run.network)
    checkpoint.save(paths["weights_path"], network, settings)
    if run.best:
        log.info("best weights: step %d, %.1f %% under attack", run.best["step"], 100 * run.best["adv_acc"])
        network.load_state_dict(run.best["average"])
    checkpoint.save(paths["best_path"], network, settings)
