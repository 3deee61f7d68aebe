"""Sample one shard of a dataset; a killed job resumes within the shard."""

import time
from pathlib import Path

import h5py
import numpy as np
import torch

from robustlaws import __version__, registry
from robustlaws.data import repair, shards
from robustlaws.generators import SAMPLERS, latents
from robustlaws.runtime import device
from robustlaws.runtime.progress import Progress
from robustlaws.runtime.signals import Stop, Stopped
from robustlaws.settings import as_params


def sample_shard(*, files, shard_path, state_path, settings, revision, compute):
    """Sample one shard of a dataset.

    The sampler always works on whole batches that start at a multiple of `settings.batch`. So the bytes of image i
    depend neither on the shards' borders nor on where a job was killed. Byte equality is promised for one process on
    the CPU. On a GPU it is not tested; convolutions are set to be deterministic there.

    Parameters
    ----------
    files : dict of str to path
        Files of the sampler: for edm and pfgmpp `network` and `weights`; for dg these and `extractor`,
        `extractor_weights`, `discriminator`, `discriminator_weights`; for a pipeline perhaps `classifier`;
        for files `samples`.
    shard_path : path
        HDF5 to write, see :mod:`robustlaws.data.shards`.
    state_path : path
        Folder where the images of an unfinished shard are kept; a job of the same settings, revision, files,
        version of torch, device and `compute.compile` goes on from them, any other begins anew: images of two
        roundings would not make one shard.
    settings : settings.Sampling
    revision : str
        Of the code.
    compute : settings.Compute

    Raises
    ------
    ValueError
        If the files are not what the sampler needs, or a batch does not fit the GPU.
    Stopped
        After SIGTERM, SIGUSR1 or Ctrl-C, or when the time budget is used up: the images so far are kept.
    """
    s, files = settings, {name: path for name, path in files.items() if path}
    deadline = compute.deadline(time.time())
    where = device.prepare_generating(compute)
    sampler = registry.load(s.sampler, SAMPLERS, f"datasets.{s.dataset}.generator")(files, s, where)
    compiled = compute.compile and hasattr(sampler, "compile")  # a sampler without a network of ours has none
    if compiled:
        sampler.compile()
    # a sampler says which files it has by their hashes; taking those of 100 GB again would cost more than the shard
    owner = {"revision": revision, "settings": as_params(s), "made_by": sampler.provenance}
    owner |= {"device": device.name(where), "compile": compiled}
    told_to_writer = {"layout": s.layout, "seconds": 60 * compute.state_minutes}
    shape = (s.image_size, s.image_size, s.channels)
    with (
        Stop(deadline) as stop,
        shards.Writer(shard_path, s.count, shape, owner, state_path, **told_to_writer) as writer,
    ):
        _fill(writer, sampler, s, stop)
        writer.finish(_provenance(sampler, s, revision, where))
        sources = [path for given in files.values() for path in ([given] if isinstance(given, (str, Path)) else given)]
        repair.note(shard_path, sources)


def _fill(writer, sampler, s, stop):
    """Append the images that the shard still lacks; Stopped between two batches if asked to stop."""
    progress = Progress(f"sampling {s.dataset} from image {s.first}", s.count, done=writer.done)
    while writer.done < s.count:
        if reason := stop.reason():
            where = f"{s.dataset}: stopped ({reason}) at image {writer.done} of {s.count} of the shard, images kept"
            raise Stopped(f"{where}; the same job goes on from there")
        first = s.first + writer.done
        start = first // s.batch * s.batch
        try:
            images, labels = sampler.batch(range(start, start + s.batch))
        except torch.OutOfMemoryError as error:
            message = str(error).splitlines()[0]
            raise ValueError(f"{s.dataset}: {message} Lower sampling.batch (other images' rounding)") from None
        inside = slice(first - start, s.first + s.count - start)
        writer.append(images[inside], labels[inside])
        progress.advance(len(labels[inside]))


def _provenance(sampler, s, revision, where):
    """Return the origin of the shard's images, as attributes of its file."""
    last = s.first + s.count - 1
    by_seed = s.seeds == "index" and s.steps is not None  # images of files are not made from seeds
    return {
        "dataset": s.dataset,
        "generator": s.generator,
        "sampler": s.sampler,
        **({} if s.steps is None else {"steps": s.steps}),
        "seed": s.seed,
        "seeds": s.seeds,
        "labels": s.labels,
        "first_index": s.first,
        "last_index": last,
        **({"seed_range": [latents.seed(s.first, s), latents.seed(last, s)]} if by_seed else {}),
        "settings": as_params(s),
        "revision": revision,
        "device": device.name(where),
        "robustlaws": __version__,
        "numpy": np.__version__,
        "h5py": h5py.__version__,
        **sampler.provenance,
    }
