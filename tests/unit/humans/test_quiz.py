"""The quiz: what the file holds, and how it plays in a browser."""

import base64
import json
import re
import shutil

import numpy as np
import pytest

from robustlaws.data import shards
from robustlaws.humans import quiz
from robustlaws.humans.stimuli import images as stimuli
from robustlaws.settings import Quiz
from robustlaws.storage import human_tables
from robustlaws.storage import tables as records

CLASSES = ["plane", "</script><b>car", "bird", "cat"]
COUNT = 12


def build(folder, kind="person", people=3, classes=CLASSES, fooled=COUNT, **changes):
    """Write a study in which participant p is right on the images whose index is no multiple of p + 2, else agrees
    with the network; return the page's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    labels = np.arange(fooled + 3) % len(classes)
    images = rng.integers(0, 256, (fooled + 3, 6, 6, 3), dtype=np.uint8)
    shards.write(folder / "images.h5", images, labels, {"class_names": list(classes)})
    shown, key, answers, validity = [], [], [], []
    for i in range(fooled):
        network = (int(labels[i]) + 1) % len(classes)
        for part, variant in enumerate(("adversarial", "clean"), start=1):
            name = f"{part}{i:015x}"
            pixels = images[i] if part == 2 else 255 - images[i]
            shown.append({"id": name, "part": part, "batch": 1, "position": i + 1, "png": stimuli.as_png(pixels)})
            key.append({"id": name, "split": "test", "index": i, "variant": variant, "is_attn_check": False,
                        "label": labels[i], "clean_prediction": labels[i],
                        "adversarial_prediction": network})  # fmt: skip
        for p in range(people):
            chosen = int(labels[i]) if i % (p + 2) else network
            answers.append(answer(f"P{p + 1}", kind, i, labels[i], chosen, classes))
        validity.append({"split": "test", "index": i, "label": labels[i], "prediction": network, "verdict": "valid",
                         "participants": people, "people": people, "votes": 2, "confident": 0, "majority": None,
                         "simulated": kind == "simulated"})  # fmt: skip
    answers.append(answer("a model", "model", 0, labels[0], None, classes))
    tables = {"stimuli": (shown, human_tables.STIMULI), "key": (key, human_tables.STIMULUS_KEY),
              "answers": (answers, human_tables.ANSWERS), "validity": (validity, human_tables.VALIDITY)}  # fmt: skip
    for name, (rows, table) in tables.items():
        records.write(folder / f"{name}.parquet", rows, table)
    return draw(folder, **changes)


def answer(name, kind, index, label, chosen, classes):
    return {
        "annotator_id": name, "kind": kind, "is_attn_check": 0, "true_category": classes[label], "true_label": label,
        "chosen_category": None if chosen is None else classes[chosen], "chosen_label": chosen, "split": "test",
        "correct_guess": int(chosen == label), "cifar10_test_test_idx": index, "variant": "adversarial",
        "status": "refused" if chosen is None else "answered",
    }  # fmt: skip


def draw(folder, **changes):
    paths = {f"{name}_path": folder / f"{name}.parquet" for name in ("stimuli", "key", "answers", "validity")}
    settings = Quiz(**({"study": "a <study>", "images": COUNT, "smooth": False, "seed": 3} | changes))
    page = folder / "quiz.html"
    quiz.draw(**paths, images_path=folder / "images.h5", page_path=page, settings=settings)
    return page


def content(page):
    """Return what the page holds: its data and its answers, decoded."""
    data = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1])
    return data, json.loads(base64.b64decode(data["answers"]))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return build(tmp_path_factory.mktemp("quiz"))


def test_it_holds_everything_and_asks_for_nothing(page):
    text = page.read_text()
    assert not re.search(r"""(src|href)=|url\(|https?://|@import|fetch\(""", text)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<b>car" not in text
    assert "a &lt;study&gt;" in text
    assert page.read_bytes() == draw(page.parent).read_bytes()


def test_the_answers_do_not_stand_in_the_source_to_be_read(page):
    text = re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1]
    for word in ('"label"', '"network"', '"votes"', '"verdict"', "test image"):
        assert word not in text
    _, answers = content(page)
    assert sorted(answer["name"] for answer in answers) == sorted(f"test image {i}" for i in range(COUNT))


