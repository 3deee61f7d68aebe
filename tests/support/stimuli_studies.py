"""A small study as the workflow leaves it for the web application, with made-up images."""

import io
from dataclasses import asdict

import numpy as np
from PIL import Image

from robustlaws.humans.stimuli.presentation import Presentation
from robustlaws.storage import human_tables, tables
from robustlaws.storage.atomic import write_json

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def folder(path, *, batches=2, images=4, checks=1, name="test", seed=0, secrets=0, **presentation):
    """Write the files of a bundle below the folder `path` of a study and return `path`.

    Parameters
    ----------
    path : pathlib.Path
    batches, images : int
        Batches of each of the two parts, and images of each batch.
    checks : int
        Attention checks of the study: so many first images of part 1.
    name : str
        Of the bundle.
    seed : int
        Of what can be seen.
    secrets : int
        Seed of all that must stay secret: labels, predictions, variants, indices, which images are checks.
    presentation : fields of Presentation that are not as usual.
    """
    rng, hidden = np.random.default_rng(seed), np.random.default_rng([secrets, 1])
    stimuli = [
        {"id": rng.bytes(8).hex(), "part": part, "batch": batch, "position": position, "png": _png(rng)}
        for part in (1, 2)
        for batch in range(1, batches + 1)
        for position in range(1, images + 1)
    ]
    indices, labels = hidden.permutation(1000), hidden.integers(0, 10, 1000)
    variants = ("adversarial", "clean") if secrets % 2 == 0 else ("clean", "adversarial")
    key = [
        {
            "id": item["id"],
            "split": name,
            "index": int(index),
            "variant": variants[item["part"] - 1],
            "is_attn_check": place < checks if secrets % 2 == 0 else place >= len(stimuli) - checks,
            "label": int(labels[index]),
            "clean_prediction": int(hidden.integers(0, 10)),
            "adversarial_prediction": int(hidden.integers(0, 10)),
        }
        for place, (item, index) in enumerate(zip(stimuli, indices, strict=False))
    ]
    files = path / "humans" / name
    tables.write(files / "stimuli.parquet", stimuli, human_tables.STIMULI)
    tables.write(files / "key.parquet", key, human_tables.STIMULUS_KEY)
    usual = {
        "study": "made up", "page": "single", "smooth": False, "enlarged": 256, "contact": "someone@example.org",
        "image_seconds": None, "answer_seconds": None, "classes": list(CLASSES),
        "consent": "You will see small images.\n\nYou may stop at any time.", "image": [8, 8, 3],
    }  # fmt: skip
    write_json(files / "presentation.json", asdict(Presentation(**(usual | presentation))))
    return path


def _png(rng):
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()
