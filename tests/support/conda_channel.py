"""Conda channels of what is installed beside the tests: real metadata for a real solver, contents that cost nothing.

A package has the name, version and requirements of an installed distribution, and links to its files. So an
environment of gigabytes is made in a second, and nothing is fetched or copied; what is not linked is not there.
"""

import csv
import hashlib
import io
import json
import os
import platform
import re
import sys
import sysconfig
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.conda_imports import conda_name

SUBDIR = "linux-64"  # of all packages here, whatever the machine: the stand-in solves for it
_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_SITE = f"lib/{_PYTHON}/site-packages"


def write(folder, wheels=()):
    """Write the channels conda-forge and bioconda, and wheels of the distributions that pip is to install.

    Parameters
    ----------
    folder : path
        Becomes a folder of channels, `conda-forge` and `bioconda`, and of `wheels`.
    wheels : iterable of str
        Names of installed distributions.
    """
    result = metadata.distributions(path=[sysconfig.get_path("purelib")])
    installed = {canonicalize_name(item.name): item for item in result}
    del installed["robustlaws"]  # no environment has it
    files = {name: _files(item) for name, item in installed.items()}
    owners = {}
    for name, listed in files.items():
        for top in {path.parts[0] for path in listed}:
            owners.setdefault(top, set()).add(name)
    channels = {"conda-forge": [_package(Path(folder, "conda-forge"), *_python())], "bioconda": []}
    for name, item in installed.items():
        if name in wheels:
            _wheel(Path(folder, "wheels"), item, files[name])
            continue
        alone = {path.parts[0] for path in files[name] if len(owners[path.parts[0]]) == 1}
        links = [*alone, *(path for path in files[name] if path.parts[0] not in alone)]
        links = {f"{_SITE}/{path}": str(item.locate_file(path)) for path in links}
        channel = "bioconda" if name.startswith("snakemake") else "conda-forge"
        about = conda_name(name), item.version.partition("+")[0], _requirements(item), links
        channels[channel].append(_package(Path(folder, channel), *about))
    for channel, packages in channels.items():
        for subdir in (SUBDIR, "noarch"):
            listed = {f"{index['name']}-{index['version']}-0.tar.bz2": index for index in packages if subdir == SUBDIR}
            about = {"info": {"subdir": subdir}, "packages": listed, "packages.conda": {}, "repodata_version": 1}
            Path(folder, channel, subdir).mkdir(parents=True, exist_ok=True)
            Path(folder, channel, subdir, "repodata.json").write_text(json.dumps(about))


def _files(distribution):
    """Return the files of an installed distribution in site-packages, as paths from there."""
    listed = (Path(row[0]) for row in csv.reader(distribution.read_text("RECORD").splitlines()) if row)
    return [path for path in listed if path.parts[0] not in ("..", "__pycache__", "/") and path.suffix != ".pyc"]


def _requirements(distribution):
    """Return what a distribution requires, as conda writes it."""
    results = [f"python {platform.python_version_tuple()[0]}.{platform.python_version_tuple()[1]}.*"]
    for line in distribution.requires or ():
        asked = Requirement(line)
        if not asked.marker or asked.marker.evaluate({"extra": ""}):
            results.append(f"{conda_name(asked.name)} {asked.specifier}".strip())
    return results


def _python():
    """Return what :func:`_package` wants to know of this Python: its program, and links to its standard library."""
    home = Path(sysconfig.get_path("stdlib"))
    links = {f"lib/{_PYTHON}/{path.name}": str(path) for path in home.iterdir() if path.name != "site-packages"}
    program = Path(sys._base_executable).resolve()
    return "python", platform.python_version(), [], links | {"bin/python": _PYTHON}, {f"bin/{_PYTHON}": program}


def _package(channel, name, version, depends, links, copies=()):
    """Write one package and return its line of the channel's index.

    Parameters
    ----------
    channel : path
    name, version : str
    depends : list of str
    links : dict of str to str
        Path in the environment -> what the link there says.
    copies : dict of str to path
        Path in the environment -> program.
    """
    path = channel / SUBDIR / f"{name}-{version}-0.tar.bz2"
    path.parent.mkdir(parents=True, exist_ok=True)
    index = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": depends, "subdir": SUBDIR,
             "arch": "x86_64", "platform": "linux", "timestamp": 0}  # fmt: skip
    paths = []
    with tarfile.open(path, "w:bz2", compresslevel=1) as archive:
        for place, target in links.items():
            link = tarfile.TarInfo(place)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
            empty = hashlib.sha256(b"").hexdigest()
            paths.append({"_path": place, "path_type": "softlink", "sha256": empty, "size_in_bytes": 0})
        for place, source in dict(copies).items():
            content = source.read_bytes()
            _add(archive, place, content, 0o755)
            digest = hashlib.sha256(content).hexdigest()
            paths.append({"_path": place, "path_type": "hardlink", "sha256": digest, "size_in_bytes": len(content)})
        _add(archive, "info/index.json", json.dumps(index).encode())
        _add(archive, "info/files", "".join(f"{entry['_path']}\n" for entry in paths).encode())
        _add(archive, "info/paths.json", json.dumps({"paths": paths, "paths_version": 1}).encode())
        _add(archive, "info/about.json", b"{}")
    content = path.read_bytes()
    digests = {"md5": hashlib.md5(content).hexdigest(), "sha256": hashlib.sha256(content).hexdigest()}
    return index | digests | {"size": len(content)}


def _add(archive, place, content, mode=0o644):
    file = tarfile.TarInfo(place)
    file.size, file.mode = len(content), mode
    archive.addfile(file, io.BytesIO(content))


def _wheel(folder, distribution, files):
    """Write a distribution as the wheel that it was installed from, near enough for pip."""
    folder.mkdir(parents=True, exist_ok=True)
    tag = re.search(r"^Tag: (\S+)", distribution.read_text("WHEEL"), re.MULTILINE)[1]
    name = f"{canonicalize_name(distribution.name).replace('-', '_')}-{distribution.version}-{tag}.whl"
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path in files:
            if path.name not in ("INSTALLER", "REQUESTED", "direct_url.json"):
                archive.write(distribution.locate_file(path), os.fspath(path))
