"""Parquet tables: columns, units, and checked reading and writing.

Every table of a study goes through :func:`write` and :func:`read`. A file with a missing, surplus or mistyped column,
or a value out of range, is refused with the column's name. Units are kept in the file beside each column (Parquet field
metadata), so a table explains itself.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from robustlaws.storage import embedded, provenance
from robustlaws.storage.atomic import replacing


@dataclass(frozen=True)
class Column:
    """One column of a table.

    `kind` is "string", "int64", "float64", "bool" or "binary"; `low` and `high` bound its numbers (inclusive);
    `optional` columns may hold nulls.
    """

    kind: str
    unit: str
    meaning: str
    low: float | None = None
    high: float | None = None
    optional: bool = False


def string(meaning: str, optional: bool = False) -> Column:
    """Return a column of texts."""
    return Column("string", "", meaning, optional=optional)


def count(unit: str, meaning: str, low: float = 0) -> Column:
    """Return a column of whole numbers."""
    return Column("int64", unit, meaning, low=low)


def number(unit: str, meaning: str, low: float = 0.0, high: float | None = None, optional: bool = False) -> Column:
    """Return a column of numbers, none below 0 unless `low` says otherwise."""
    return Column("float64", unit, meaning, low, high, optional)


def perhaps(column: Column) -> Column:
    """Return a column like `column` that may hold nulls."""
    return replace(column, optional=True)


_RUN_KEYS = {
    "run": string("model/dataset/size/seed, of another recipe model@recipe/dataset/size/seed"),
    "model": string("name of the WideResNet shape in the config"),
    "dataset": string("name of the dataset or mixture trained on"),
    "size": count("images", "D asked for: training images of the run", low=1),
    "seed": count("", "seed of the run, as in the grid"),
}
# The four numbers that every evaluation gives.
LOSSES = {
    "clean_loss": number("nats", "mean cross-entropy on clean test images, no label smoothing"),
    "clean_acc": number("1", "share of clean test images classified right", high=1),
    "adv_loss": number("nats", "clean cross-entropy + beta KL(clean || attacked), PGD on the CW loss"),
    "adv_acc": number("1", "share of attacked test images classified right, PGD on the CW loss", high=1),
}

RUNS = {
    **_RUN_KEYS,
    "recipe": string("name of another recipe than the study's training; null for that", optional=True),
    "generator": string("generator of the dataset; null for mixtures of several", optional=True),
    "steps": Column("int64", "steps", "sampler steps of the dataset", low=1, optional=True),
    "fid": number("1", "FID of the dataset in the study's features; null for mixtures", optional=True),
    "real_fraction": number("1", "share of real images in each batch; 0 = purely synthetic", high=1),
    "depth": perhaps(count("layers", "WideResNet depth", low=10)),
    "width": perhaps(count("1", "WideResNet widening factor", low=1)),
    "params": count("parameters", "N: trainable parameters", low=1),
    "forward_flops": perhaps(count("FLOPs/image", "one eval-mode forward pass of one image", low=1)),
    "images": count("images", "D: images drawn during training", low=1),
    "flops": number(
        "FLOPs", "training FLOPs, as the paper charges them: (7 + 2 attack steps) x forward_flops x images"
    ),
    "flops_spent": number("FLOPs", "training FLOPs of the passes really made", optional=True),
    # null where a table from elsewhere does not say; only `adv_loss` makes a run one for the laws
    **{name: perhaps(column) for name, column in LOSSES.items()},
    "test_images": perhaps(count("images", "test images behind the four numbers before", low=1)),
    "autoattack_acc": number("1", "robust accuracy under AutoAttack; null where not run", high=1, optional=True),
    "autoattack_images": Column(
        "int64", "images", "test images behind autoattack_acc; null where not run", low=1, optional=True
    ),
    "autoattack_weights": string("weights that AutoAttack met: last or best; null where not run", optional=True),
}

CURVES = {
    **_RUN_KEYS,
    "train_fraction": number("1", "share of the run's images seen", high=1),
    "images": count("images", "training images seen so far"),
    "flops": number("FLOPs", "training FLOPs so far, as the paper charges them"),
    "flops_spent": number("FLOPs", "training FLOPs of the passes really made", optional=True),
    **{name: column if name == "adv_loss" else perhaps(column) for name, column in LOSSES.items()},
    "test_images": perhaps(count("images", "test images behind the four numbers before", low=1)),
    "train_loss": number("nats", "mean TRADES loss over the batches since the last row", optional=True),
    "learning_rate": number("1", "learning rate of the step before this row", optional=True),
}

ATTACKS = {
    "victim": string("run (model/dataset/size/seed) or checkpoint"),
    "kind": string("run or checkpoint"),
    "weights": string("last or best of a run, imported"),
    "attack": string(
        "clean, or an attack; suite/clean and suite/attack: on the images of the suite, after this and all its "
        "attacks before"
    ),
    "images": count("images", "first test images that it was run on", low=1),
    "right": count("images", "of these classified right; within a suite, right from the start and after every attack"),
    "accuracy": number("1", "right / images; within a suite cumulative: robust accuracy after this attack", high=1),
    "low": number("1", "lower end of the exact binomial interval of the accuracy (Clopper-Pearson)", high=1),
    "high": number("1", "upper end of the exact binomial interval of the accuracy", high=1),
    "level": number("1", "coverage of the interval", high=1),
}

ALLOCATIONS = {
    "law": string("name of the law"),
    "dataset": string("dataset whose FID is meant; null for a FID of no dataset", optional=True),
    "fid": number("1", "FID that the row holds for", optional=True),
    "flops": number("FLOPs", "training budget"),
    "params": number("parameters", "N*: compute-optimal model size", optional=True),
    "params_low": number("parameters", "lower end of the interval of N*", optional=True),
    "params_high": number("parameters", "upper end of the interval of N*", optional=True),
    "images": number("images", "D*: compute-optimal training images", optional=True),
    "images_low": number("images", "lower end of the interval of D*", optional=True),
    "images_high": number("images", "upper end of the interval of D*", optional=True),
    "loss": number("nats", "L*: adversarial loss at (N*, D*)", optional=True),
    "loss_low": number("nats", "lower end of the interval of L*", optional=True),
    "loss_high": number("nats", "upper end of the interval of L*", optional=True),
    "measured": Column("bool", "", "whether flops lies within the study's own runs"),
}

PREDICTIONS = {
    "law": string("name of the law"),
    "run": string("model/dataset/size/seed"),
    "model": string("name of the WideResNet shape"),
    "dataset": string("dataset trained on"),
    "params": number("parameters", "N"),
    "images": number("images", "D at the observation"),
    "fid": number("1", "FID of the dataset"),
    "flops": number("FLOPs", "training FLOPs at the observation"),
    "loss": number("nats", "adversarial loss measured"),
    "predicted": number("nats", "adversarial loss that the law gives"),
}

REFITS = {
    "law": string("name of the law, or accuracy: the line from loss to accuracy"),
    "dataset": string("dataset that was fitted by itself; null for a law of all of them", optional=True),
    "refit": count("", "0: the fit itself; from 1 on: a refit to runs drawn with replacement"),
    "parameter": string("name as the law's form has it; 'log A' is the natural logarithm of A"),
    "value": Column("float64", "", "value of the parameter", optional=True),
}

COMPARISON = {
    "law": string("name of the law"),
    "title": string("what a reader calls the law"),
    "quantity": string("what is compared, in words"),
    "dataset": string("dataset whose FID is meant; null for a FID of no dataset, or for all", optional=True),
    "fid": number("1", "FID that the row holds for", optional=True),
    "value": Column("float64", "", "converged fit", optional=True),
    "low": Column("float64", "", "lower end of its interval", optional=True),
    "high": Column("float64", "", "upper end of its interval", optional=True),
    "determined": Column("bool", "", "whether the runs determine the value"),
    "why": string("why they do not; empty if they do"),
    "recipe": Column("float64", "", "the same runs fitted by the published recipe", optional=True),
    "printed": Column("float64", "", "as printed in the paper", optional=True),
}

APPROACHES = {
    "law": string("name of the law"),
    "title": string("what a reader calls the law"),
    "dataset": string("dataset whose FID is meant; null for FID 0", optional=True),
    "fid": number("1", "FID that the row holds for", optional=True),
    "quantity": string(
        "N_star (a), D_star (b), params, images, loss and accuracy at the budget, asymptote, accuracy_limit, "
        "flops_to_human; human_accuracy of law human"
    ),
    "budget": number("FLOPs", "budget that the quantity holds for; null where it holds for all", optional=True),
    "value": Column("float64", "", "value", optional=True),
    "low": Column("float64", "", "lower end of the interval", optional=True),
    "high": Column("float64", "", "upper end of the interval", optional=True),
    "determined": Column("bool", "", "whether the runs determine the value"),
    "why": string("why they do not; empty if they do"),
    "source": string(
        "whose accuracy the human level is, in law human and flops_to_human: set, person or simulated; null elsewhere",
        optional=True,
    ),
}

DRAWN = {
    "panel": string("title of the panel, or its number"),
    "series": string("what is drawn: a dataset, model, law, ..."),
    "kind": string("points, line, band, level, region, contour, bar or image"),
    "x": Column("float64", "", "as on the axis", optional=True),
    "y": Column("float64", "", "as on the axis", optional=True),
    "low": Column("float64", "", "lower edge of a band or error bar", optional=True),
    "high": Column("float64", "", "upper edge of a band or error bar", optional=True),
    "z": Column("float64", "", "height of a contour, or index of an image", optional=True),
    "label": string("the run or image that is meant", optional=True),
}

PROVENANCE = {
    "file": string("path within the folder of the study"),
    "bytes": count("bytes", "size of the file"),
    "sha256": string("of the whole file; null where it is too large to be read again", optional=True),
    "content": string(
        "SHA-256 of what the file holds beside its provenance, of a shard of its images and labels: equal for equal "
        "results; null as before",
        optional=True,
    ),
    # null where a file does not say: it was made before files did
    "rule": string("rule of the workflow whose job made it", optional=True),
    "wildcards": string("of that job, JSON", optional=True),
    "revision": string("of the code behind the rule", optional=True),
    "settings": string("SHA-256 of what the job was told, as JSON: equal for equal settings", optional=True),
    "seeds": string("seeds among the settings, JSON", optional=True),
    "commit": string("of the checkout; +changes: with others on top; null outside of one", optional=True),
    "versions": string("package -> version, JSON", optional=True),
    "processor": string("of the machine", optional=True),
    "cores": perhaps(count("cores", "of the machine", low=1)),
    "memory_gb": number("GB", "memory of the machine", optional=True),
    "gpus": string("of the machine, separated by semicolons; empty without", optional=True),
    "threads": perhaps(count("threads", "of the job", low=1)),
    "scheduler": string("batch system and number of the job in it; null without", optional=True),
    "start": string("when the job started, ISO 8601, UTC", optional=True),
    "end": string("when the file was finished, ISO 8601, UTC", optional=True),
    "seconds": number("s", "from start to end", optional=True),
}

_ARROW = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_(),
          "binary": pa.binary()}  # fmt: skip
_PANDAS = {"string": "str", "int64": "int64", "float64": "float64", "bool": "bool", "binary": "object"}


def _arrow_schema(columns):
    return pa.schema(
        pa.field(name, _ARROW[c.kind], nullable=c.optional, metadata={"unit": c.unit, "meaning": c.meaning})
        for name, c in columns.items()
    )


def _check_values(frame, columns, where):
    for name, column in columns.items():
        values = frame[name]
        if values.isna().any():
            if not column.optional:
                raise ValueError(f"{where} column {name}: {int(values.isna().sum())} empty values; none is allowed")
            values = values.dropna()
        if column.kind not in ("int64", "float64") or values.empty:
            continue
        numbers = values.to_numpy(dtype="float64")
        bad = ~np.isfinite(numbers)
        if column.low is not None:
            bad |= numbers < column.low
        if column.high is not None:
            bad |= numbers > column.high
        if bad.any():
            low = "-inf" if column.low is None else column.low
            high = "inf" if column.high is None else column.high
            raise ValueError(f"{where} column {name}: {numbers[bad][0]:g} is not within [{low}, {high}] {column.unit}")


def table(rows: Any, columns: dict[str, Column], where: str = "table") -> pd.DataFrame:
    """Return `rows` as a checked data frame with exactly `columns`.

    Parameters
    ----------
    rows : list of dict, or data frame
        One entry a row; missing optional columns become null.
    columns : dict of str to Column
        One of the tables of this module.
    where : str
        Name of the table in an error.

    Raises
    ------
    ValueError
        If a column is missing, unknown, mistyped or out of its range.
    """
    frame = pd.DataFrame(rows) if not isinstance(rows, pd.DataFrame) else rows.copy()
    unknown = sorted(set(frame.columns) - set(columns))
    if unknown:
        raise ValueError(f"{where}: unknown column {unknown[0]!r}; known: {', '.join(columns)}")
    for name, column in columns.items():
        if name not in frame:
            if not column.optional and len(frame):
                raise ValueError(f"{where}: column {name!r} is missing")
            frame[name] = None
        kind = _PANDAS[column.kind]
        if column.kind == "int64" and column.optional:
            kind = "Int64"
        try:
            frame[name] = frame[name].astype(kind)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where} column {name}: not {column.kind} ({error})") from None
    frame = frame[list(columns)].reset_index(drop=True)
    _check_values(frame, columns, where)
    return frame


def write(path: Path | str, rows: Any, columns: dict[str, Column]) -> None:
    """Check `rows` against `columns` and write them to `path` as Parquet, whole or not at all.

    Raises
    ------
    ValueError
        As :func:`table`; then nothing is written.
    """
    frame = table(rows, columns, str(path))
    arrow = pa.Table.from_pandas(frame, schema=_arrow_schema(columns), preserve_index=False)
    with replacing(path) as partial:
        # pandas' own metadata would carry its version into the bytes
        embedded.write_table(arrow.replace_schema_metadata(None), partial, provenance.current(path))


def read(path: Path | str, columns: dict[str, Column]) -> pd.DataFrame:
    """Return the table at `path` as a data frame, checked against `columns`.

    Raises
    ------
    ValueError
        If the file is not such a table; names the file and the column.
    """
    try:
        frame = pq.read_table(path).to_pandas()
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: not a readable Parquet file ({error})") from None
    return table(frame, columns, str(path))