def test_quiz_draws_fooling_images_by_the_seed(tmp_path):
    page = build(tmp_path, images=5)
    first = [answer["name"] for answer in content(page)[1]]
    assert len(set(first)) == 5
    assert first != [answer["name"] for answer in content(draw(tmp_path, images=5, seed=4))[1]]
    key = records.read(tmp_path / "key.parquet", human_tables.STIMULUS_KEY)
    key.loc[key["index"] == 2, "adversarial_prediction"] = key["label"]
    key.loc[key["index"] == 3, "is_attn_check"] = True
    records.write(tmp_path / "key.parquet", key, human_tables.STIMULUS_KEY)
    names = {answer["name"] for answer in content(draw(tmp_path, images=100))[1]}
    assert names == {f"test image {i}" for i in range(COUNT)} - {"test image 2", "test image 3"}


def test_the_scores_are_those_of_the_images_shown(page):
    data, answers = content(page)
    # participant p is wrong on every (p + 2)nd of 12 images
    assert data["scores"]["participants"] == {"count": 3, "share": pytest.approx((6 / 12 + 8 / 12 + 9 / 12) / 3)}
    assert data["scores"]["models"] == [["a model", 0.0]]
    by_name = {answer["name"]: answer for answer in answers}
    assert by_name["test image 0"]["votes"] == [[1, 3]]
    assert by_name["test image 0"]["models"] == [["a model", None]]
    assert by_name["test image 3"]["votes"] == [[3, 2], [0, 1]]
    assert by_name["test image 1"]["votes"] == [[1, 3]]
    assert data["simulated"] is False


def test_people_are_never_mixed_with_simulated_participants(tmp_path):
    page = build(tmp_path)
    path = tmp_path / "answers.parquet"
    people = records.read(path, human_tables.ANSWERS)
    made_up = people.assign(kind="simulated", annotator_id="made up", chosen_label=0)
    frame = records.table([*made_up.to_dict("records"), *people.to_dict("records")], human_tables.ANSWERS)
    records.write(path, frame, human_tables.ANSWERS)
    assert content(page)[0]["scores"] == content(draw(tmp_path))[0]["scores"]


