"""Failures of disks, memory, GPUs and networks as one line: what failed, where, and the remedy. Imports no torch."""

import errno
import os
import re
import shutil
import socket
from pathlib import Path

import psutil

from robustlaws.formatting.numbers import size

FULL = {errno.ENOSPC, errno.EDQUOT}
UNWRITABLE = {*FULL, errno.EROFS, errno.EFBIG}
# Answers of a failed or lost disk or network file system; a damaged file gives others.
LOST = {errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.EREMOTEIO}
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota there is used up",
    errno.EROFS: "its file system is read-only here",
    errno.EFBIG: "no file may be that large there (ulimit -f)",
}
_REMEDIES = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "delete or move what is not needed",
    errno.EROFS: "have it mounted for writing",
    errno.EFBIG: "allow it",
}
# Compiled libraries give it in their text only.
_MESSAGES = {os.strerror(code): code for code in (*UNWRITABLE, *LOST)}
_GPU = re.compile(r"CUDA (driver )?error|CUDA failure|cuDNN error|CUDNN_STATUS|CUBLAS_STATUS|NCCL error|HIP error")
_NO_MEMORY = re.compile(r"can't allocate memory|std::bad_alloc|Cannot allocate memory|malloc of size")


class ReportedError(Exception):
    """A failure whose text is the line for the terminal."""


def number(error):
    """Return the errno of the file system's failure behind `error`, or None.

    Libraries hide it: in the error that theirs came from, or in a text.
    """
    for link in _chain(error):
        if isinstance(link, OSError) and link.errno in (*UNWRITABLE, *LOST):
            return link.errno
        for pattern, code in _MESSAGES.items():
            if pattern in str(link):
                return code
    return None


def of_gpu(error):
    """Return whether `error` says that a GPU failed, which no later call in this process survives."""
    if not isinstance(error, RuntimeError) or type(error).__name__ == "OutOfMemoryError":
        return False
    return type(error).__name__ == "AcceleratorError" or bool(_GPU.search(str(error)))


def line(error):
    """Return `error` as one line for the person at the terminal."""
    message = one_line(str(error)) or type(error).__name__
    if isinstance(error, ReportedError):
        return message
    code, path = number(error), _path(error)
    if code in UNWRITABLE:
        return f"{cause(error)}; {_REMEDIES[code]} and run the same command again"
    if code in LOST:
        see = f"`ls -l {path}`" if path else "it"
        return f"{cause(error)}; once {see} works again, run the same command again"
    if isinstance(error, MemoryError) or _NO_MEMORY.search(message):
        return _no_memory(message)
    if type(error).__name__ == "OutOfMemoryError":
        return f"{message}; take a larger GPU, stop what else is on it, or lower the batch in the config"
    if of_gpu(error):
        host = socket.gethostname()
        return (
            f"a GPU of {host} failed ({message}); run the same command again, "
            f"without that machine if it fails again (SLURM: --exclude={host})"
        )
    if isinstance(error, OSError):
        return _refused(error, path, message)
    # what the library raises on purpose says all itself
    meant = isinstance(error, ValueError) or type(error).__module__.startswith("robustlaws.")
    return message if meant else f"unexpected {type(error).__name__}: {message}; its traceback is in the log"


def cause(error):
    """Return the failure of the file system behind `error` (see :func:`number`): file and reason."""
    code, path = number(error), _path(error)
    if code in LOST:
        what = f"{path}: cannot be read or written" if path and isinstance(error, OSError) else one_line(str(error))
        return f"{what}: its disk or network file system failed ({os.strerror(code)})"
    reason = _REASONS[code]
    if code == errno.ENOSPC and path:
        place = Path(path).absolute()
        there = shutil.disk_usage(next(folder for folder in (place, *place.parents) if folder.exists()))
        reason += f" ({size(there.free)} of {size(there.total)} are free)"
    return f"{path or 'a file'}: cannot be written, {reason}"


def one_line(text):
    """Return `text` without what follows its first line that is not empty."""
    return next((part.strip() for part in text.splitlines() if part.strip()), "")


def _chain(error):
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _path(error):
    return next((link.filename for link in _chain(error) if isinstance(link, OSError) and link.filename), None)


def _no_memory(message):
    there = psutil.virtual_memory()
    detail = "" if message == "MemoryError" else f" ({message})"
    return (
        f"out of memory{detail}; {size(there.available)} of the machine's {size(there.total)} are free: "
        "give the job more (mem_mb), or stop what runs beside it, and run the same command again"
    )


def _refused(error, path, message):
    if not path:
        return f"unexpected {type(error).__name__}: {message}; its traceback is in the log"
    if error.errno == errno.ENOENT:
        return f"{path}: not there (any more); bring it back, or run again if a job makes it"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{path}: not allowed to read or write it; change its permissions (chmod, chown), then run again"
    return f"{path}: {error.strerror or message}"
