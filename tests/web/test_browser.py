"""The web application in a browser: by keyboard, by touch, without scripts, without a network, without a server."""

import json
import re

import pytest

from robustlaws.humans.stimuli import bundle
from robustlaws.storage import human_tables, tables
from tests.support import stimuli_studies, web_browser
from tests.support.web_browser import (
    agree_by_keyboard,
    by_keyboard,
    by_touch,
    changed,
    come_in,
    image,
    opinion,
    token,
    work,
)
from tests.support.web_server import codes

pytestmark = pytest.mark.skipif(web_browser.CHROMIUM is None, reason="no chromium")
playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")

FIRST_INDEX = 734_120_057  # of the made-up key: a number that comes from nowhere else


def exported(study):
    """Return {participant: {id of the image: (class, confidence)}} from the exported table and the key."""
    paths = bundle.locate(study)
    key = tables.read(paths.key, human_tables.STIMULUS_KEY)
    ids = dict(zip(zip(key["index"], key["variant"], strict=True), key["id"], strict=True))
    results = {}
    for row in tables.read(paths.table, human_tables.ANSWERS).itertuples():
        answers = results.setdefault(row.annotator_id, {})
        name = ids[row.cifar10_test_test_idx, row.variant]
        assert name not in answers, "twice in the table"
        answers[name] = (int(row.chosen_label), row.confidence)
    return results


def with_marked_key(study):
    """Give the images of a made-up study indices that can be searched for; return the study."""
    path = bundle.locate(study).key
    key = tables.read(path, human_tables.STIMULUS_KEY)
    key["index"] = range(FIRST_INDEX, FIRST_INDEX + len(key))
    tables.write(path, key.to_dict("records"), human_tables.STIMULUS_KEY)
    return study


def test_browser_two_people_finish_one_after_a_crash(playwright, open_page, serve, tmp_path):
    study = with_marked_key(stimuli_studies.folder(tmp_path / "study", batches=1, images=50))
    code = codes(study, "ann", "bob")
    server = serve(study)
    with web_browser.tapped(server) as tap:
        doomed, process = web_browser.launch(playwright)
        ann = doomed.new_context(viewport={"width": 1280, "height": 800}).new_page()
        bob = open_page(**web_browser.PHONE)
        come_in(ann, tap.address, code["ann"])
        agree_by_keyboard(ann)
        come_in(bob, tap.address, code["bob"])
        bob.get_by_role("checkbox", name="I agree").tap()
        bob.get_by_role("button", name="Begin").tap()
        bob.locator(".scripted .answer").wait_for()
        fits_a_thumb(bob)

        ann_works = work(ann, 0, by_keyboard, lambda page: page.keyboard.press("Enter"))
        bob_works = work(bob, 7, by_touch, lambda page: page.get_by_role("button", name="Continue").tap())
        for answered, _ in zip(ann_works, bob_works, strict=False):
            if answered == 23:
                break
        at = image(ann)
        ann.keyboard.press("3")  # and before the confidence, the crash
        process.kill()
        process.wait()

        ann = open_page(viewport={"width": 1280, "height": 800})
        come_in(ann, tap.address, code["ann"])
        ann.locator(".scripted .answer").wait_for()
        assert ann.get_by_role("progressbar", name="Image 24 of 50").get_attribute("value") == "23"
        assert image(ann) == at
        assert ann.locator(".answer input:checked").count() == 0
        ann_works = work(ann, 0, by_keyboard, lambda page: page.keyboard.press("Enter"))
        assert sum(1 for _ in zip(ann_works, bob_works, strict=True)) == 77
        for page in (ann, bob):
            assert page.get_by_role("progressbar", name="100 of 100").count() == 1
        assert server.stop() == 0
        responses = tap.responses()

    names = bundle.read(bundle.locate(study)).ids
    assert exported(study) == {
        who: {name: opinion(name, number) for name in names} for who, number in {"ann": 0, "bob": 7}.items()
    }
    nothing_secret(responses, study)


def fits_a_thumb(page):
    """Check that image and buttons are on one screen of a phone, and large enough to touch."""
    boxes = [item.bounding_box() for item in page.locator(".picture img, .confidence button").all()]
    assert boxes[0]["y"] >= 0
    assert max(box["y"] + box["height"] for box in boxes) <= web_browser.PHONE["viewport"]["height"]
    assert min(min(item.bounding_box()["height"], item.bounding_box()["width"])
               for item in page.locator(".choice, button:visible").all()) >= 44  # fmt: skip


