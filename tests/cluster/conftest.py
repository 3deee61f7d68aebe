"""A SLURM for the tests of this folder."""

import pytest

from tests.support.slurm import cluster, why_not


@pytest.fixture(scope="module")
def slurm():
    """A running SLURM of two nodes; the test is skipped where there can be none."""
    if reason := why_not():
        pytest.skip(reason)
    with cluster() as running:
        yield running
