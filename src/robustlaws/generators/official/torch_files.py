"""Read checkpoints of networks without running code in them.

Three containers are known: a plain pickle, whose tensors come as streams of further pickles; the zip archive of
`torch.save`; and its format before 1.6, one such stream. All are read by :class:`machine.Machine` with the functions in
GLOBALS, each of which only notes down what the file gives it. No module of the file's choice is imported; a tensor is
copied out when asked for, within the bounds of its storage.

Source: spec/generators.md 10.2 to 10.5.
"""

import io
import math
import mmap
import pickletools
import re
import zipfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from robustlaws.generators.official.pickle_machine import Budget, Buildable, Machine, Name, Refused, asking, plain

FILE_BYTES = 8 << 30  # of a file: several times more than the official ones
AXES = 8  # of a tensor
LEGACY_MAGIC, LEGACY_VERSION = 0x1950A86A20F9469CFC6C, 1001  # of what torch.save wrote before its 1.6
MODULE_DICT = "torch.nn.modules.container.ModuleDict"
PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"

# torch's names of storages: type, bytes of a number
STORAGES = {
    "FloatStorage": ("float32", 4),
    "DoubleStorage": ("float64", 8),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
}


@dataclass(eq=False)
class Record(Buildable):
    """An object of the file: what it is made by (PERSISTENT or MODULE_DICT) and its dict, None until it is known."""

    name: str
    content: dict | None = None

    def set_state(self, state):
        """Take the state; refuse a second one and any that is of another kind."""
        if self.content is not None or type(state) is not dict:
            raise Refused(f"refused, it sets the state of a {self.name} in a way that no such checkpoint does")
        self.content = state


