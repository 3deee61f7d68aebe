"""Snakemake by the dozen: it and the project are imported once, and each of its runs is a fork of that process.

`python -m tests.workflow.staleness.forks` reads a list of runs as JSON and answers with what each printed. In every
other way they are those of the command line, with its arguments, the Snakefile and the profile of the folder.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from snakemake import cli

from robustlaws import revisions

ROOT = Path(__file__).parents[3]
DRY = ("--dry-run", "--quiet", "host")


def snakemakes(asked):
    """Return what runs of Snakemake print, as many at a time as there are cores.

    Parameters
    ----------
    asked : list of dict
        `folder`: the checkout; `arguments`: of the command line; and where they are others than here: `environment`,
        variables; `library`, the folder that the library is imported from; `ledger`, its file of revisions.

    Returns
    -------
    list of (int, str)
        Exit status and output of each.
    """
    command = [sys.executable, "-m", "tests.workflow.staleness.forks"]
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [tuple(answer) for answer in json.loads(done.stdout)]


def _forked(asked, output):
    """Start one run as a fork that prints into the file `output`; return its process id."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        os.chdir(asked["folder"])
        os.environ.update(asked.get("environment", {}))
        if "ledger" in asked:
            revisions._LEDGER = Path(asked["ledger"])
        if "library" in asked:
            _forget_library()
            sys.path.insert(0, asked["library"])
        before = set(sys.modules)
        try:
            cli.main(asked["arguments"])
        except SystemExit as end:
            status = end.code or 0
        if "loaded" in asked:
            Path(asked["loaded"]).write_text("\n".join(name for name in sys.modules if name not in before))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _forget_library():
    for name in [name for name in sys.modules if name.split(".")[0] == "robustlaws"]:
        del sys.modules[name]


def _import_all(asked, folder):
    """Import what a dry run imports, so that all runs find it."""
    loaded = Path(folder, "modules")
    with open(Path(folder, "first"), "w") as output:
        dry = asked | {"arguments": [*asked["arguments"], *DRY], "loaded": str(loaded)}
        os.waitpid(_forked(dry, output), 0)
    for name in loaded.read_text().split() if loaded.exists() else ():
        importlib.import_module(name)


def main():
    """Do what standard input asks, on all cores that this process may use."""
    asked = json.load(sys.stdin)
    free, running, statuses = len(os.sched_getaffinity(0)), {}, {}
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, f"{index}.txt") for index in range(len(asked))]
        _import_all(asked[0], folder)
        for index, path in enumerate(outputs):
            with open(path, "w") as output:
                running[_forked(asked[index], output)] = index
            while len(running) >= free or (running and index == len(outputs) - 1):
                process, status = os.wait()
                statuses[running.pop(process)] = os.waitstatus_to_exitcode(status)
        answers = [(statuses[index], path.read_text()) for index, path in enumerate(outputs)]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