def test_tables_of_different_studies_are_refused(tmp_path):
    build(tmp_path)
    shown = records.read(tmp_path / "stimuli.parquet", human_tables.STIMULI)
    records.write(tmp_path / "stimuli.parquet", shown.iloc[1:], human_tables.STIMULI)
    with pytest.raises(ValueError, match=r"stimuli\.parquet: no image 1000000000000000, which .*key\.parquet has"):
        draw(tmp_path)


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    if not shutil.which("chromium"):
        pytest.skip("no chromium on the path")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Return a function that opens a page in a context of its own; nothing may fail in it or be asked for but it."""
    contexts, wrong = [], []

    def opened(path, width=1100, height=850, scheme="light", script=None):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        tab = context.new_page()
        if script:
            tab.add_init_script(script)
        tab.on("console", lambda message: wrong.append(message.text))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("request", lambda ask: ask.url.startswith(("file:", "data:")) or wrong.append(ask.url))
        tab.goto(path.as_uri())
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def play(tab, answers, right):
    """Answer by keyboard: the first `right` images right, the others wrong."""
    for place, answer in enumerate(answers):
        label = answer["label"] if place < right else (answer["label"] + 2) % len(CLASSES)
        tab.keyboard.press(str(label + 1))
        tab.keyboard.press("Enter")


def test_it_plays_through_by_keyboard_and_the_score_is_right(page, opened):
    tab, (_, answers) = opened(page), content(page)
    tab.keyboard.press("9")  # no class
    assert tab.locator("#place").inner_text() == "Image 1 of 12"
    assert tab.locator("#attacked").evaluate("image => image.naturalWidth") == 6
    assert tab.locator("#before").is_hidden()
    tab.keyboard.press(str(answers[0]["label"] + 1))
    assert "Right" in tab.locator("#verdict").inner_text()
    assert tab.locator("#before").is_visible()
    facts = tab.locator("#facts").inner_text()
    assert CLASSES[answers[0]["network"]] in facts
    assert "3 participants saw" in facts
    assert "simulated" not in tab.locator("body").inner_text()
    tab.keyboard.press(str(answers[0]["label"] + 1))  # answered once and for all
    tab.keyboard.press("Enter")
    play(tab, answers[1:], right=6)
    assert tab.locator("#done").inner_text() == "You have 7 of 12 right."
    scores = tab.locator("#scores").inner_text()
    assert "The network\n0 of 12" in scores
    assert f"3 participants, mean\n{12 * (6 + 8 + 9) / 36:.1f} of 12" in scores
    assert "a model (a model)\n0 of 12" in scores
    assert "The network: 0 of 12." in tab.locator("[aria-live]").inner_text()
    assert "only images that fooled it" in tab.locator("#remark").inner_text()
    assert tab.locator("#review li").count() == 12
    tab.locator("#again").click()
    assert tab.locator("#place").inner_text() == "Image 1 of 12"


def test_nothing_is_lost_on_reload_and_storage_may_be_refused(page, opened):
    tab, (_, answers) = opened(page), content(page)
    play(tab, answers[:4], right=4)
    tab.keyboard.press("1")
    tab.reload()
    assert tab.locator("#place").inner_text() == "Image 5 of 12"
    assert tab.locator("#result").is_visible()
    tab.locator("#next").click()
    tab.reload()
    assert tab.locator("#choices").is_visible()
    play(tab, answers[5:], right=7)
    tab.reload()
    assert re.fullmatch(r"You have 1[12] of 12 right\.", tab.locator("#done").inner_text())
    for script in (
        "Object.defineProperty(window, 'sessionStorage', {get() { throw new Error('no') }})",
        'Storage.prototype.getItem = () => \'{"chosen": [99], "shown": 7}\'',
        "Storage.prototype.getItem = () => 'no JSON'",
    ):
        other = opened(page, script=script)
        assert other.locator("#place").inner_text() == "Image 1 of 12"
        play(other, answers, right=2)
        assert other.locator("#done").inner_text() == "You have 2 of 12 right."


def test_quiz_names_simulated_and_missing_participants(tmp_path, opened):
    simulated = opened(build(tmp_path / "a", kind="simulated", images=1))
    assert "Nobody has taken part" in simulated.locator("header").inner_text()
    simulated.locator("#classes button").first.click()
    assert "3 simulated participants saw" in simulated.locator("#facts").inner_text()
    assert "by simulated participants" in simulated.locator("#facts").inner_text()
    simulated.locator("#next").click()
    assert "3 simulated participants, mean" in simulated.locator("#scores").inner_text()
    nobody = opened(build(tmp_path / "b", people=0, images=1))
    nobody.locator("#classes button").first.click()
    assert "no participants yet" in nobody.locator("#facts").inner_text()
    nobody.locator("#next").click()
    assert "no participants yet" in nobody.locator("#scores").inner_text()
    assert "simulated" not in nobody.locator("body").inner_text()
    empty = opened(build(tmp_path / "c", fooled=0, people=0))
    assert "nothing to ask" in empty.locator("main").inner_text()


def test_classes_called_by_a_digit_are_chosen_by_it(tmp_path, opened):
    page = build(tmp_path, classes=["0", "1", "2", "3"], images=1)
    tab, (_, answers) = opened(page), content(page)
    tab.keyboard.press(str(answers[0]["label"]))
    assert "Right" in tab.locator("#verdict").inner_text()


def test_quiz_accepts_shifted_digits_and_turns_keys_off(page, opened):
    def press(tab, key, code):
        event = {"key": key, "code": code, "bubbles": True}
        tab.evaluate("event => document.body.dispatchEvent(new KeyboardEvent('keydown', event))", event)

    tab = opened(page)
    tab.get_by_role("checkbox").uncheck()
    tab.keyboard.press("1")
    press(tab, "&", "Digit1")
    assert tab.locator("#choices").is_visible()
    assert not tab.locator("#classes kbd").first.is_visible()
    tab.reload()
    tab.keyboard.press("1")
    assert tab.locator("#choices").is_visible()
    tab.get_by_role("checkbox").check()
    press(tab, "&", "Digit1")
    assert tab.locator("#result").is_visible()
    other = opened(page, script="Object.defineProperty(window, 'localStorage', {get() { throw new Error('no') }})")
    other.get_by_role("checkbox").uncheck()
    other.keyboard.press("1")
    assert other.locator("#choices").is_visible()


@pytest.mark.parametrize(
    ("scheme", "width", "height"), [("light", 1100, 850), ("dark", 360, 640)], ids=["light", "dark, phone"]
)
def test_it_is_accessible_in_every_state(page, opened, scheme, width, height):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab, (_, answers) = opened(page, width, height, scheme), content(page)

    def check():
        assert [result["id"] for result in axe.run(tab).response["violations"]] == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width

    check()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.parentElement.id") == "classes"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "next"
    check()
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "place"
    play(tab, answers[1:], right=3)
    assert tab.evaluate("document.activeElement.id") == "done"
    check()


def test_quiz_enlarges_images_unsmoothed_by_default(page, tmp_path, opened):
    look = "image => getComputedStyle(image).imageRendering"
    assert opened(page).locator("#attacked").evaluate(look) == "pixelated"
    assert opened(build(tmp_path, smooth=True)).locator("#attacked").evaluate(look) == "auto"
