"""The import path of a job: packages of its own environment, and this library."""

import os
import sys
import sysconfig
from pathlib import Path

_LIBRARY = Path(__file__).parents[2]


def keep_to_environment():
    """Let this process and those that it starts import what belongs to their environment and this library, no more.

    Snakemake runs a rule's script with the Python of the rule's environment, where this library is not installed. For
    its own modules Snakemake adds the whole search path of its own Python. So the library is found, but so is what the
    environment file forgot, in whatever version Snakemake's Python has. Here these folders go again. Only the
    environment's and the library's folders stay. Processes that the job starts find the library by PYTHONPATH. The
    user's own site-packages, which Python prefers to an environment's, are hidden from them.

    Without an environment the job runs in Snakemake's own Python; then the processes that it starts find the
    library, and nothing else changes.
    """
    library, others = str(_LIBRARY), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if _of_another_python(sys.path):
        sys.path[:] = [folder for folder in sys.path if Path(folder).is_relative_to(sys.prefix)] + [library]
        os.environ["PYTHONNOUSERSITE"] = "1"
        others = []
    os.environ["PYTHONPATH"] = os.pathsep.join([library, *(folder for folder in others if folder not in ("", library))])


def _of_another_python(folders):
    """Return whether a standard library other than that of this Python is among `folders`."""
    own = Path(sysconfig.get_path("stdlib")).resolve()
    return any(Path(folder, "os.py").is_file() and Path(folder).resolve() != own for folder in folders)
