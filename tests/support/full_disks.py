"""Small disks for tests: real ones, that can be full or read-only for root too."""

import os
import subprocess
from contextlib import contextmanager

import pytest


class Disk:
    """A disk of its own at `folder`, in memory."""

    def __init__(self, folder):
        self.folder, self._ballast = folder, folder / "ballast"

    def fill(self, free=0):
        """Leave no more than `free` bytes."""
        with open(self._ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
            except OSError:
                pass
            if free:
                file.truncate(max(0, file.tell() - free))

    def make_room(self):
        """Undo :meth:`fill`."""
        self._ballast.unlink()

    def mounted(self, how):
        """Mount it again, "ro" or "rw"."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.folder)], check=True)


@contextmanager
def disk(folder, size):
    """Yield a Disk of `size` (as "4m") at the new folder `folder`; the test is skipped where nothing can be mounted."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk that is full or read-only")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
