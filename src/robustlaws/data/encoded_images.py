"""Encoded images: single files, class folders, and the hub's Parquet layout."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ENDINGS = (".png", ".jpg", ".jpeg")
_ROWS = 256  # of Parquet decoded at once


def decoded(data: bytes, where: object, size: int | None = None) -> np.ndarray:
    """Return one picture as a uint8 array (height, width, channels); 1 channel if it is grey, else 3.

    Parameters
    ----------
    data : bytes
        PNG or JPEG.
    where : str
        Where it comes from, for the error.
    size : int, optional
        Pixels a side to bring it to: its central square, shrunk by the mean over the area of each new pixel
        (a box filter, which leaves no moire) or enlarged bicubically.

    Raises
    ------
    ValueError
        If it is no such picture, or has transparency or more than 8 bits.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as opened:
            mode, palette_is_plain = opened.mode, "transparency" not in opened.info
            picture = opened.convert({"1": "L", "P": "RGB"}.get(mode, mode))
    except (OSError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError) as error:
        raise ValueError(f"{where}: not an image ({error})") from None
    if picture.mode not in ("L", "RGB") or not palette_is_plain:
        raise ValueError(f"{where}: a picture of kind {mode}; grey or RGB of 8 bits without transparency is read")
    if size is not None:
        picture = _scaled(picture, size)
    pixels = np.array(picture)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _scaled(picture, size):
    from PIL import Image

    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    how = Image.Resampling.BOX if side >= size else Image.Resampling.BICUBIC
    return picture.resize((size, size), how, box=(left, top, left + side, top + side))


def check_alike(pixels: np.ndarray, first: tuple[int, ...], where: object) -> None:
    """Raise ValueError unless a picture has the shape `first` (height, width, channels) of the first one."""
    if pixels.shape != tuple(first):
        raise ValueError(f"{where}: {_words(pixels.shape)}; {_words(first)} wanted, as the first has or the study says")


def _words(shape):
    height, width, channels = shape
    return f"{width}x{height} pixels {'in colour' if channels == 3 else 'in grey'}"


def class_folders(folder: Path | str) -> list[tuple[str, Path]]:
    """Return the classes of a folder of pictures, in order, as a list of (name, folder).

    One folder stands for each class, ordered by name, or as numbers if all names are numbers.

    Raises
    ------
    ValueError
        If there is no such folder or no folder in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; a folder with one folder of pictures for each class is wanted")
    folders = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    if not folders:
        raise ValueError(f"{folder}: no folder in it; one folder of pictures for each class is wanted")
    numbers = all(path.name.isascii() and path.name.isdigit() for path in folders)
    folders.sort(key=lambda path: (int(path.name) if numbers else 0, path.name))
    return [(path.name, path) for path in folders]


def pictures_in(folder: Path | str) -> list[Path]:
    """Return the paths of the pictures in `folder` itself, sorted by name; ValueError if it has none."""
    pictures = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    if not pictures:
        raise ValueError(f"{folder}: no picture in it; files ending in {', '.join(ENDINGS)} are read")
    return pictures


class Hub:
    """A Parquet file in the public hub's image layout.

    One column is a struct with the encoded image in `bytes`, one holds the class.

    Parameters
    ----------
    path : path
    image_column, label_column : str

    Attributes
    ----------
    class_names : tuple of str
        From the schema's metadata; empty if they do not stand there.

    Raises
    ------
    ValueError
        If the file is no Parquet file or lacks one of the columns.
    """

    def __init__(self, path: Path | str, image_column: str, label_column: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path, self.image_column, self.label_column = path, image_column, label_column
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{path}: not a readable Parquet file ({error})") from None
        schema = self._file.schema_arrow
        if missing := sorted({image_column, label_column} - set(schema.names)):
            raise ValueError(f"{path}: no column {missing[0]!r}; it has {', '.join(schema.names)}")
        about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        self.class_names = tuple(about.get("info", {}).get("features", {}).get(label_column, {}).get("names", ()))

    def __len__(self) -> int:
        return self._file.metadata.num_rows

    def labels(self) -> Iterator[np.ndarray]:
        """Yield the classes in blocks, integer (rows,)."""
        for batch in self._batches(self.label_column, 0):
            column = batch.column(0)
            if column.null_count:
                raise ValueError(f"{self.path}: {column.null_count} rows without a {self.label_column!r}")
            yield column.to_numpy(zero_copy_only=False)

    def images(self, first: int = 0) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the images from row `first` on, one by one: its row, and uint8 (height, width, channels).

        Raises
        ------
        ValueError
            Naming the row that holds no image.
        """
        for batch in self._batches(self.image_column, first):
            for cell in batch.column(0).to_pylist():
                where = f"{self.path} row {first}"
                if not isinstance(cell, dict) or not isinstance(cell.get("bytes"), bytes):
                    raise ValueError(f"{where}: not an image (no bytes in {self.image_column!r})")
                yield first, decoded(cell["bytes"], where)
                first += 1

    def _batches(self, column, first):
        """Yield record batches of one column from row `first` on, reading no row group before it."""
        import pyarrow as pa

        groups, skipped = [], 0
        for group in range(self._file.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            if not groups and skipped + rows <= first:
                skipped += rows
            else:
                groups.append(group)
        left = first - skipped
        try:
            # without a dictionary and threads: what is in memory stays a few batches
            for batch in self._file.iter_batches(_ROWS, groups, [column], use_threads=False):
                if left < batch.num_rows:
                    yield batch.slice(left)
                left = max(left - batch.num_rows, 0)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{self.path}: damaged, column {column!r} cannot be read ({error})") from None
