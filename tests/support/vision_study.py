"""Stimuli of a small study, for the tests of the vision model."""

import base64
import hashlib
import io
import json
from dataclasses import replace

import numpy as np
from PIL import Image

from robustlaws.data import shards
from robustlaws.humans.vision_models import participant, requests
from robustlaws.humans.vision_models.participant import ask
from robustlaws.settings.humans import Asking, VisionModel
from robustlaws.storage import human_tables, tables
from tests.support.openai_server import completion

NAMES = ["cat", "dog", "racing car", "car"]
SETTINGS = VisionModel(
    name="seer", model="seer-1", address="http://127.0.0.1:9/v1", variants=("adversarial", "clean"),
    images=None, enlarged=60, smooth=False, parameters={"temperature": 0},
)  # fmt: skip
ASKING = Asking(key="SEER_KEY", concurrency=3, attempts=3, timeout=5.0)
KEY = "sk-very-secret-0123456789"
CAT = {"body": completion("Whiskers.\ncat, high")}


class Stimuli:
    """`count` images of both variants and one attention check of each, in batches of 4, in a folder."""

    def __init__(self, folder, count=6, class_names=NAMES):
        rng = np.random.default_rng(3)
        self.folder = folder
        self.labels = np.arange(count + 1) % len(NAMES)
        self.clean = rng.integers(0, 256, (count + 1, 8, 8, 3), dtype=np.uint8)
        self.pixels = {"clean": self.clean, "adversarial": self.clean ^ np.uint8(1)}
        about = {"class_names": class_names} if class_names else {}
        shards.write(folder / "images.h5", self.clean, self.labels, about)
        stimuli, key, self.order = [], [], []
        for part, variant in enumerate(("adversarial", "clean"), start=1):
            for place, index in enumerate(rng.permutation(count + 1)):
                name = hashlib.sha256(f"{variant} {index}".encode()).hexdigest()[:16]
                file = io.BytesIO()
                Image.fromarray(self.pixels[variant][index]).save(file, "PNG")
                where = {"part": part, "batch": place // 4 + 1, "position": place % 4 + 1}
                stimuli.append({"id": name, **where, "png": file.getvalue()})
                check = bool(index == count)
                key.append(
                    {
                        "id": name,
                        "split": "test",
                        "index": int(index),
                        "variant": variant,
                        "is_attn_check": check,
                        "label": int(self.labels[index]),
                        "clean_prediction": 0,
                        "adversarial_prediction": 1,
                    }
                )
                if not check:
                    self.order.append((variant, int(index)))
        shuffled = [stimuli[i] for i in rng.permutation(len(stimuli))]  # the order is in the columns
        tables.write(folder / "stimuli.parquet", shuffled, human_tables.STIMULI)
        tables.write(folder / "key.parquet", key, human_tables.STIMULUS_KEY)
        self.answers = folder / "models" / "seer.parquet"
        self.replies = folder / "models" / "seer.replies.jsonl"

    def paths(self, **others):
        """Return the arguments of `ask` but for settings and key."""
        paths = {
            "stimuli_path": self.folder / "stimuli.parquet",
            "key_path": self.folder / "key.parquet",
            "images_path": self.folder / "images.h5",
            "prompt_paths": [],
            "replay_paths": [],
            "answers_path": self.answers,
        }
        return paths | others


def pixels_sent(body):
    """Return the picture of a request, uint8 (height, width, 3)."""
    url = body["messages"][0]["content"][1]["image_url"]["url"]
    start = "data:image/png;base64,"
    assert url.startswith(start)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url[len(start) :]))))


def hasten(monkeypatch):
    """Let no test wait long, nor leave this machine by a proxy."""
    monkeypatch.setattr(requests, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(participant, "_LOCK_SECONDS", 0.3)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def changed(**changes):
    """Return SETTINGS and ASKING with `changes`, each of them in its own."""
    own = {name: value for name, value in changes.items() if name in Asking.__dataclass_fields__}
    others = {name: value for name, value in changes.items() if name not in own}
    return replace(SETTINGS, **others), replace(ASKING, **own)


def asked(stimuli, server, key=KEY, paths=None, **changes):
    """Ask the server; return the answers."""
    settings, asking = changed(address=server.address, **changes)
    ask(**stimuli.paths(**(paths or {})), settings=settings, asking=asking, key=key)
    return tables.read(stimuli.answers, human_tables.ANSWERS)


def lines(stimuli):
    return [json.loads(line) for line in stimuli.replies.read_text(encoding="utf-8").splitlines()]


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    assert KEY not in text
    return text
