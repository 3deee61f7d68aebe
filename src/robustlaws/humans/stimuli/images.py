"""The stimuli of a bundle in their order, and the private key to them.

Reads the record of an attack and the images of its split; writes the stimuli, which a browser may have, and their key.
"""

import hashlib
import io
from itertools import count
from typing import NamedTuple

import numpy as np

from robustlaws.attacks import record
from robustlaws.data import shards
from robustlaws.humans import VARIANTS
from robustlaws.runtime.logger import log
from robustlaws.seeds import derive
from robustlaws.storage import human_tables, tables

_NEEDED = ("index", "label", "clean_prediction", "adversarial_prediction", "robust", "adversarial")


class _Shown(NamedTuple):
    """One image of the order: the row of the record, which of its versions, and whether it is a check."""

    row: int
    variant: str
    check: bool


def make(*, record_path, images_path, stimuli_path, key_path, settings):
    """Write the images that fooled a network as stimuli: part 1 the adversarial versions, part 2 the clean ones.

    Every part holds each image once, in batches of `settings.batch_images` (the last may be smaller). Its seeded order
    depends on which images fooled the network and on nothing else in the record. Attention checks, clean images that
    nothing fooled, come on top, as many in each batch, and the same ones in both parts. Pixels are rounded to 8 bits.

    Parameters
    ----------
    record_path, images_path : path
        Record of an attack (:mod:`robustlaws.attacks.record`), and the shard that its `index` counts in.
    stimuli_path, key_path : path
        Parquet files to write: human_tables.STIMULI, human_tables.STIMULUS_KEY. Both are empty where nothing fooled
        the network.
    settings : settings.Stimuli

    Raises
    ------
    ValueError
        If the record and the images do not belong together or to the settings, or the attention checks do not suffice.
    """
    attack, about = record.read(record_path)
    clean = _belonging(attack, about, record_path, images_path, settings)
    order = sorted(range(len(attack["index"])), key=lambda row: attack["index"][row])
    fooled = [row for row in order if not attack["robust"][row]]
    log.info("%s: %d of %d images fooled the network", record_path, len(fooled), len(order))
    if settings.images is not None and settings.images < len(fooled):
        rng = np.random.default_rng(derive(settings.seed, "stimuli", "images"))
        fooled = [fooled[place] for place in sorted(rng.choice(len(fooled), settings.images, replace=False))]
    unbroken = [row for row in order if attack["robust"][row]]
    pixels = {"adversarial": np.rint(attack["adversarial"] * 255.0).astype(np.uint8), "clean": clean}
    shown, key, taken = [], [], set()
    for part, variant in enumerate(VARIANTS, start=1):
        for batch, images in enumerate(_batches(fooled, unbroken, variant, record_path, settings), start=1):
            for position, image in enumerate(images, start=1):
                png = as_png(pixels[image.variant][image.row])
                name = _opaque(png, taken, settings.seed)
                shown.append({"id": name, "part": part, "batch": batch, "position": position, "png": png})
                key.append(_row(name, image, attack, settings))
    log.info("%d images are shown in each part, %d of them as attention checks", len(shown) // 2,
             sum(row["is_attn_check"] for row in key) // 2)  # fmt: skip
    tables.write(stimuli_path, shown, human_tables.STIMULI)
    tables.write(key_path, key, human_tables.STIMULUS_KEY)


def as_png(pixels):
    """Return uint8 (height, width, 1 or 3) as the bytes of a PNG that says nothing but its pixels.

    All images of one shape have one length: compressed, a noisy one would be longer, and what was attacked is noisy.
    """
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(data, format="PNG", compress_level=0)
    return data.getvalue()


def _belonging(attack, about, record_path, images_path, settings):
    """Return the clean images of the record's rows, uint8 (rows, height, width, channels), after checking the files."""
    if missing := [name for name in _NEEDED if name not in attack]:
        raise ValueError(f"{record_path}: the record has no {missing[0]}")
    if about["run"] != settings.run:
        raise ValueError(f"{record_path}: the record of {about['run']}, not of {settings.run}")
    split = shards.attributes(images_path).get("split", settings.split)
    if split != settings.split:
        raise ValueError(f"{images_path}: images of the {split} split; those of the {settings.split} split are wanted")
    images, labels = shards.read(images_path)
    index, shape = attack["index"], attack["adversarial"].shape[1:]
    if len(index) and not 0 <= index.min() <= index.max() < len(images):
        worst = index.min() if index.min() < 0 else index.max()
        raise ValueError(f"{record_path} index: image {worst} wanted, {len(images)} in {images_path}")
    if shape != images.shape[1:] or not np.array_equal(attack["label"], labels[index]):
        raise ValueError(f"{record_path}: not an attack on the images of {images_path}; give the split it was run on")
    if shape[-1] not in (1, 3):
        raise ValueError(f"{images_path}: images {shape}; those shown have 1 channel (grey) or 3 (RGB)")
    if not ((attack["adversarial"] >= 0) & (attack["adversarial"] <= 1)).all():
        raise ValueError(f"{record_path} adversarial: pixels outside [0, 1]; make the record again")
    return images[index]


def _batches(fooled, unbroken, variant, record_path, settings):
    """Return the batches of one part, lists of `_Shown` in order."""
    rng = np.random.default_rng(derive(settings.seed, "stimuli", "order", variant))
    order = [_Shown(fooled[place], variant, False) for place in rng.permutation(len(fooled))]
    size, each = settings.batch_images, settings.attention_checks
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    if each * len(batches) > len(unbroken):
        raise ValueError(
            f"attention_checks: {each} for each of {len(batches)} batches wanted, but only {len(unbroken)} images of "
            f"{record_path} held; ask for fewer, or for larger batches"
        )
    drawn = np.random.default_rng(derive(settings.seed, "stimuli", "checks"))
    checks = rng.permutation(drawn.permutation(len(unbroken))[: each * len(batches)])
    for number, batch in enumerate(batches):
        batch += [_Shown(unbroken[place], "clean", True) for place in checks[number * each : (number + 1) * each]]
        batches[number] = [batch[place] for place in rng.permutation(len(batch))]
    return batches


def _opaque(png, taken, seed):
    """Return a name for an image that reveals nothing without the seed, and add it to those `taken`.

    Equal images, such as an attacked image that did not move and its clean version, get names that differ.
    """
    secret = derive(seed, "stimuli", "ids").to_bytes(8, "little")
    for ordinal in count():
        name = hashlib.blake2b(png + ordinal.to_bytes(8, "little"), digest_size=8, key=secret).hexdigest()
        if name not in taken:
            taken.add(name)
            return name


def _row(name, image, attack, settings):
    """Return the row of the key of one shown image."""
    predictions = {column: int(attack[column][image.row]) for column in ("index", "label", "clean_prediction")}
    return {
        "id": name,
        "split": settings.split,
        **predictions,
        "variant": image.variant,
        "is_attn_check": image.check,
        "adversarial_prediction": int(attack["adversarial_prediction"][image.row]),
    }
