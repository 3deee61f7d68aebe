"""Read a file of answers, Parquet or CSV, and check every value."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from robustlaws.humans import CONFIDENCES, KINDS, STATUSES, VARIANTS
from robustlaws.humans.answers import cifar10h
from robustlaws.storage import human_tables

_LARGEST = 1 << 30  # bytes: some ten million answers
_NEEDED = ("annotator_id", "cifar10_test_test_idx", "variant")
_WORDS = {"kind": KINDS, "variant": VARIANTS, "confidence": CONFIDENCES, "status": STATUSES, "split": ("test", "train")}
_LONGEST = 200  # characters of a text


def load(path):
    """Return the rows of a file of answers, with the columns that it has, and `row`: their numbers from 1.

    Parameters
    ----------
    path : path
        Parquet or CSV.

    Returns
    -------
    data frame
        Columns of human_tables.ANSWERS, typed; nulls where nothing is given.

    Raises
    ------
    ValueError
        If it is no such file, or a column or value is none of the table; names the file, the row and the column.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > _LARGEST:
        raise ValueError(f"{path}: {size:,} bytes; no table of answers is larger than {_LARGEST:,}: split it up")
    with open(path, "rb") as file:
        parquet = file.read(4) == b"PAR1" or path.suffix == ".parquet"
    frame = _parquet(path) if parquet else _csv(path)
    raw = cifar10h.is_raw(frame.columns)
    _check_names(frame, path, raw)
    typed = pd.DataFrame({"row": np.arange(1, len(frame) + 1)})
    for name in frame:
        if name in human_tables.ANSWERS:
            typed[name] = _typed(frame[name], name, path, raw)
    for name in _NEEDED:
        missing = np.flatnonzero(typed[name].isna()) if name in typed else []
        if len(missing):
            raise ValueError(f"{path} row {missing[0] + 1} column {name}: empty; every answer needs one")
    return cifar10h.as_answers(typed) if raw else typed


def _parquet(path):
    try:
        return pq.read_table(path).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None


def _csv(path):
    """Return a CSV file as texts; an empty field is null."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            frame = pd.read_csv(path, dtype="str", encoding="utf-8-sig", index_col=False, keep_default_na=False)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}; save it as CSV in UTF-8") from None
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path}: empty; a header with {', '.join(_NEEDED)} and the class is needed") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        raise ValueError(f"{path}: not a readable CSV file ({str(error).splitlines()[0]})") from None
    return frame.apply(lambda texts: texts.str.strip().replace("", None))


def _check_names(frame, path, raw):
    known = [*human_tables.ANSWERS, *cifar10h.OTHER_COLUMNS]
    unknown = [str(name) for name in frame if name not in known]
    if unknown:
        raise ValueError(f"{path}: unknown column {unknown[0][:80]!r}; known: {', '.join(human_tables.ANSWERS)}")
    needed = [name for name in _NEEDED if not (raw and name == "variant")] + ["is_attn_check"] * raw
    for name in needed:
        if name not in frame:
            raise ValueError(f"{path}: column {name!r} is missing")
    if not {"chosen_label", "chosen_category"} & set(frame):
        raise ValueError(f"{path}: column 'chosen_label' or 'chosen_category' is missing")


def _typed(values, name, path, raw):
    """Return a column with its values brought to the type of human_tables.ANSWERS."""
    kind = human_tables.ANSWERS[name].kind
    values = values.reset_index(drop=True)
    if kind == "string":
        texts = values.astype("str").str.strip().where(values.notna())
        fine = texts.isna() | (texts.str.len().between(1, _LONGEST))
        _check(fine, values, name, path, f"a text of 1 to {_LONGEST} characters")
        if name in _WORDS:
            _check(texts.isna() | texts.isin(_WORDS[name]), values, name, path, f"one of {', '.join(_WORDS[name])}")
        return texts
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    given = values.notna()
    fine = ~given | np.isfinite(numbers)
    low = -np.inf if raw else human_tables.ANSWERS[name].low
    if kind == "float64":
        _check(fine & ~(numbers < low), values, name, path, "a number, 0 or more")
        return numbers
    high = human_tables.ANSWERS[name].high or 2**53  # above that a float skips whole numbers
    fine &= ~given | ((numbers == np.floor(numbers)) & (numbers >= low) & (numbers <= high))
    _check(
        fine,
        values,
        name,
        path,
        "a whole number" + ("" if raw else f", at least {low:g}") + (", 0 or 1" if high == 1 else ""),
    )
    return numbers.astype("Int64")


def _check(fine, values, name, path, wanted):
    bad = np.flatnonzero(~fine.to_numpy(dtype=bool))
    if len(bad):
        given = str(values.iloc[bad[0]])[:80]
        raise ValueError(f"{path} row {bad[0] + 1} column {name}: {given!r}; needed: {wanted}")
