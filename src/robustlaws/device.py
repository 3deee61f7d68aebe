"""The processor a job computes on."""

import ctypes
import ctypes.util
import sys

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def prepare(n_threads, n_gpus=0):
    """Return the torch device of this job after setting its thread count.

    Parameters
    ----------
    n_threads : int
        Threads that the rule was given; more than these would fight with other jobs.
    n_gpus : int
        GPUs that the rule was given; 0 means the CPU.

    Raises
    ------
    ValueError
        If a GPU is asked for and torch sees none.
    """
    torch.set_num_threads(n_threads)
    _keep_freed_memory()
    if n_gpus == 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ValueError(f"compute.gpus: {n_gpus} asked for, torch {torch.__version__} sees none here; set it to 0")
    return torch.device("cuda")


def _keep_freed_memory():
    # glibc gives blocks over 128 kB back to the system at once and takes a page fault per 4 kB to get
    # them again: a fifth of the time of a training step on small images.
    if sys.platform == "linux":
        libc = ctypes.CDLL(ctypes.util.find_library("c"))
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the largest that glibc takes
            libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)
