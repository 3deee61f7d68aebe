"""What several unit tests share."""

import numpy as np
import pytest

from robustlaws.data import shards


@pytest.fixture
def study(tmp_path):
    """Return a folder with a shard, real images and test images, 160 of each."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (160, 8, 8, 1), dtype=np.uint8)
    for name in ("real", "test", "shard"):
        shards.write(tmp_path / f"{name}.h5", images, np.arange(160) % 10, {})
    return tmp_path
