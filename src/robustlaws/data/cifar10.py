"""CIFAR-10 from its official files, in the version for Python or the binary one.

Source: spec/interop.md 4g; the SHA-1 of the binary batches are those that MXNet's loader checks.
"""

import hashlib
import io
import pickle
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from robustlaws.data.sources import Split
from robustlaws.settings import Import

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_ARCHIVES = {  # MD5
    "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
    "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
}
_BATCHES = {  # MD5 of the pickles, SHA-1 of the binary files
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "data_batch_1.bin": "aadd24acce27caa71bf4b10992e9e7b2d74c2540",
    "data_batch_2.bin": "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
    "data_batch_3.bin": "1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
    "data_batch_4.bin": "aab85764eb3584312d3c7f65fd2fd016e36a258e",
    "data_batch_5.bin": "26e2849e66a845b7f1e4614ae70f4889ae604628",
    "test_batch.bin": "67eb016db431130d61cd03c7ad570b013799c88c",
}
_SPLITS = (tuple(f"data_batch_{k}" for k in range(1, 6)), ("test_batch",))


def cifar10(train_files: Sequence[str], test_files: Sequence[str], settings: Import) -> tuple[Split, ...]:
    """Return the splits of CIFAR-10, 50,000 and 10,000 colour images of 32x32 pixels, in the official order.

    Parameters
    ----------
    train_files, test_files : list of path
        The official archive (`cifar-10-python.tar.gz` or `cifar-10-binary.tar.gz`), the folder that it
        unpacks to, or the batch files in it. Without `test_files` the test split is taken from `train_files`.
    settings : Import

    Raises
    ------
    ValueError
        If a batch is missing, or a file is not the official one by its checksum. No code in a file is run.
    """
    files_of_splits = (train_files, test_files or train_files)
    read = {}  # one archive for both splits is read once
    splits = []
    for paths, names in zip(files_of_splits, _SPLITS, strict=True):
        batches: dict[str, bytes] = {}
        for path in map(Path, paths):
            if path not in read:
                read[path] = _batches_at(path)
            batches |= read[path]
        parts = [_batch(batches, name, paths) for name in names]
        splits.append(Split(np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts]), NAMES))
    return tuple(splits)


def _batches_at(path):
    """Return the content of each official batch file at `path` by its name."""
    if path.is_dir():
        # the folder of the batches, or the one that the archive was unpacked in
        for folder in (path, path / "cifar-10-batches-py", path / "cifar-10-batches-bin"):
            if batches := {name: (folder / name).read_bytes() for name in _BATCHES if (folder / name).is_file()}:
                return batches
        raise ValueError(f"{path}: no batch of CIFAR-10 in it, such as data_batch_1 or data_batch_1.bin")
    if not path.is_file():
        raise ValueError(f"{path}: no such file; get https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz")
    if path.name in _BATCHES:
        return {path.name: path.read_bytes()}
    with open(path, "rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    if md5 not in _ARCHIVES.values():
        known = " or ".join(f"{name} ({value})" for name, value in _ARCHIVES.items())
        raise ValueError(f"{path}: has the MD5 {md5}, so it is not {known}; get it again")
    batches = {}
    with tarfile.open(path, "r:gz") as archive:  # in one pass, nothing is unpacked to disk
        for member in archive:
            if member.isfile() and (name := Path(member.name).name) in _BATCHES:
                batches[name] = archive.extractfile(member).read()
    return batches


def _batch(batches, name, paths):
    """Return images, uint8 (10000, 32, 32, 3), and labels, int64 (10000,), of one batch."""
    binary = name not in batches
    name += ".bin" if binary else ""
    if name not in batches:
        raise ValueError(f"{', '.join(map(str, paths)) or 'source.train_files'}: no {name.removesuffix('.bin')}")
    content, kind = batches[name], "sha1" if binary else "md5"
    actual = hashlib.new(kind, content).hexdigest()
    if actual != _BATCHES[name]:
        raise ValueError(f"{name}: has the {kind.upper()} {actual}, the official file {_BATCHES[name]}; get it again")
    if binary:
        rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3072)
        labels, pixels = rows[:, 0], rows[:, 1:]
    else:
        batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        labels, pixels = np.array(batch[b"labels"]), batch[b"data"].array()
    # planes of red, green and blue
    images = np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return images, labels.astype(np.int64)


class _Array:
    """The arguments of a pickled NumPy array, recorded instead of called."""

    def __init__(self, *_):
        self.state = None

    def __setstate__(self, state):
        self.state = state

    def array(self):
        _, shape, _, fortran, data = self.state
        return np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C")


class _Unpickler(pickle.Unpickler):
    """Reads dicts, lists, numbers, strings and arrays of bytes; every other name is refused."""

    def find_class(self, module, name):
        if (module, name) in (
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        ):
            return _Array
        raise ValueError(f"a batch of CIFAR-10 does not hold {module}.{name}; nothing of the file was run")
