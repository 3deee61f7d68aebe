"""The device of a job."""

import ctypes
import ctypes.util
import sys
from contextlib import contextmanager

import torch

from robustlaws import errors
from robustlaws.runtime import gpu_lock, resumable_state

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def prepare(n_threads, n_gpus=0, taken=None):
    """Return the torch device of this process after setting its thread count.

    Parameters
    ----------
    n_threads : int
        Threads that the process was given; more than these would fight with other jobs.
    n_gpus : int
        GPUs that the job was given on this node; 0 means the CPU.
    taken : int, optional
        The GPU to use, which the job has; None: one that no other job of this machine has, until the process ends.

    Raises
    ------
    ValueError
        If more GPUs are asked for than torch sees.
    """
    torch.set_num_threads(n_threads)
    _keep_freed_memory()
    if n_gpus == 0:
        return torch.device("cpu")
    _seen(n_gpus)  # of each node, by its own processes, which alone have seen it
    where = torch.device("cuda", take(n_gpus, 1)[0] if taken is None else taken)
    torch.cuda.set_device(where)
    # said, so that no version of torch decides it: TF32 where a GPU has it, but not in the last layer
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False
    return where


def take(n_gpus, count):
    """Return the numbers of `count` GPUs after taking them for this process, see :func:`gpu_lock.take`.

    Raises
    ------
    ValueError
        If torch sees fewer than `n_gpus`.
    """
    seen = _seen(n_gpus)
    return gpu_lock.take(count, [str(torch.cuda.get_device_properties(number).uuid) for number in range(seen)])


def _seen(n_gpus):
    """Return the number of GPUs that torch sees; ValueError if it is below `n_gpus`."""
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if seen < n_gpus:
        raise ValueError(
            f"compute.gpus: {n_gpus} asked for, torch {torch.__version__} sees {seen or 'none'} here;"
            f" set it to {seen}{'' if seen else ', the CPU'}"
        )
    return seen


@contextmanager
def watched(what, state_path):
    """Let a GPU that fails in the block say so, and what of the work `what` is left in `state_path`.

    Nothing is saved from it: a GPU that has failed answers no further call of the process.

    Raises
    ------
    errors.ReportedError
        In the place of torch's error.
    """
    try:
        yield
    except RuntimeError as error:
        if not errors.of_gpu(error):
            raise
        raise errors.ReportedError(f"{what}: {errors.line(error)}; {resumable_state.kept(state_path)}") from error


def prepare_generating(compute):
    """Return the device of a job of one process that trains a generator, or samples with one.

    In full float32, and with the convolutions of a GPU in one fixed order.

    Parameters
    ----------
    compute : settings.Compute

    Source: spec/generators.md 7.
    """
    where = prepare(compute.threads, min(compute.gpus, 1))
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    return where


def name(where):
    """Return the processor at `where`: the name of the GPU, or "cpu"."""
    return torch.cuda.get_device_name(where) if where.type == "cuda" else where.type


def compiled(network, wanted):
    """Return `network` through torch.compile if that is `wanted`, else itself."""
    return torch.compile(network) if wanted else network


def _keep_freed_memory():
    # glibc gives blocks over 128 kB back to the system at once and takes a page fault per 4 kB to get
    # them again: a fifth of the time of a training step on small images.
    if sys.platform == "linux":
        libc = ctypes.CDLL(ctypes.util.find_library("c"))
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the largest that glibc takes
            libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)
