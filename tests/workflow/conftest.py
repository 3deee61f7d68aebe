"""A copy of the workflow in which the tiny study has been run once."""

import pytest

from tests.support.checkouts import fresh_checkout


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A checkout in which the tiny study is finished; tests must leave its results as they are."""
    checkout = fresh_checkout(tmp_path_factory.mktemp("finished") / "checkout")
    done = checkout.snakemake()
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout


@pytest.fixture
def checkout(finished):
    """The finished checkout with its config and files back in order after the test."""
    yield finished
    finished.configure()