@dataclass(eq=False)
class Storage:
    """Numbers in a row; `read` returns a buffer and the byte of it that they begin at."""

    dtype: str
    numel: int
    read: object = None


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the file; offset and stride count numbers of its storage."""

    storage: Storage
    offset: int
    shape: tuple
    stride: tuple

    @property
    def dtype(self):
        """Name of the type, such as float32."""
        return self.storage.dtype

    def load(self):
        """Return it as a contiguous float32 tensor; ValueError if it is of another type or cannot be read."""
        if self.dtype != "float32":
            raise ValueError(f"a tensor of {self.dtype}; only float32 is read")
        buffer, start = self.storage.read()
        # NumPy too checks that all of it lies within the buffer
        view = np.ndarray(self.shape, "<f4", buffer, start + 4 * self.offset, [4 * step for step in self.stride])
        return torch.from_numpy(np.array(view, dtype=np.float32, order="C"))


@dataclass(eq=False)
class NumpyType(Buildable):
    """The dtype of a NumPy scalar."""

    code: str
    order: str = "<"

    def set_state(self, state):
        """Take the state; refuse a second one and any that is of another kind."""
        if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise Refused("refused, it sets the state of a numpy.dtype in a way that no such checkpoint does")
        self.order = state[1]


@contextmanager
def opened(path):
    """Yield the content of the checkpoint at `path`; its tensors can be loaded until the block ends.

    Parameters
    ----------
    path : path
        A plain pickle of protocol 2 to 5, or what `torch.save` writes, or wrote before 1.6.

    Yields
    ------
    None, bool, int, float, str, bytes, tuple, list, dict, set, :class:`Record` or :class:`Tensor`
        Nested, and perhaps shared, as in the file. OrderedDict and EasyDict are dicts, NumPy scalars are numbers.

    Raises
    ------
    ValueError
        One line with the file and what was found, for anything that is not such a file. A :class:`Refused` that
        the block raises gets the name of the file, too.
    """
    with ExitStack() as stack:
        with _naming(path):
            content = _content(Path(path), stack)
        try:
            yield content
        except Refused as error:
            raise ValueError(f"{path}: {error}") from None


@contextmanager
def _naming(path):
    """Turn whatever goes wrong into one line about the file."""
    try:
        yield
    except Refused as error:
        raise ValueError(f"{path}: {error}") from None
    except Exception as error:  # a damaged file may raise anything, anywhere
        reason = (str(error).splitlines() or [""])[0][:160] or type(error).__name__
        raise ValueError(f"{path}: damaged, or no checkpoint of this kind ({reason})") from None


def _content(path, stack):
    if not path.is_file():
        raise Refused("not a readable file")
    size = path.stat().st_size
    if size > FILE_BYTES:
        raise Refused(f"{size / 1e9:.1f} GB; checkpoints of these networks have less than {FILE_BYTES / 1e9:.1f} GB")
    file = stack.enter_context(path.open("rb"))
    start = file.read(16)
    if start.startswith(b"PK\x03\x04"):
        return _Archive(path, stack.enter_context(zipfile.ZipFile(file)), size).content()
    if not start.startswith(b"\x80"):  # the instruction with the protocol, from 2 on
        raise Refused(_foreign(file, start))
    mapped = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    content = Machine(mapped, GLOBALS, Budget(size)).run()
    if content == LEGACY_MAGIC:
        mapped.seek(0)
        return _legacy(mapped, mapped, GLOBALS, Budget(size))
    if mapped.tell() != size:
        raise Refused(f"goes on for {size - mapped.tell()} bytes after the end of its pickle")
    return content


def _foreign(file, start):
    """Return the line about a file that is neither: with its first global, if it is a pickle of protocol 0 or 1."""
    file.seek(0)
    try:
        for code, argument, _ in pickletools.genops(file.read(1 << 16)):
            if code.name in ("GLOBAL", "INST"):
                return asking(argument.replace(" ", "."))
    except Exception:  # not even that
        pass
    return f"neither a pickle of a network nor an archive of torch, it begins with {start!r}" if start else "empty"


# what the globals make of what they are given


def _object(_, content):
    if type(content) is not dict:
        raise Refused(f"no checkpoint of this kind, an object of it is made from {plain(content)}")
    return Record(PERSISTENT, content)


def _tensor(_, storage, offset, shape, stride, requires_grad, hooks, metadata=None):
    if not isinstance(storage, Storage) or not type(shape) is type(stride) is tuple:
        raise Refused("damaged, or no checkpoint of this kind (a tensor without a storage, or of no shape)")
    bounded = len(shape) == len(stride) <= AXES
    if not bounded or not all(type(size) is int and 0 <= size <= FILE_BYTES for size in (offset, *shape, *stride)):
        raise Refused("damaged, a tensor of it has a size, stride or offset out of bounds")
    count = math.prod(shape)
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    # more numbers than the storage has: strides of 0 would make a large tensor out of nothing
    if count and (last >= storage.numel or count > storage.numel):
        raise Refused(
            f"damaged, a tensor of shape {plain(shape)}, stride {plain(stride)} and offset {offset} is out of the "
            f"bounds of its storage of {storage.numel} numbers"
        )
    return Tensor(storage, offset, shape, stride)


def _parameter(_, tensor, requires_grad, hooks):
    if not isinstance(tensor, Tensor):
        raise Refused(f"no checkpoint of this kind, a parameter of it is {plain(tensor)}")
    return tensor


def _numpy_type(_, code, align, copy):
    if not isinstance(code, str) or not re.fullmatch(r"[iuf][248]|[iub]1", code):
        raise Refused(f"no checkpoint of this kind, it has a NumPy scalar of type {plain(code)}")
    return NumpyType(code)


def _number(_, kind, raw):
    if not isinstance(kind, NumpyType) or type(raw) is not bytes or len(raw) != int(kind.code[1]):
        raise Refused("no checkpoint of this kind, it has a NumPy scalar that is no number")
    (number,) = np.frombuffer(raw, np.dtype(kind.order + kind.code)).tolist()
    return number


def _encoded(budget, text, encoding):
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused(f"refused, it asks for the encoding {plain(encoding)} of {plain(text)[:40]}")
    budget.copy(len(text))
    return text.encode("latin1")


def _set(budget, items):
    if type(items) is not list or not all(isinstance(item, str) for item in items):
        raise Refused("no checkpoint of this kind, it has a set of other things than names")
    budget.step(len(items))
    return set(items)


def _empty(_):
    return {}


def _stream(budget, raw):
    if type(raw) is not bytes:
        raise Refused("no checkpoint of this kind, a storage of it is not made of bytes")
    storage = _legacy(io.BytesIO(raw), raw, _TAGS, budget)
    if not isinstance(storage, Storage):
        raise Refused("damaged, or no checkpoint of this kind (a storage of it holds something else)")
    return storage


def _legacy(file, raw, names, budget):
    """Return the content of what `torch.save` wrote before 1.6: five pickles, then the numbers of each storage (10.3).

    `file` reads `raw`, bytes or a mapped file, from the start; `names` are those that the content may ask for.
    """
    storages = {}

    def persistent(key):
        if type(key) is tuple and len(key) == 4 and key[0] == "module" and isinstance(key[1], Name):
            return key[1]  # a class, which came with its source text
        (dtype, width), name, numel = _storage_key(key, 6)
        known = storages.setdefault(name, (Storage(dtype, numel), width))[0]
        if (known.dtype, known.numel) != (dtype, numel):
            raise Refused(f"damaged, it has two sizes for its storage {plain(name)}")
        return known

    magic, version, system = (Machine(file, {}, budget).run() for _ in range(3))
    if (magic, version) != (LEGACY_MAGIC, LEGACY_VERSION) or type(system) is not dict:
        raise Refused("damaged, a part of it is no stream of torch")
    if system.get("little_endian") is not True:
        raise Refused("written on a big-endian machine, which is not read")
    content, keys = Machine(file, names, budget, persistent).run(), Machine(file, {}, budget).run()
    start = file.tell()
    budget.copy(start)  # the same bytes may be read again and again
    if type(keys) is not list or not all(isinstance(key, str) for key in keys) or sorted(keys) != sorted(storages):
        raise Refused("damaged, its storages are not those that it refers to")
    for key in keys:
        storage, width = storages[key]
        size, start = raw[start : start + 8], start + 8
        storage.read = partial(lambda start: (raw, start), start)
        start += storage.numel * width
        if size != storage.numel.to_bytes(8, "little") or start > len(raw):
            raise Refused(f"damaged, its storage {plain(key)} does not have its {storage.numel} numbers")
    if start != len(raw):
        raise Refused(f"goes on for {len(raw) - start} bytes after its last storage")
    return content


def _storage_key(key, length):
    """Return ((type, bytes of a number), name, numbers) of the persistent id of a storage."""
    if type(key) is not tuple or len(key) != length or key[0] != "storage" or key[5:] not in ((), (None,)):
        raise Refused("damaged, or no checkpoint of this kind (it refers to something else than a storage)")
    tag, name, _, numel = key[1:5]
    if not isinstance(tag, Name) or tag.name not in STORAGES or not isinstance(name, str):
        raise Refused("damaged, or no checkpoint of this kind (it refers to a storage of no known type)")
    if type(numel) is not int or not 0 <= numel <= FILE_BYTES:
        raise Refused("damaged, a storage of it has a size out of bounds")
    return STORAGES[tag.name], name, numel


_TAGS = {("torch", name): ("", None) for name in STORAGES}
GLOBALS = _TAGS | {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): ("REDUCE", _object),
    ("torch.nn.modules.container", "ModuleDict"): ("NEWOBJ", lambda _: Record(MODULE_DICT)),
    ("dnnlib.util", "EasyDict"): ("NEWOBJ", _empty),
    ("collections", "OrderedDict"): ("REDUCE", _empty),
    ("torch._utils", "_rebuild_parameter"): ("REDUCE", _parameter),
    ("torch._utils", "_rebuild_tensor_v2"): ("REDUCE", _tensor),
    ("torch.storage", "_load_from_bytes"): ("REDUCE", _stream),
    ("numpy.core.multiarray", "scalar"): ("REDUCE", _number),
    ("numpy._core.multiarray", "scalar"): ("REDUCE", _number),
    ("numpy", "dtype"): ("REDUCE", _numpy_type),
    ("_codecs", "encode"): ("REDUCE", _encoded),
    ("__builtin__", "set"): ("REDUCE", _set),
    ("builtins", "set"): ("REDUCE", _set),
}


class _Archive:
    """The zip archive of `torch.save`: one folder with `data.pkl` and the storages in `data/`."""

    def __init__(self, path, archive, size):
        self.path, self.archive, self.size = path, archive, size
        self.members = self._checked()

    def _checked(self):
        """Return the members under their names within the folder."""
        members, total = {}, 0
        for entry in self.archive.infolist():
            _, _, name = entry.filename.partition("/")
            total += entry.file_size
            if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
                raise Refused(f"its member {plain(entry.filename)} is compressed or encrypted, as torch writes none")
            if entry.file_size != entry.compress_size or total > self.size:
                raise Refused(f"its member {plain(entry.filename)} would be larger than the file has room for")
            if not name or ".." in name.split("/") or name in members:
                raise Refused(f"its member {plain(entry.filename)} is none of torch, or is there twice")
            members[name] = entry
        stems = {entry.filename.partition("/")[0] for entry in members.values()}
        if len(stems) != 1 or "data.pkl" not in members:
            raise Refused("an archive without one folder that holds data.pkl; torch.save writes one")
        return members

    def content(self):
        order = self.archive.read(self.members["byteorder"]) if "byteorder" in self.members else b"little"
        if order != b"little":
            raise Refused("written on a big-endian machine, which is not read")
        file = io.BytesIO(self.archive.read(self.members["data.pkl"]))
        return Machine(file, GLOBALS, Budget(self.size), self._storage).run()

    def _storage(self, key):
        (dtype, width), name, numel = _storage_key(key, 5)
        entry = self.members.get(f"data/{name}")
        if entry is None or entry.file_size != numel * width:
            fault = "is not there" if entry is None else f"has {entry.file_size} bytes"
            raise Refused(f"damaged, its storage {plain(name)} of {numel} {dtype} numbers {fault}")

        def read():
            with _naming(self.path):  # the sum over the bytes may be wrong
                return self.archive.read(entry), 0

        return Storage(dtype, numel, read)
