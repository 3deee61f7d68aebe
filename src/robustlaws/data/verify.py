"""Verify shards: every byte, the consistency of a dataset, and repeated images."""

import argparse
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from robustlaws import errors
from robustlaws.data import repeated_images, shards
from robustlaws.data.shard_format import FORMAT, PluginMissing, digests, portion_images
from robustlaws.runtime.progress import Progress

_NAME = re.compile(r"shard-(\d+)\.h5")
# Attributes that the shards of one dataset share, beside the hashes of their sources.
_COMMON = ("dataset", "generator", "sampler", "steps", "seed", "revision", "sources", "source_images", "order")
_OWN = ("first", "count", "layout")  # of the settings with which a shard was made: what is its own
_NAMED = 10  # damaged images of one shard that get a line each
# Errors of HDF5 and h5py on damaged content.
_UNREADABLE = (ValueError, OSError, KeyError, RuntimeError, TypeError, AttributeError, MemoryError, OverflowError)


@dataclass
class Report:
    """The result of a check: numbers of shards and images, findings, and notes."""

    shards: int = 0
    images: int = 0
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Checked:
    """One file after its check; `length` is None if it cannot be read.

    `failed`: whether that may be the machine's fault (disk, network, memory, permissions), so that nothing is known of
    the file.
    """

    path: Path
    findings: list[str]
    length: int | None = None
    shape: tuple[int, ...] | None = None
    attributes: dict = field(default_factory=dict)
    failed: bool = False


def verify(paths: Iterable[Path | str], workers: int = 1, images: int | None = None) -> Report:
    """Check shards and the datasets they make up.

    Parameters
    ----------
    paths : list of path
        Shards, or folders with shards somewhere in them: a dataset's, a study's. In a folder, shards that are
        missing in the row of their numbers are found too.
    workers : int
        Processes to read with.
    images : int, optional
        That each dataset in a folder has to hold: nothing in its shards says it, as a dataset may grow.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If a path does not exist or has no shards.
    """
    folders, files = _gathered(paths)
    progress, checked = Progress("checking", len(files), unit="shards"), {}
    for result in _checks(files, workers):
        checked[result.path] = result
        progress.advance(1)
    report = Report(shards=len(files), images=sum(result.length or 0 for result in checked.values()))
    for group in _datasets(files):
        members = [checked[path] for path in group]
        for result in members:
            report.findings += result.findings
        if _number(group[0]) is not None:
            whole = any(folder in group[0].parents for folder in folders)
            report.findings += _missing(members, whole)
            report.findings += _too_few(members, images) if whole and images else []
            report.findings += _disagreements(members)
        _repeated(members, report)
    report.notes += [note for folder in folders for note in _unfinished(folder)]
    return report


def _checks(files, workers):
    """Yield the check of each file, in order."""
    if workers < 1:
        raise ValueError(f"--workers {workers}: give 1 or more")
    if workers == 1:
        yield from map(check, files)
        return
    try:
        with ProcessPoolExecutor(workers) as pool:
            yield from pool.map(check, files)
    except BrokenProcessPool:
        raise ValueError(f"one of {workers} processes was killed (memory?); try with --workers 1") from None


def check(path: Path | str) -> Checked:
    """Check one file by itself: its seal, format, digests and checksum; return it as Checked."""
    path, findings = Path(path), []
    try:
        whole = shards.sealed(path)
    except OSError as error:
        return _unread(path, error)
    try:
        with shards.opened(path) as file:
            wrong = _shape_error(file, path)
            if wrong:
                return Checked(path, [f"{path}: damaged outside its images: {wrong}"])
            attributes = shards.attributes_of(file)
            findings = _content(file, path, attributes.get("checksum"))
            result = Checked(path, findings, len(file["image"]), file["image"].shape[1:], attributes)
    except PluginMissing:
        raise
    except _UNREADABLE as error:
        if _of_machine(error):
            return _unread(path, error)
        what = (str(error) or type(error).__name__).removeprefix(f"{path}: ").splitlines()[0]
        with open(path, "rb") as file:
            ours = file.read(len(FORMAT)) == FORMAT.encode()
        return Checked(path, [f"{path}: {'damaged outside its images or cut short: ' if ours else ''}{what}"])
    if not whole and not findings:
        findings.append(f"{path}: damaged outside its images (its bytes do not match the hash in its first line)")
    return result


