"""Folders of sampled image files and the shards made from them."""

import io

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from robustlaws.generators.sampled_files import sampler as files
from robustlaws.settings import Compute, Sampling, Staging

RNG = np.random.default_rng(0)


SIZE, CLASSES = 4, 5


def some(count):
    """Return random images and labels sorted by class."""
    images = RNG.integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
    return images, np.arange(count) * CLASSES // count


def staging(kind, **changes):
    return Staging(
        **{
            "generator": "theirs",
            "format": kind,
            "image_key": "image",
            "label_key": "label",
            "image_size": SIZE,
            "channels": 3,
            "classes": CLASSES,
            **changes,
        }
    )


def sampling(count, first=0, **changes):
    kept = {"steps": None, "sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0, "labels": "balanced"}
    shape = {"classes": CLASSES, "image_size": SIZE, "channels": 3, "batch": 64, "seed": 1}
    names = {"dataset": "theirs", "generator": "theirs", "sampler": "files"}
    return Sampling(**{**names, **kept, **shape, "first": first, "count": count, **changes})


def staged(folder, paths, kind, **changes):
    asked = {key: changes.pop(key) for key in ("compute",) if key in changes}
    files.stage(
        sample_paths=paths,
        samples_path=folder / "samples.h5",
        state_path=folder / "state",
        settings=staging(kind, **changes),
        compute=asked.get("compute", Compute()),
    )
    return folder / "samples.h5"


def sampler(index, count, **changes):
    return files.Sampler({"samples": index}, sampling(count, **changes), None)


def encoded(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def stored(folder, images, labels):
    np.savez(folder / "a.npz", image=images, label=labels)
    return folder / "a.npz", "npz"


def deflated(folder, images, labels):
    np.savez_compressed(folder / "b.npz", image=images, label=labels)
    return folder / "b.npz", "npz"


def contiguous(folder, images, labels):
    with h5py.File(folder / "c.h5", "w", userblock_size=512) as file:
        file["image"], file["label"] = images, labels.astype(np.uint8)
    return folder / "c.h5", "hdf5"


def chunked(folder, images, labels):
    with h5py.File(folder / "d.h5", "w") as file:
        file.create_dataset("image", data=images, chunks=(7, SIZE, SIZE, 3), compression="gzip")
        file["label"] = labels
    return folder / "d.h5", "hdf5"


def pictures(folder, images, labels):
    for k, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / "e" / str(label) / f"{k:06}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(image))
    return folder / "e", "folder"


def parquet(folder, images, labels):
    table = pa.table({"image": [{"bytes": encoded(each), "path": None} for each in images], "label": labels})
    pq.write_table(table, folder / "f.parquet", row_group_size=30)
    return folder / "f.parquet", "parquet"


KINDS = [stored, deflated, contiguous, chunked, pictures, parquet]


each_kind = pytest.mark.parametrize("write", KINDS, ids=lambda write: write.__name__)
