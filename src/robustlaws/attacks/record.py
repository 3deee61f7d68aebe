"""The outcome of an attack for each image, as HDF5.

Datasets, one entry per attacked image: `index` (position in its split), `label`, `clean_prediction`,
`adversarial_prediction`, `robust`, and `adversarial` (float32 NHWC in [0, 1]). `broken_by` is an index into the
attribute `attacks`; -1 where the image was misclassified when clean, or never broken. Where the attack gives them:
`clean_loss` and `adversarial_loss` (nats). Attributes: `run` (name of the run or checkpoint), `attacks`, `epsilon`,
`settings` (JSON) and the numbers that sum the record up. AutoAttack's record and its chunks' also have `standing`
(images still right after each of `attacks`), `chunk_seeds` (one a chunk), `pyautoattack` (version) and
`weights_sha256`. A chunk's own record has `chunk`, its number.
"""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from robustlaws.settings import Attack, AutoAttack, InnerAttack, PgdCw, Settings, as_params
from robustlaws.storage import embedded, provenance
from robustlaws.storage.atomic import hdf5, replacing

AttackSettings = Attack | AutoAttack | InnerAttack | PgdCw
FORMAT = "robustlaws-attack-1"


def write(
    path: Path | str,
    labels: np.ndarray,
    robust: np.ndarray,
    columns: dict[str, np.ndarray],
    settings: AttackSettings,
    attributes: dict[str, Any],
) -> None:
    """Write a record, whole or not at all.

    Parameters
    ----------
    path : path
    labels : int64 array (count,)
    robust : bool array (count,)
        Right on the clean image and on the attacked one.
    columns : dict of arrays (count, ...)
        `clean_prediction`, `adversarial_prediction`, `adversarial` and any others of the record; without
        `index` the images are the first of the split, without `broken_by` the only attack broke every
        image that was right before.
    settings : settings of the attack
    attributes : dict
        `attacks` (list of str) and the numbers that sum the record up.

    Raises
    ------
    ValueError
        If the columns are not of one length.
    """
    columns = {"index": np.arange(len(labels)), "label": labels, "robust": robust, **columns}
    clean_right = columns["clean_prediction"] == labels
    columns["robust"] = robust & clean_right
    columns.setdefault("broken_by", np.where(clean_right & ~robust, 0, -1))
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"{path}: columns of different lengths: {lengths}")
    with replacing(path) as partial, hdf5(partial, track_order=True) as file:
        for name, values in columns.items():
            file.create_dataset(name, data=values)
        about = {"run": settings.run, "epsilon": settings.threat.epsilon, "settings": settings_text(settings)}
        for name, value in {"format": FORMAT, **about, **attributes}.items():
            file.attrs[name] = value
        embedded.stamp_hdf5(file, provenance.current(path))


def settings_text(settings: Settings) -> str:
    """Return the attribute `settings` of a record made under these settings."""
    return json.dumps(as_params(settings))


def read(path: Path | str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return (columns, attributes) of the record at `path`; ValueError if it is none."""
    try:
        with h5py.File(path, "r") as file:
            names = [name for name in file.attrs if name != embedded.KEY]
            attributes = {n: v.tolist() if isinstance(v := file.attrs[n], np.ndarray) else v for n in names}
            columns = {name: values[()] for name, values in file.items()}
    except OSError as error:
        raise ValueError(f"{path}: not a readable HDF5 file ({error})") from None
    if attributes.get("format") != FORMAT:
        raise ValueError(f"{path}: not a record of an attack (no attribute format = {FORMAT})")
    return columns, attributes


def standing(labels: np.ndarray, clean_prediction: np.ndarray, broken_by: np.ndarray, count: int) -> list[int]:
    """Return the number of images that are right when clean, and after each of `count` attacks in turn.

    Parameters
    ----------
    labels, clean_prediction, broken_by : integer arrays (images,)
        As in the record.

    Returns
    -------
    list of int
        1 + `count` numbers, none larger than the one before.
    """
    right = clean_prediction == labels
    return [int(right.sum())] + [int((right & ((broken_by < 0) | (broken_by > last))).sum()) for last in range(count)]