def _of_machine(error):
    """Return whether an error in reading a file says nothing of the file itself."""
    behind = error.__cause__ or error.__context__
    # HDF5 gives the number of what the system refused; of damaged content there is none
    here = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno)
    return bool(here or errors.number(error) or (behind is not None and _of_machine(behind)))


def _unread(path, error):
    what = getattr(error, "strerror", None) or str(error) or "out of memory"
    return Checked(path, [f"{path}: cannot be read ({what.removeprefix(f'{path}: ').splitlines()[0]})"], failed=True)


def command(parser: argparse.ArgumentParser) -> Callable[..., int]:
    """Give `parser` the arguments of `robustlaws verify`; return what carries it out."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a shard, a dataset's folder or a study's folder")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes to read with (default: 1)")
    parser.add_argument("--images", type=int, metavar="N", help="images that each dataset in a folder has to hold")
    return _run


def _run(arguments):
    report = verify(arguments.paths, arguments.workers, arguments.images)
    for note in report.notes:
        print(f"note: {note}")
    for finding in report.findings:
        print(finding)
    if not report.findings:
        print(f"{report.shards:,} shard{'s' * (report.shards != 1)}, {report.images:,} images: all whole")
    return 1 if report.findings else 0


def _gathered(paths):
    """Return the folders among `paths`, and all shards, each once, in order."""
    folders, files = [], {}
    for path in map(Path, paths):
        if path.is_dir():
            folders.append(path)
            inside = [file for file in sorted(path.rglob("*.h5")) if file.is_file() and _ours(file, path)]
            if not inside:
                raise ValueError(f"{path}: no shards in this folder")
        elif path.is_file():
            inside = [path]
        else:
            raise ValueError(f"{path}: no such file or folder")
        files.update({file.resolve(): file for file in inside if file.resolve() not in files})
    return folders, list(files.values())


def _ours(path, folder):
    """Return whether a file in a folder is to be checked: all but unfinished ones and HDF5 of other formats."""
    if any(part.startswith(".") for part in path.relative_to(folder).parts):
        return False
    if _number(path) is not None:
        return True
    try:
        with h5py.File(path, "r") as file:
            # a shard keeps 512 bytes before the HDF5 content, so a shard with a damaged attribute is not passed over
            return file.userblock_size > 0 or str(file.attrs.get("format")).startswith("robustlaws-shard-")
    except OSError:
        return True


def _number(path):
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else None


def _datasets(files):
    """Return the files in groups: numbered shards of one folder together, any other alone."""
    groups = {}
    for path in files:
        groups.setdefault(path.parent if _number(path) is not None else path, []).append(path)
    return [sorted(group, key=_number) if len(group) > 1 else group for group in groups.values()]


def _shape_error(file, path):
    """Return the fault in the types and sizes of the datasets, or an empty string."""
    image, label, digest = file["image"], file["label"], file["digest"]
    types = (image.dtype, label.dtype, digest.dtype)
    if types != (np.uint8, np.dtype("<i8"), np.dtype("<u8")):
        return f"image, label and digest are of types {', '.join(map(str, types))}"
    if image.ndim != 4 or label.shape != image.shape[:1] or digest.shape != image.shape[:1]:
        return f"image, label and digest are of shapes {image.shape}, {label.shape}, {digest.shape}"
    if not 0 < 16 * len(label) < path.stat().st_size:
        return f"{len(label):,} images do not fit into it"
    return ""


def _content(file, path, stated):
    """Return findings about images, labels and digests of an open file, and about the checksum that it states."""
    sha256, wrong, broken, labels = hashlib.sha256(), [], [], []
    image = file["image"]
    step = image.chunks[0] if image.chunks else portion_images(image.shape[1:], len(image))
    for start in range(0, len(image), step):
        stop = min(start + step, len(image))
        try:
            images, classes = shards.values(file, path, start, stop)
        except ValueError as error:
            if _of_machine(error):
                raise
            broken.append(str(error))
            continue
        wrong += (start + np.flatnonzero(digests(images, classes) != file["digest"][start:stop])).tolist()
        sha256.update(np.ascontiguousarray(images))
        labels.append(classes)
    if broken:
        return broken + _damaged(path, wrong)
    sha256.update(np.concatenate(labels).astype("<i8"))
    matches = sha256.hexdigest() == stated
    if matches and wrong:
        return [f"{path}: damaged outside its images: digest {wrong[0]} is not that of its image"]
    if not matches and not wrong:
        return [f"{path}: damaged outside its images: the checksum is not that of its images"]
    return _damaged(path, wrong)


def _damaged(path, wrong):
    findings = [f"{path}: damaged: image {i} (or its label) does not match its digest" for i in wrong[:_NAMED]]
    return findings + ([f"{path}: damaged: {len(wrong) - _NAMED:,} more images"] if len(wrong) > _NAMED else [])


def _missing(members, whole):
    """Return findings about gaps in the numbers of a dataset's shards and in the indices of their first images."""
    numbers, findings, expected = [_number(member.path) for member in members], [], None
    width = len(_NAME.fullmatch(members[0].path.name)[1])
    for before, number, member in zip([-1, *numbers], numbers, members, strict=False):
        first = member.attributes.get("first_index")
        if number > before + 1:
            expected = None
            if whole:
                last = f" to shard-{number - 1:0{width}d}.h5" if number > before + 2 else ""
                findings.append(f"{member.path.with_name(f'shard-{before + 1:0{width}d}.h5')}{last}: missing")
        elif number == 0:
            expected = 0
        if None not in (first, expected) and first != expected:
            findings.append(
                f"{member.path}: starts at image {first:,} of its dataset; in its place, {expected:,} is due"
            )
        # by its place rather than by what it says, so that two that changed places are both named, and only they
        begins = expected if expected is not None else first
        expected = None if None in (begins, member.length) else begins + member.length
    return findings


