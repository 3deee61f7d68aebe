"""What the tests of the web application share: made-up studies and servers."""

import pytest

from tests.support import stimuli_studies, web_browser
from tests.support.web_server import Inside, Server


@pytest.fixture
def study(tmp_path):
    """Return the folder of a small study; tests that need another one make it by `stimuli_studies.folder`."""
    return stimuli_studies.folder(tmp_path / "study")


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
    for item in begun:
        item.store.close()


@pytest.fixture(scope="module")
def playwright():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright):
    started, _ = web_browser.launch(playwright)
    yield started
    started.close()


@pytest.fixture
def open_page(browser):
    """Return a function that opens a page in a browser profile of its own; an error of a script fails the test."""
    contexts, errors = [], []

    def start(browser=browser, **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(error))
        return page

    yield start
    for context in contexts:
        context.close()
    assert not errors
