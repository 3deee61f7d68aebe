"""Markers, order and groups of all tests; one torch thread; the reader of recorded numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

REFERENCE = Path(__file__).parent / "reference" / "data"
# Tests that share a finished study, environments or the SLURM of the machine: one process has them all, at its start.
GROUPS = {
    "tests/workflow/": "workflow",
    "tests/cluster/": "cluster",
    "tests/conda/test_on_slurm.py": "cluster",
    "tests/conda/": "conda",
}
# Markers of whole folders and files, and of what a fixture starts; `slow`: over about 5 seconds.
MARKED = {
    "tests/workflow/": "slow",
    "tests/conda/": "slow",
    "tests/cluster/": "cluster",
    "tests/conda/test_on_slurm.py": "cluster",
    "tests/web/test_crowd.py": "slow",
    "tests/unit/training/test_loop_kills.py": "slow",
    "tests/unit/training/test_distributed.py": "slow",
    "tests/unit/training/test_loop_gpu.py": "gpu",
    "tests/unit/laws/test_published_recipe.py": "slow",
    "tests/unit/networks/test_foreign_checkpoint": "slow",
    "tests/unit/fit_table/test_pipeline.py": "slow",
    "tests/unit/report/test_explorer_browser.py": "browser",
    "tests/web/test_browser.py": "browser",
    "tests/web/test_scripts.py": "browser",
}
MARKED_FIXTURES = {"slurm": "cluster", "playwright": "browser", "browser": "browser", "chromium": "browser"}


def _group(nodeid):
    """Return the group of a test: one of GROUPS, else its file."""
    return next((group for start, group in GROUPS.items() if nodeid.startswith(start)), nodeid.split("::")[0])


@pytest.hookimpl(tryfirst=True)  # before -m selects by marker
def pytest_collection_modifyitems(items):
    order = list(dict.fromkeys(GROUPS.values()))
    for item in items:
        names = {mark for start, mark in MARKED.items() if item.nodeid.startswith(start)}
        names |= {mark for fixture, mark in MARKED_FIXTURES.items() if fixture in item.fixturenames}
        for name in sorted(names):
            item.add_marker(name)
    items.sort(key=lambda item: order.index(group) if (group := _group(item.nodeid)) in order else len(order))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Hand out tests by group, where they run in several processes."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return _group(nodeid)

    return ByGroup(config, log)


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