def _too_few(members, images):
    """Return a finding if the shards of a dataset end before it has `images`."""
    there = sum(member.length or 0 for member in members)
    if there >= images:
        return []
    number, digits = _number(members[-1].path) + 1, len(_NAME.fullmatch(members[-1].path.name)[1])
    following = members[-1].path.with_name(f"shard-{number:0{digits}d}.h5")
    return [f"{following}: missing: there are {there:,} images, {images:,} are due"]


def _disagreements(members):
    """Return findings about attributes that differ between shards of one dataset."""
    readable = [(member, _common(member)) for member in members if member.length is not None]
    return [
        f"{member.path}: {name} is {common.get(name)!r}; {first.get(name)!r} in {readable[0][0].path.name}"
        for member, common in readable[1:]
        for first in [readable[0][1]]
        for name in {**first, **common}
        if common.get(name) != first.get(name)
    ]


def _common(member):
    """Return the attributes that a shard should have in common with the others of its dataset."""
    common = {name: value for name, value in member.attributes.items() if name in _COMMON or name.endswith("sha256")}
    try:
        settings = json.loads(member.attributes.get("settings", "{}"))
        common |= {f"settings.{name}": value for name, value in settings.items() if name not in {*_OWN, *_COMMON}}
    except (ValueError, TypeError, AttributeError):  # by a writer that means something else by the name
        pass
    return {**common, "shape of images": member.shape}


def _repeated(members, report):
    """Add to `report` the images of a dataset that are there more than once: wrong only where they were generated."""
    readable = [member for member in members if member.length is not None]
    if not readable:
        return
    same = repeated_images.find([member.path for member in readable], [member.length for member in readable])
    generated = any("generator" in member.attributes for member in readable)
    (report.findings if generated else report.notes).extend(same)


def _unfinished(folder):
    """Return notes about shards that a job has begun and not finished."""
    return [
        f"{path.with_suffix('')}: unfinished; its job goes on from {path.name}"
        for path in sorted(folder.rglob("shard-*.h5.partial"))
        if path.is_dir() and not path.with_suffix("").exists()
    ]