def nothing_secret(responses, study):
    """Check all that browsers received for what they must not know."""
    pngs = set(bundle.read(bundle.locate(study)).png.values())
    assert len([item for item in responses if item.body in pngs]) >= 200  # the tap does hear
    fields = set()
    for status, head, body in responses:
        assert status < 400, head
        if "application/json" in head:
            fields |= json.loads(body).keys()
        if "image/png" in head:
            assert body in pngs, head
            body = b""
        text = re.sub(r'name="(token|csrf)" value="[\w-]+"|set-cookie: \S+|</?label\b', "", head + body.decode("utf-8"))
        for word in ("adversarial", "clean", "attack", "label", "prediction", "variant", str(FIRST_INDEX)[:6], "attn"):
            assert word not in text.lower(), (word, head, body)
    assert fields == {"recorded", "answered", "images", "batch_complete"}


def test_browser_batch_page_saves_answers_across_an_outage(open_page, serve, tmp_path):
    study = stimuli_studies.folder(tmp_path / "study", batches=1, images=6, page="batch", smooth=True)
    server = serve(study)
    page = open_page(viewport={"width": 1280, "height": 800})
    come_in(page, server.address, codes(study, "ann")["ann"])
    agree_by_keyboard(page)
    assert not web_browser.problems(page)
    rendering = page.locator(".picture img").evaluate_all("all => all.map(one => getComputedStyle(one).imageRendering)")
    assert rendering == ["auto"] * 6

    def card(position):
        return page.locator(f"#image-{position}")

    def output(position, text):
        playwright_api.expect(card(position).get_by_role("status")).to_contain_text(text)

    card(1).get_by_role("radio", name="cat").press("Space")
    page.keyboard.press("Enter")  # on a choice: goes on to the confidence
    playwright_api.expect(card(1).get_by_role("button", name="Low")).to_be_focused()
    by_keyboard(page, 4, "high")
    output(1, "Saved")
    playwright_api.expect(card(2)).to_have_class(re.compile("current"))
    page.keyboard.press("u")
    playwright_api.expect(card(1).get_by_role("status")).to_be_empty()
    assert card(1).locator(".answer input:checked").count() == 0
    by_keyboard(page, 8, "low")
    output(1, "Saved")

    page.context.set_offline(True)
    by_keyboard(page, 2, "high")
    card(4).locator(".choice", has_text="dog").click()
    card(4).get_by_role("button", name="High").click()
    for position in (2, 4):
        output(position, "Not saved yet")
    assert page.get_by_text("2 not saved yet").count() == 1
    assert leaving_is_asked_about(page)
    page.context.set_offline(False)
    for position in (2, 4):
        output(position, "Saved")
    assert not leaving_is_asked_about(page)

    page.reload()
    answers = page.locator(".answer input:checked").evaluate_all("all => all.map(one => [one.form.id, one.value])")
    assert answers == [["image-1", "8"], ["image-2", "2"], ["image-4", "5"]]
    assert page.get_by_role("progressbar", name="3 of 6 answered").get_attribute("value") == "3"
    page.keyboard.press("ArrowDown")  # from image 3 on to 5, the next that is open
    by_keyboard(page, 0, "low")
    output(5, "Saved")
    for _ in range(2):
        by_keyboard(page, 1, "low")
    page.get_by_role("heading", name="Part 1 of 2 is done").wait_for()


def leaving_is_asked_about(page):
    return not page.evaluate("dispatchEvent(new Event('beforeunload', {cancelable: true}))")


def test_an_answer_waits_for_a_server_that_is_away(open_page, serve, tmp_path):
    study = stimuli_studies.folder(tmp_path / "study", batches=1, images=3)
    server = serve(study)
    page = open_page()
    come_in(page, server.address, codes(study, "ann")["ann"])
    agree_by_keyboard(page)
    before, name = token(page), image(page)
    server.kill()
    by_keyboard(page, 6, "high")
    playwright_api.expect(page.locator(".answer").get_by_role("status")).to_contain_text("Not saved yet")
    assert page.get_by_role("radio", name="frog").is_checked()
    by_keyboard(page, 1, "low")  # what may have arrived already is not changed
    assert page.get_by_role("radio", name="frog").is_checked()
    server = serve(study, port=server.port)
    changed(page, before)
    page.keyboard.press("Backspace")
    page.wait_for_function("name => document.images[0].src.endsWith(name)", arg=name)
    by_keyboard(page, 7, "low")
    page.get_by_role("progressbar", name="Image 2 of 3").wait_for()

    other, second = page.context.new_page(), image(page)  # the same participant in another tab
    other.goto(f"{server.address}/work")
    other.locator(".scripted .answer").wait_for()
    by_keyboard(other, 2, "high")
    other.get_by_role("progressbar", name="Image 3 of 3").wait_for()
    by_keyboard(page, 3, "high")
    page.get_by_text("Not saved: this image was answered already").wait_for()
    page.get_by_role("link", name="Load the page again").click()
    page.get_by_role("progressbar", name="Image 3 of 3").wait_for()
    server.stop()
    assert exported(study) == {"ann": {name: (7, "low"), second: (2, "high")}}


