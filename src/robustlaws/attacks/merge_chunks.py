"""Merge the chunks of one attack into one record. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from robustlaws.attacks import record
from robustlaws.settings import AutoAttack

# Attributes that all chunks of a record share.
_SAME = ("attacks", "pyautoattack", "weights_sha256")


def gather(*, chunk_paths: Sequence[Path | str], outcome_path: Path | str, settings: AutoAttack) -> None:
    """Write the record of all chunks, with clean, per-attack and robust accuracy over all images.

    Parameters
    ----------
    chunk_paths : list of path
        Records of the chunks, in order.
    outcome_path : path
        HDF5 to write (:mod:`robustlaws.attacks.record`).
    settings : AutoAttack
        Of the whole attack.

    Raises
    ------
    ValueError
        If the files are not the chunks of these settings, each once and in order, on the same weights.
    """
    if len(chunk_paths) != settings.chunks:
        raise ValueError(
            f"{outcome_path}: {len(chunk_paths)} chunks given; {settings.images} images in chunks of {settings.chunk} "
            f"make {settings.chunks}"
        )
    parts, abouts = zip(*map(record.read, chunk_paths), strict=True)
    for chunk, (path, part, about) in enumerate(zip(chunk_paths, parts, abouts, strict=True)):
        _check(path, chunk, part, about, abouts[0], settings)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    labels, robust = columns.pop("label"), columns.pop("robust")
    names = abouts[0]["attacks"]
    right, *standing = record.standing(labels, columns["clean_prediction"], columns["broken_by"], len(names))
    attributes = {name: abouts[0][name] for name in _SAME} | {
        "clean_acc": right / len(labels),
        "robust_acc": standing[-1] / len(labels),
        "standing": standing,
        "chunk_seeds": [seed for about in abouts for seed in about["chunk_seeds"]],
    }
    record.write(outcome_path, labels, robust, columns, settings, attributes)


def _check(path, chunk, part, about, first, settings):
    again = "delete it and run again"
    if about.get("chunk") != chunk:
        raise ValueError(f"{path}: is chunk {about.get('chunk')} where chunk {chunk} belongs; give each once, in order")
    if about["settings"] != record.settings_text(settings.of_chunk(chunk)):
        raise ValueError(f"{path}: attacked under other settings; {again}")
    if not np.array_equal(part["index"], np.arange(settings.images)[chunk * settings.chunk :][: settings.chunk]):
        raise ValueError(f"{path}: does not hold the images of chunk {chunk}; {again}")
    for name in _SAME:
        if about[name] != first[name]:
            raise ValueError(f"{path}: {name} is {about[name]}, in chunk 0 {first[name]}; {again}")
