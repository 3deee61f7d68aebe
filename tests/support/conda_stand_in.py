"""The part of the command `conda` that Snakemake uses, over a real solver and installer, with channels in a folder.

    python stand_in.py HOME info --json

HOME has `bin/activate`, which Snakemake reads, `channels/` with one folder a channel, and `channels/wheels` for pip.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

ACTIVATE = 'export CONDA_PREFIX="$1" CONDA_SHLVL=1 PATH="$1/bin:$PATH"\n'


def install(home):
    """Make `home` the home of a stand-in: `home/bin` has the command `conda`."""
    (home / "bin").mkdir(parents=True)
    (home / "bin/activate").write_text(ACTIVATE)
    command = home / "bin/conda"
    command.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{__file__}' '{home}' \"$@\"\n")
    command.chmod(0o755)


def main(home, *words):
    """Do what `conda` does when told `words`."""
    if words == ("--version",):
        print("conda 25.1.0")
    elif words[0] == "info":
        print(json.dumps({"conda_prefix": home, "root_prefix": home, "platform": "linux-64", "channels": []}))
    elif words[:2] == ("config", "--get"):
        print(json.dumps({"get": {"channel_priority": "strict"}, "success": True}))
    elif words[:2] == ("env", "create"):
        settings = dict(zip(words, words[1:], strict=False))
        create(Path(home), yaml.safe_load(Path(settings["--file"]).read_text()), Path(settings["--prefix"]))
    elif words[0] != "clean":  # what it fetched, which is nothing
        raise ValueError(f"not known here: {' '.join(words)}")


def create(home, file, prefix):
    """Make the environment of a parsed file at `prefix`."""
    listed = [line.replace(" =", "=") for line in file["dependencies"] if isinstance(line, str)]
    names = [name for name in file["channels"] if name != "nodefaults"]
    installed = asyncio.run(solved([f"file://{home}/channels/{name}" for name in names], listed, home / "pkgs", prefix))
    print(f"installed {' '.join(installed)}")
    for part in file["dependencies"]:
        if isinstance(part, dict):
            wheels = "--no-index", "--find-links", home / "channels/wheels"
            subprocess.run([prefix / "bin/python", "-m", "pip", "install", *wheels, *part["pip"]], check=True)


async def solved(channels, listed, cache, prefix):
    """Solve and install; return what was installed, as name=version."""
    import rattler

    records = await rattler.solve(
        sources=[rattler.Channel(channel) for channel in channels],
        specs=listed,
        platforms=["linux-64", "noarch"],
        virtual_packages=rattler.VirtualPackage.detect(),
    )
    await rattler.install(records=records, target_prefix=prefix, cache_dir=cache, show_progress=False)
    return [f"{record.name.source}={record.version}" for record in records]


if __name__ == "__main__":
    status = 1
    try:
        main(*sys.argv[1:])
        status = 0
    except BaseException as error:
        print(f"conda: {error}", file=sys.stderr)
    sys.stdout.flush()
    # the solver's threads may still let go of Python's objects, which must not end under them: it was seen to crash
    os._exit(status)
