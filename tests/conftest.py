"""What all tests share: one torch thread, and where the recorded numbers are."""

import json
from pathlib import Path

import numpy as np
import pytest

REFERENCE = Path(__file__).parent / "reference" / "data"


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def fixture_arrays():
    """Return a function that reads one recorded archive: its arrays, and its `meta` as a dict."""

    def read(name):
        archive = np.load(REFERENCE / f"{name}.npz", allow_pickle=False)
        arrays = {key: archive[key] for key in archive.files}
        return arrays, json.loads(str(arrays.pop("meta", "{}")))

    return read
