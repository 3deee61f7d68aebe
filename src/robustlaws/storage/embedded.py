"""Provenance embedded in HDF5, Parquet, safetensors and JSON, and digests without it.

| kind | where |
|---|---|
| HDF5 | attribute `provenance` of the root group: text of fixed length, JSON |
| Parquet | entry `provenance` of the file's own metadata, JSON |
| safetensors | entry `provenance` of `__metadata__`, the last one, JSON |
| JSON | key `provenance` of the outermost object: the last one, on a line of its own |

A file that was written outside a job has none, and is the same but for that.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py
    import pyarrow

KEY = "provenance"
FORMAT = "robustlaws-provenance-1"
_SIGNATURE, _MAGIC = b"\x89HDF\r\n\x1a\n", b"PAR1"
SUFFIXES = {".h5": "HDF5", ".hdf5": "HDF5", ".parquet": "Parquet", ".safetensors": "safetensors", ".json": "JSON"}
_BLOCK = 1 << 20
_PORTION = 8 << 20  # bytes of a dataset in memory at once


def kind(path: Path | str) -> str | None:
    """Return "HDF5", "Parquet", "safetensors" or "JSON" by what the file at `path` begins with; None for any other."""
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    size = Path(path).stat().st_size
    # HDF5 may have a block of the user's before its content, of 512 bytes or a power of two times that
    if any(head[at : at + 8] == _SIGNATURE for at in (0, *(512 << n for n in range(7)))):
        return "HDF5"
    if head[:4] == _MAGIC:
        return "Parquet"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        return "safetensors"
    return "JSON" if head.lstrip()[:1] in (b"{", b"[") else None


def read(path: Path | str) -> dict[str, Any] | None:
    """Return the provenance (dict) that the file at `path` carries, or None if it carries none.

    Raises
    ------
    ValueError
        If the file is none of the four kinds, or is damaged.
    """
    file_kind = kind(path)
    if file_kind is None:
        if claimed := SUFFIXES.get(Path(path).suffix):
            raise ValueError(f"{path}: damaged, not a readable {claimed} file")
        raise ValueError(f"{path}: no HDF5, Parquet, safetensors or JSON, which are what carries provenance")
    try:
        text = _TEXTS[file_kind](path)
        stamp = json.loads(text) if isinstance(text, str) else text
    except Exception as error:  # of any kind: what a library makes of damaged bytes
        what = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path}: damaged, not a readable {file_kind} file ({what})") from None
    # others may have something of that name, which is content then
    return stamp if isinstance(stamp, dict) and stamp.get("format") == FORMAT else None


def content_digest(path: Path | str) -> str:
    """Return a SHA-256 (hex) of the file at `path` without its provenance.

    For Parquet, safetensors and JSON it is the digest of the bytes that the same code writes outside a job. For HDF5 it
    covers all names, types, attributes, numbers and storage layouts, as removing an attribute moves the others. Any
    other file is taken as it is.

    Raises
    ------
    ValueError
        If the file is damaged, or another program has rewritten it with the provenance in it.
    """
    file_kind = kind(path)
    if file_kind == "HDF5":
        return _hdf5_digest(path)
    if file_kind is None or read(path) is None:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return {"Parquet": _parquet_digest, "safetensors": _tensors_digest, "JSON": _json_digest}[file_kind](path)


def _text(stamp):
    return json.dumps(stamp, allow_nan=False)


# JSON


def json_text(content: Any, stamp: dict[str, Any] | None = None) -> str:
    """Return `content` as the text of a JSON file, with `stamp`, a dict, if one is given.

    Raises
    ------
    ValueError
        If a number is not finite: JSON has no word for it; or if what is to be stamped is not a dict with other keys.
    """
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    if stamp is None:
        return text
    if not isinstance(content, dict) or not content or KEY in content:
        raise ValueError(f"only a dict with keys other than {KEY} can carry its provenance")
    return text.removesuffix("\n}\n") + _json_line(_text(stamp))


def _json_line(text):
    return f',\n  "{KEY}": {text}\n}}\n'


def _json_stamp(path):
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    return content.get(KEY) if isinstance(content, dict) else None


def _json_digest(path):
    whole = Path(path).read_text(encoding="utf-8")
    head, mark, line = whole.rpartition(f',\n  "{KEY}": ')
    if not mark or line.count("\n") != 2 or not line.endswith("\n}\n"):
        raise _rewritten(path)
    return hashlib.sha256((head + "\n}\n").encode()).hexdigest()


def _rewritten(path):
    return ValueError(f"{path}: another program has rewritten it, so its content has no digest; make it again")


# safetensors


def save_tensors(
    save: Callable[..., None],
    tensors: dict[str, Any],
    path: Path | str,
    name: str,
    text: str,
    stamp: dict[str, Any] | None = None,
) -> None:
    """Write `tensors` as safetensors with one entry of metadata and, if one is given, the `stamp` after it.

    Parameters
    ----------
    save : function
        `save_file` of safetensors.torch or safetensors.numpy.
    tensors : dict
    path : path
    name, text : str
        The entry: what readers of the file need.
    stamp : dict, optional
    """
    if stamp is None:
        save(tensors, path, metadata={name: text})
        return
    # The library gives several entries in random order, and the same content has to be the same bytes. So it writes one
    # entry that is long enough, and the end of that becomes the second.
    second = _tensors_entry(_text(stamp))
    save(tensors, path, metadata={name: text + "x" * len(second)})
    with open(path, "r+b") as file:
        header = file.read(8 + int.from_bytes(file.read(8), "little"))
        file.seek(8 + header.index(b"x" * len(second) + b'"}'))
        file.write(b'"' + second + b"}")


def _tensors_entry(text):
    return f",{json.dumps(KEY)}:{json.dumps(text)}".encode()


def _tensors_header(file):
    length = int.from_bytes(file.read(8), "little")
    return file.read(length)


def _tensors_text(path):
    # without the library, which a login node need not have
    with open(path, "rb") as file:
        raw = _tensors_header(file)
    header = json.loads(raw)
    about = header.pop("__metadata__", {})
    ends = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
    if Path(path).stat().st_size != 8 + len(raw) + ends:
        raise ValueError("not as long as its header says")
    return about.get(KEY)


def _tensors_digest(path):
    with open(path, "rb") as file:
        header = _tensors_header(file)
        entry = _tensors_entry(json.loads(header)["__metadata__"][KEY])
        if header.count(entry) != 1:
            raise _rewritten(path)
        header = header.replace(entry, b"").rstrip(b" ")
        header += b" " * (-len(header) % 8)  # as the library does: the numbers begin at a multiple of 8
        digest = hashlib.sha256(len(header).to_bytes(8, "little") + header)
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


# Parquet


def write_table(table: "pyarrow.Table", path: Path | str, stamp: dict[str, Any] | None = None) -> None:
    """Write a pyarrow table as Parquet, with `stamp`, a dict, if one is given."""
    from pyarrow import parquet

    with parquet.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        if stamp is not None:  # not of the schema, which would be kept twice
            writer.add_key_value_metadata({KEY: _text(stamp)})


def _parquet_text(path):
    from pyarrow import parquet

    text = (parquet.read_metadata(path).metadata or {}).get(KEY.encode())
    return None if text is None else text.decode()


def _parquet_digest(path):
    from pyarrow import parquet

    size = Path(path).stat().st_size
    with open(path, "rb") as file:
        file.seek(size - 8)
        length = int.from_bytes(file.read(4), "little")
        file.seek(size - 8 - length)
        footer = _without_pair(file.read(length), parquet.read_metadata(path).metadata)
        if footer is None:
            raise _rewritten(path)
        digest, left = hashlib.sha256(), size - 8 - length
        file.seek(0)
        while left:
            block = file.read(min(_BLOCK, left))
            digest.update(block)
            left -= len(block)
    digest.update(footer + len(footer).to_bytes(4, "little") + _MAGIC)
    return digest.hexdigest()


def _without_pair(footer, pairs):
    """Return the footer of a Parquet file without our one of its `pairs`, or None if it is not as we write it.

    The pairs (key and value) stand in it in Thrift's compact protocol: a list of structs of two fields of bytes.
    """
    structs = {key: b"\x18" + _sized(key) + b"\x18" + _sized(value) + b"\x00" for key, value in pairs.items()}
    order = sorted(structs, key=lambda key: footer.find(structs[key]))
    whole, rest = (_list([structs[key] for key in order if key not in left_out]) for left_out in ((), (KEY.encode(),)))
    return footer.replace(whole, rest) if footer.count(whole) == 1 else None


def _list(structs):
    count = len(structs)
    return (bytes([count << 4 | 12]) if count < 15 else b"\xfc" + _varint(count)) + b"".join(structs)


def _sized(text):
    return _varint(len(text)) + text


def _varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


# HDF5


def stamp_hdf5(file: "h5py.File", stamp: dict[str, Any] | None) -> None:
    """Put `stamp`, a dict or None for nothing, into an open HDF5 file that keeps the order of its attributes.

    Only such a file (`track_order`) takes an attribute of more than 64 KB.
    """
    if stamp is None:
        return
    import h5py
    import numpy as np

    text = _text(stamp).encode()
    fixed = h5py.string_dtype("utf-8", len(text))  # other text lies in a heap without checksums
    file.attrs.create(KEY, np.array(text, dtype=fixed), dtype=fixed)


def _hdf5_text(path):
    import h5py

    with h5py.File(path, "r") as file:
        text = file.attrs.get(KEY)
    return text if text is None or isinstance(text, str) else bytes(text).decode()


def _hdf5_digest(path):
    import h5py

    digest = hashlib.sha256()
    try:
        with h5py.File(path, "r") as file:
            _take(file, digest, outermost=True)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: damaged, not a readable HDF5 file ({str(error).splitlines()[0]})") from None
    return digest.hexdigest()


def _take(thing, digest, outermost=False):
    """Give all of a group or dataset to the hash `digest`, each part with its length before it."""
    import h5py

    def take(*parts):
        for part in parts:
            part = part if isinstance(part, bytes) else repr(part).encode()
            digest.update(len(part).to_bytes(8, "little") + part)

    for name in sorted(thing.attrs):
        if not (outermost and name == KEY):
            attribute = h5py.h5a.open(thing.id, name.encode())
            take("attribute", name, attribute.get_type().encode(), attribute.shape, _bytes(thing.attrs[name]))
    if isinstance(thing, h5py.Dataset):
        plist = thing.id.get_create_plist()
        filters = [plist.get_filter(index) for index in range(plist.get_nfilters())]
        if filters:
            with suppress(ImportError):  # makes compressions known that HDF5 itself lacks
                import_module("hdf5plugin")
        take("dataset", thing.id.get_type().encode(), thing.shape, thing.chunks, filters)
        rows = max(1, _PORTION * thing.shape[0] // max(1, thing.nbytes)) if thing.shape else 1
        for start in range(0, thing.shape[0], rows) if thing.shape else [()]:
            take(_bytes(thing[start : start + rows] if thing.shape else thing[()]))
        return
    for name in sorted(thing):
        link = thing.get(name, getlink=True)
        take("link", name, type(link).__name__, getattr(link, "path", None), getattr(link, "filename", None))
        if isinstance(link, h5py.HardLink):
            _take(thing[name], digest)


def _bytes(value):
    import numpy as np

    if isinstance(value, (str, bytes)) or getattr(value, "dtype", np.dtype(object)).hasobject:
        return repr(value.tolist() if isinstance(value, np.ndarray) else value).encode()  # text of any length
    return np.ascontiguousarray(value).tobytes()


_TEXTS = {"HDF5": _hdf5_text, "Parquet": _parquet_text, "safetensors": _tensors_text, "JSON": _json_stamp}
