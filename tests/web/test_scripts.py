"""What the scripts of the pages do when something goes another way than usual."""

import itertools
import re
import time

import pytest

from tests.support import stimuli_studies, web_browser
from tests.support.web_browser import agree_by_keyboard, by_keyboard, changed, come_in, token
from tests.support.web_server import codes

pytestmark = pytest.mark.skipif(web_browser.CHROMIUM is None, reason="no chromium")
playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Return a server that these tests share; each has a participant of its own."""
    from tests.support.web_server import Server

    server = Server(stimuli_studies.folder(tmp_path_factory.mktemp("scripts") / "study", batches=1, images=5))
    yield server
    server.kill()


_numbers = itertools.count()


@pytest.fixture
def at_work(open_page, running):
    """Return a page of a new participant, at the first image."""
    page, name = open_page(), f"s{next(_numbers)}"
    come_in(page, running.address, codes(running.study, name)[name])
    agree_by_keyboard(page)
    return page


def answer(page, *chosen):
    """Answer the images that follow."""
    for item in chosen:
        before = token(page)
        by_keyboard(page, item, "low")
        changed(page, before)


def late(route):
    """Answer as a server does whose time for an image was over."""
    response = route.fetch()
    route.fulfill(response=response, json=response.json() | {"late": True})


def at(page, position):
    """Wait until the page is at an image of a batch of 5."""
    page.get_by_role("progressbar", name=f"Image {position} of 5").wait_for()


def press(page, key, code, **more):
    """Press a key of a keyboard with other letters than Chromium's own."""
    event = {"key": key, "code": code, "bubbles": True, "cancelable": True, **more}
    page.evaluate("event => document.body.dispatchEvent(new KeyboardEvent('keydown', event))", event)


@pytest.mark.parametrize("way", ["keyboard", "mouse", "mouse, slow server"])
def test_a_double_press_of_undo_takes_back_one_answer(at_work, way):
    answer(at_work, 1, 2, 3)
    asked = []
    at_work.on("request", lambda request: asked.append(request.url) if request.url.endswith("/undo") else None)

    def slowly(route):
        time.sleep(0.3)
        route.continue_()

    if "slow" in way:
        at_work.route("**/undo", slowly)
    if way == "keyboard":
        at_work.keyboard.press("u")
        at_work.keyboard.press("u")
    else:
        at_work.get_by_role("button", name="Undo").dblclick(delay=50, no_wait_after=True)
    at(at_work, 3)
    at_work.wait_for_timeout(600)
    at(at_work, 3)
    assert len(asked) == 1
    at_work.keyboard.press("u")  # once more is meant
    at(at_work, 2)


def test_undo_after_a_break_is_pressed_once_too(at_work):
    answer(at_work, 1, 2, 3, 4)
    by_keyboard(at_work, 5, "low")
    at_work.get_by_role("heading", name="Part 1 of 2 is done").wait_for()
    at_work.reload()  # a page of its own, with its scripts
    at_work.locator(".scripted").wait_for()
    at_work.get_by_role("button", name="Undo").dblclick(delay=50, no_wait_after=True)
    at(at_work, 5)
    at_work.wait_for_timeout(600)
    at(at_work, 5)
    answer(at_work)
    by_keyboard(at_work, 6, "low")  # the page that came in its place works
    at_work.get_by_role("heading", name="Part 1 of 2 is done").wait_for()


def test_scripts_report_a_late_answer_and_go_on(at_work):
    at_work.route("**/answers", late)
    answer(at_work, 1)
    at_work.get_by_text("The time for the previous image was over").wait_for()
    at(at_work, 2)
    at_work.unroute("**/answers")
    answer(at_work, 1)
    assert at_work.get_by_text("was over").count() == 0


def test_scripts_report_a_late_answer_at_its_image(open_page, serve, tmp_path):
    study = stimuli_studies.folder(tmp_path / "study", batches=1, images=2, page="batch")
    page = open_page()
    come_in(page, serve(study).address, codes(study, "ann")["ann"])
    agree_by_keyboard(page)
    page.route("**/answers", late)
    by_keyboard(page, 1, "low")
    playwright_api.expect(page.locator("#image-1").get_by_role("status")).to_have_text(
        re.compile("this image was over")
    )
    by_keyboard(page, 1, "low")
    page.get_by_role("heading", name="Part 1 of 2 is done").wait_for()
    page.get_by_text("The time for the previous image was over").wait_for()


@pytest.mark.parametrize(
    ("status", "expected"),
    [(503, "the server has a problem (503)"), (429, "the server asks to wait"), (None, "the server cannot be reached")],
)
def test_why_an_answer_is_not_saved_yet_is_said_as_it_is(at_work, status, expected):
    def fail(route):
        if status is None:
            route.abort()
        else:
            route.fulfill(status=status, json={"error": "no"}, headers={"Retry-After": "1"})

    before = token(at_work)
    at_work.route("**/answers", fail)
    by_keyboard(at_work, 4, "high")
    at_work.get_by_text(f"Not saved yet: {expected}. Trying again").wait_for()
    at_work.unroute("**/answers")
    changed(at_work, before)
    at(at_work, 2)


