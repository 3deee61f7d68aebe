"""What the tests of the web application share: made-up studies and servers."""

import pytest

from tests.web import made_up
from tests.web.serving import Inside, Server


@pytest.fixture
def study(tmp_path):
    """Return the folder of a small study; tests that need another one make it by `made_up.folder`."""
    return made_up.folder(tmp_path / "study")


@pytest.fixture
def serve():
    """Return a function that starts a server process of a study (options of `robustlaws serve` may follow)."""
    servers = []

    def start(study, *options, **more):
        servers.append(Server(study, *options, **more))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def inside():
    """Return a function that gives the web application of a study in this process."""
    begun = []

    def begin(study, **more):
        begun.append(Inside(study, **more))
        return begun[-1]

    yield begin
    for one in begun:
        one.store.close()
