"""Shell commands for the programs of this installation, which need not be on the PATH."""

import shlex
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

_LIBRARY = Path(__file__).parents[2]


def call(name):
    """Return the words, quoted for a shell in the workflow's folder, that start `robustlaws` or `snakemake`.

    It is the program beside the running Python, or that Python with `-m` if there is none. So this library need not be
    installed.
    """
    python = Path(sys.executable)
    script = python.with_name(name)
    if script.is_file():
        return _quoted(script)
    if find_spec(name) is None:  # in the environment of a rule: as whoever started it calls it
        return name
    words = f"{_quoted(python)} -m {name}"
    return words if name != "robustlaws" or _installed() else f"PYTHONPATH={_quoted(_LIBRARY)} {words}"


def _installed():
    try:
        return bool(metadata.version("robustlaws"))
    except metadata.PackageNotFoundError:
        return False


def _quoted(path):
    here = Path.cwd()
    # seen from elsewhere a relative path would not lead there when pasted in the workflow's folder
    near = path.is_relative_to(here) and (here / "Snakefile").is_file()
    return shlex.quote(str(path.relative_to(here) if near else path))