def test_scripts_promise_no_saving_under_a_time_limit(open_page, serve, tmp_path):
    study = stimuli_studies.folder(tmp_path / "study", batches=1, images=2, answer_seconds=60.0)
    page = open_page()
    come_in(page, serve(study).address, codes(study, "ann")["ann"])
    page.get_by_text("An answer counts if it reaches the server in that time").wait_for()
    agree_by_keyboard(page)
    page.route("**/answers", lambda route: route.abort())
    by_keyboard(page, 4, "high")
    page.get_by_text("What arrives after the time for an image does not count").wait_for()


def test_scripts_fetch_an_early_failed_image_again(at_work):
    failures = []

    def fail_once(route):
        failures.append(route.request.url)
        if len(failures) == 1:
            route.fulfill(status=503)
        else:
            route.continue_()

    def wait(route):
        for _ in range(500):
            if failures:
                break
            at_work.wait_for_timeout(20)
        at_work.wait_for_timeout(300)
        route.continue_()

    at_work.route("**/images/*", fail_once)
    at_work.route("**/static/timing.js", wait)
    at_work.reload()
    at_work.wait_for_function("() => document.images[0].naturalWidth > 0", timeout=10_000)
    assert len(failures) == 2


def test_scripts_wait_for_images_further_down_the_page(open_page, serve, tmp_path):
    study = stimuli_studies.folder(tmp_path / "study", batches=1, images=60, page="batch", enlarged=600)
    page, asked = open_page(viewport={"width": 700, "height": 600}), []
    come_in(page, serve(study).address, codes(study, "ann")["ann"])
    page.on("request", lambda request: asked.append(request.url) if "/images/" in request.url else None)
    agree_by_keyboard(page)
    page.wait_for_timeout(500)
    assert 0 < len(asked) < 60
    assert page.get_by_text("The image does not come").count() == 0
    assert len(asked) == len(set(asked))


def test_digits_are_keys_where_they_are_behind_shift(at_work):
    checked = at_work.locator(".answer input:checked")
    for key, code, chosen in (
        ("é", "Digit2", "1"),
        ("à", "Digit0", "9"),
        ("&", "Digit1", "0"),
        ("Dead", "Digit3", "2"),
    ):
        press(at_work, key, code)
        assert checked.get_attribute("value") == chosen
    press(at_work, "!", "Digit9", shiftKey=True)  # is that character
    assert checked.get_attribute("value") == "2"
    press(at_work, "5", "Digit8", shiftKey=True)  # and this is that digit, wherever it is
    assert checked.get_attribute("value") == "4"
    press(at_work, "1", "Numpad1")
    assert checked.get_attribute("value") == "0"


def test_keys_of_one_character_can_be_turned_off_and_stay_off(open_page, running):
    page = open_page(viewport={"width": 1280, "height": 800})
    come_in(page, running.address, codes(running.study, "off")["off"])
    page.get_by_role("checkbox", name="Use keys of one character").uncheck()
    agree_by_keyboard(page)
    for key in ("3", "h", "l"):
        page.keyboard.press(key)
    assert page.locator(".answer input:checked").count() == 0
    assert page.locator(".answer .state").inner_text() == ""
    assert not page.locator(".answer kbd").first.is_visible()
    page.get_by_role("radio", name="cat").check()
    page.locator(".picture").focus()
    before = token(page)
    page.keyboard.press("ArrowRight")  # no character
    changed(page, before)
    page.reload()
    page.locator(".scripted .answer").wait_for()
    switch = page.get_by_role("checkbox", name="Keys")
    assert not switch.is_checked()
    switch.check()
    assert page.locator(".answer kbd").first.is_visible()
    answer(page, 4)
    at(page, 3)


def test_a_browser_that_keeps_nothing_can_turn_the_keys_off_too(open_page, running):
    page = open_page(viewport={"width": 1280, "height": 800})
    page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('no') }})")
    come_in(page, running.address, codes(running.study, "forgets")["forgets"])
    agree_by_keyboard(page)
    answer(page, 1)
    page.get_by_role("checkbox", name="Keys").uncheck()
    page.keyboard.press("3")
    assert page.locator(".answer input:checked").count() == 0


def test_the_organiser_is_told_why_the_numbers_are_old(open_page, running):
    page = open_page(viewport={"width": 1280, "height": 800})
    page.clock.install()
    come_in(page, running.address, running.organiser)
    page.get_by_role("button", name="Leave").wait_for()
    status = page.locator(".updated")

    def says(text):
        page.clock.fast_forward(11_000)
        playwright_api.expect(status).to_contain_text(text)

    says("As of")
    page.route("**/organiser", lambda route: route.fulfill(status=503))
    says("The server has a problem (503)")
    page.route("**/organiser", lambda route: route.abort())
    says("The server cannot be reached")
    page.unroute("**/organiser")
    page.context.clear_cookies()
    says("Your session has ended")
    status.get_by_role("link", name="Enter your code again").click()
    page.get_by_role("textbox", name="Your code").wait_for()
