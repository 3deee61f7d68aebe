"""What all tests share: one torch thread, and where the recorded numbers are."""

import json
from pathlib import Path

import numpy as np
import pytest

REFERENCE = Path(__file__).parent / "reference" / "data"
LONGEST = ("workflow", "cluster")  # groups of tests that share a finished study or the machine's SLURM


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Keep the tests of a file, or of a group of files, in one process, the longest groups at the front."""
    groups = {}
    for item in items:
        mark = item.get_closest_marker("xdist_group")
        if mark is None:
            mark = pytest.mark.xdist_group(item.nodeid.split("::")[0]).mark
            item.add_marker(pytest.mark.xdist_group(*mark.args))
        groups[item] = mark.args[0]
    items.sort(key=lambda item: LONGEST.index(groups[item]) if groups[item] in LONGEST else len(LONGEST))


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
