"""One exclusive lock on a file or folder: the kernel's, which it releases when the process ends, however it ends.

Not filelock: importing it takes 0.16 s, which every job would pay. It cannot lock a folder, nor another user's file in
a folder with the sticky bit.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


def try_lock(descriptor: int) -> bool | None:
    """Return whether this process has the lock now; None if the file system, or the system, has no locks.

    Parameters
    ----------
    descriptor : int
        An open file or folder. The lock goes when all copies of the descriptor are closed.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return True


@contextmanager
def exclusive(path: Path | str, busy: str = "") -> Iterator[None]:
    """Keep the file or folder at `path` for this process and thread during the block.

    Parameters
    ----------
    path : path
        A folder that is there, or a file, which is made if need be.
    busy : str
        Message of the error where another process has the lock; without one the block waits for it.

    Raises
    ------
    ValueError
        `busy`, if another process has the lock.
    """
    folder = Path(path).is_dir()
    descriptor = os.open(path, os.O_RDONLY if folder else os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        if busy:
            if try_lock(descriptor) is False:
                raise ValueError(busy)
        elif fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
