"""What several unit tests share."""

import numpy as np
import pytest

from robustlaws.data import shards
from robustlaws.humans.stimuli import bundle
from robustlaws.humans.web.store import Store
from tests.support import stimuli_studies
from tests.support.stored import Clock


@pytest.fixture
def study(tmp_path):
    """Return a folder with a shard, real images and test images, 160 of each."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (160, 8, 8, 1), dtype=np.uint8)
    for name in ("real", "test", "shard"):
        shards.write(tmp_path / f"{name}.h5", images, np.arange(160) % 10, {})
    return tmp_path


@pytest.fixture
def begin(tmp_path):
    """Return a function that gives a store with participant 1, who has agreed, of a study with some settings."""
    stores = []

    def make(folder="study", **more):
        paths = bundle.locate(stimuli_studies.folder(tmp_path / folder, **more))
        store = Store(paths.database, bundle.read(paths), clock=Clock())
        stores.append(store)
        store.add(["p1"], "person")
        store.consent(1)
        return store

    yield make
    for store in stores:
        store.close()