def test_browser_completes_the_study_without_scripts(open_page, serve, tmp_path):
    study = stimuli_studies.folder(tmp_path / "study", batches=1, images=2, classes=[str(digit) for digit in range(10)])
    server = serve(study)
    page = open_page(java_script_enabled=False)
    page.goto(server.address)
    page.get_by_role("textbox", name="Your code").fill(codes(study, "ann")["ann"])
    page.get_by_role("button", name="Enter the study").click()
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Begin").click()
    expected = {}

    def answer(chosen):
        expected[image(page)] = (chosen, "low")
        page.get_by_role("radio", name=str(chosen)).check()
        page.get_by_role("button", name="Low confidence").click()

    page.get_by_role("radio", name="4").check()
    page.get_by_role("radio", name="4").press("Enter")  # is no answer: no confidence was given
    page.get_by_text("Choose a class and how sure you are").wait_for()
    page.get_by_role("link", name="Go on with the study").click()
    answer(3)
    page.get_by_role("button", name="Undo").click()
    for chosen in (5, 6):
        answer(chosen)
    page.get_by_role("button", name="Continue").click()
    for chosen in (7, 8):
        answer(chosen)
    page.get_by_role("heading", name="Thank you").wait_for()
    server.stop()
    assert exported(study) == {"ann": expected}


def test_browser_hides_an_image_after_its_time_limit(open_page, serve, tmp_path):
    study = stimuli_studies.folder(tmp_path / "study", batches=1, images=2, image_seconds=0.5, answer_seconds=2.0)
    server = serve(study)
    page = open_page()
    come_in(page, server.address, codes(study, "ann")["ann"])
    agree_by_keyboard(page)
    before = token(page)
    assert re.fullmatch("[12] s left", page.get_by_role("timer").inner_text())
    page.get_by_text("The image is hidden now").wait_for()
    assert not page.locator(".picture img").is_visible()
    page.wait_for_function("before => document.querySelector('[name=token]').value !== before", arg=before)
    assert page.get_by_role("progressbar", name="Image 2 of 2").get_attribute("value") == "1"
    server.stop()
    (answer,) = tables.read(bundle.locate(study).table, human_tables.ANSWERS).to_dict("records")
    assert answer["status"] == "timed_out"


def test_browser_pages_are_accessible_and_fit_a_phone(open_page, serve, tmp_path):
    study = stimuli_studies.folder(tmp_path / "study", batches=1, images=1, enlarged=320)
    code = codes(study, "ann", "bob")
    server = serve(study)
    page = open_page(viewport={"width": 1280, "height": 800})
    seen = []

    def check():
        seen.append(page.locator("h1").inner_text())
        assert not web_browser.problems(page), seen[-1]

    page.goto(server.address)
    check()
    come_in(page, server.address, "WRONG-WRONG-WRONG")
    page.get_by_role("alert").wait_for()
    check()
    page.goto(f"{server.address}/nowhere")
    check()
    come_in(page, server.address, code["ann"])
    page.get_by_role("checkbox", name="I agree").wait_for()
    check()
    agree_by_keyboard(page)
    check()
    picture = page.locator(".picture img")
    assert picture.bounding_box()["width"] == picture.bounding_box()["height"] == 320
    assert picture.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
    by_keyboard(page, 1, "high")
    page.get_by_role("heading", name="Part 1 of 2 is done").wait_for()
    check()
    page.keyboard.press("Enter")
    page.locator(".scripted .answer").wait_for()
    by_keyboard(page, 1, "high")
    page.get_by_role("heading", name="Thank you").wait_for()
    check()
    page.get_by_role("button", name="Leave").click()
    come_in(page, server.address, server.organiser)
    page.get_by_role("row", name="bob").wait_for()
    check()
    assert len(set(seen)) == 7, seen
    # and the check itself: what nobody can read is found
    page.evaluate("document.querySelector('h1').style.color = 'rgba(128, 128, 128, 0.3)'")
    assert {what for _, what, _ in web_browser.problems(page)} == {"color-contrast"}
