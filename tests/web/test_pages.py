"""The pages of the human study as text: what they ask, what they send, and what they never say."""

import re
from collections import namedtuple
from html.parser import HTMLParser
from pathlib import Path

import pytest

from robustlaws import humans
from robustlaws.humans.web import pages

HOSTILE = """<script>alert("1")</script>'"><img src=x onerror=alert(1)>{{ 7*7 }}"""
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
STATIC = Path(pages.__file__).parent / "static"

Presentation = namedtuple(
    "Presentation", "study page smooth enlarged contact image_seconds answer_seconds classes consent image"
)


def presentation(**changes):
    known = {
        "study": "digits",
        "page": "single",
        "smooth": False,
        "enlarged": 256,
        "contact": "someone@example.org",
        "image_seconds": None,
        "answer_seconds": None,
        "classes": CIFAR10,
        "consent": "We keep your answers.\n\nThey are published.",
        "image": [32, 32, 3],
    }
    return Presentation(**known | changes)


def picture(position=1, **changes):
    known = {"chosen": None, "confidence": None, "seconds_left": None, "image_seconds_left": None}
    return pages.Picture(id=f"id{position}", token=f"token{position}", position=position, **known | changes)


PROGRESS = pages.Progress(
    part=1, parts=2, batch=2, batches=3, answered_in_batch=4, images_in_batch=100, answered=104, images=600
)
ROW = {
    "name": "ann", "kind": "person", "state": "at work", "answered": 104, "images": 600, "batch": 2, "minutes": 7.5,
    "per_minute": 13.9, "checks_right": 9, "checks": 10, "last_seen": "a minute ago",
}  # fmt: skip


def every_page(text="ann", simulated=False, **changes):
    """Return each page by its name, with `text` wherever somebody else's words are shown."""
    shown = presentation(**changes)
    known = {"presentation": shown, "csrf": "secret", "name": text, "simulated": simulated}
    settings = {"progress": PROGRESS, "undo": True, "problem": text}
    rows = [ROW | {"name": text, "last_seen": text}]
    return {
        "enter": pages.enter(study=shown.study, problem=text),
        "consent": pages.consent(**known, images=600, batches=6, problem=text),
        "single": pages.single(**known, picture=picture(), **settings),
        "batch": pages.batch(**known, pictures=[picture(1, chosen=3, confidence="low"), picture(2)], **settings),
        "rest": pages.rest(**known, progress=PROGRESS),
        "finished": pages.finished(**known, progress=PROGRESS),
        "organiser": pages.organiser(
            study=shown.study, csrf="secret", rows=rows, totals={text: text}, simulated=simulated
        ),
        "problem": pages.problem(title=text, text=text, simulated=simulated),
    }


class Elements(HTMLParser):
    """The elements of a page: (name, attributes) in their order, and the text between them."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def forms(self):
        """Return {action: [fields of each of its forms]}, a field as (name, value)."""
        results, fields = {}, None
        for tag, attributes in self.elements:
            if tag == "form":
                assert attributes["method"] == "post"
                fields = []
                results.setdefault(attributes["action"], []).append(fields)
            elif tag in ("input", "button") and "name" in attributes:
                fields.append((attributes["name"], attributes.get("value")))
        return results


@pytest.mark.parametrize("name", every_page())
def test_words_of_others_are_shown_as_words(name):
    page = every_page(HOSTILE, study=HOSTILE, contact=HOSTILE, consent=HOSTILE, classes=[HOSTILE, "b"])[name]
    elements = Elements(page)
    assert all(tag != "script" or set(result) == {"type", "src"} for tag, result in elements.elements)
    assert not any(attribute.startswith("on") for _, result in elements.elements for attribute in result)
    assert all(image["src"].startswith("/images/") for image in elements.named("img"))
    assert HOSTILE in "".join(elements.text)  # the parser undoes the escapes: nothing was lost either


@pytest.mark.parametrize("name", every_page())
def test_pages_load_nothing_beyond_their_content_policy(name):
    elements = Elements(every_page()[name])
    for tag, match in elements.elements:
        assert tag not in ("style", "base", "iframe"), tag
        assert "style" not in match, (tag, match)
        for attribute in ("src", "href", "action"):
            assert re.match(r"/(?!/)", match.get(attribute, "/")), (tag, match)


@pytest.mark.parametrize("name", every_page())
def test_a_page_has_a_language_a_title_and_one_main_heading(name):
    elements = Elements(every_page()[name])
    assert elements.named("html") == [{"lang": "en"}]
    assert len(elements.named("h1")) == len(elements.named("title")) == len(elements.named("main")) == 1
    ids = [result["id"] for _, result in elements.elements if "id" in result]
    assert len(ids) == len(set(ids))


WORDS = ("adversarial", "clean", "attack", "label", "prediction", "variant")
SAMPLES = {**every_page(), **{path.name: path.read_text() for path in STATIC.iterdir()}}


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_that_a_browser_gets_has_the_words_of_the_study(name):
    text = re.sub(r"</?label\b", "", SAMPLES[name])  # the element of a form
    assert not [word for word in (*WORDS, *humans.VARIANTS) if word in text.lower()]


def test_the_forms_send_the_fields_that_the_server_takes():
    forms = {name: Elements(page).forms() for name, page in every_page().items()}
    assert forms["enter"] == {"/enter": [[("code", None)]]}
    assert forms["consent"]["/consent"] == [[("csrf", "secret"), ("agree", "yes")]]
    assert forms["rest"]["/continue"] == [[("csrf", "secret")]]
    for name in ("consent", "single", "batch", "rest", "finished", "organiser"):
        assert forms[name]["/leave"] == [[("csrf", "secret")]], name
    for name, positions in {"single": [1], "batch": [1, 2]}.items():
        assert forms[name]["/undo"] == [[("csrf", "secret")]]
        assert forms[name]["/answers"] == [
            [
                ("csrf", "secret"),
                ("image", f"id{position}"),
                ("token", f"token{position}"),
                *(("class", str(index)) for index in range(10)),
                ("confidence", "low"),
                ("confidence", "high"),
            ]
            for position in positions
        ], name


def test_pages_show_a_given_answer_as_final():
    elements = Elements(every_page()["batch"])
    checked = [result["value"] for result in elements.named("input") if "checked" in result]
    given = [result["value"] for result in elements.named("button") if result.get("class") == "given"]
    assert (checked, given) == (["3"], ["low"])
    assert ["disabled" in result for result in elements.named("fieldset")] == [True, True, False, False]


def test_undo_is_offered_where_there_is_something_to_undo():
    known = {"presentation": presentation(), "csrf": "", "name": "ann", "picture": picture(), "progress": PROGRESS}
    disabled = [
        "disabled" in [result for result in Elements(page).named("button") if result.get("class") == "quiet"][1]
        for page in (pages.single(**known, undo=True), pages.single(**known, undo=False))
    ]
    assert disabled == [False, True]


@pytest.mark.parametrize(
    ("classes", "keys"),
    [
        (CIFAR10, list("1234567890")),
        ([*CIFAR10, "eleventh"], list("1234567890")),
        ([str(digit) for digit in range(10)], list("0123456789")),
        (["A", "B", "C"], list("abc")),
        (["H", "L"], list("12")),  # these two keys give the confidence
        (["é", "ñ", "c"], list("123")),  # not every keyboard has these
        (["+", "-"], list("12")),
        (["a", "A"], list("12")),  # one key cannot stand for both
    ],
)
def test_keys_of_the_classes(classes, keys):
    page = pages.single(
        presentation=presentation(classes=classes), csrf="", name="ann", picture=picture(), progress=PROGRESS, undo=True
    )
    inputs = Elements(page).named("input")
    assert [result["data-key"] for result in inputs if "data-key" in result] == keys
    assert len([result for result in inputs if result.get("name") == "class"]) == len(classes)


@pytest.mark.parametrize(
    ("image", "size"), [([8, 8, 1], ("256", "256")), ([32, 64, 3], ("256", "128")), ([64, 16, 3], ("64", "256"))]
)
@pytest.mark.parametrize("smooth", [True, False])
def test_an_image_is_enlarged_in_its_proportions(image, size, smooth):
    (result,) = Elements(every_page(image=image, smooth=smooth)["single"]).named("img")
    assert (result["width"], result["height"]) == size
    assert result["class"] == ("smooth" if smooth else "pixelated")
    assert result["src"] == "/images/id1"


def test_time_limits_are_told_before_and_counted_on_the_page():
    limited = every_page(image_seconds=0.5, answer_seconds=8.0)
    assert "0.5 seconds" in Elements(limited["consent"]).text
    assert "8 seconds" in Elements(limited["consent"]).text
    page = pages.single(
        presentation=presentation(), csrf="", name="ann", progress=PROGRESS, undo=False,
        picture=picture(seconds_left=6.25, image_seconds_left=0.0),
    )  # fmt: skip
    (form,) = [result for result in Elements(page).named("form") if result["action"] == "/answers"]
    assert (form["data-seconds"], form["data-image-seconds"]) == ("6.25", "0.0")


@pytest.mark.parametrize("name", ["consent", "single", "batch", "rest", "finished", "organiser", "problem"])
def test_what_is_simulated_is_called_so(name):
    output = [
        "simulated" in "".join(Elements(every_page(simulated=simulated)[name]).text).lower()
        for simulated in (True, False)
    ]
    assert output == [True, False]


def test_the_consent_of_the_study_is_shown_in_its_paragraphs():
    page = every_page()["consent"]
    assert "<p>We keep your answers.</p>\n<p>They are published.</p>" in page
    assert "Your consent" not in every_page(consent="")["consent"]


def test_numbers_that_are_not_known_yet_are_dashes():
    row = ROW | {"batch": None, "minutes": None, "per_minute": None, "checks": 0, "last_seen": ""}
    page = pages.organiser(study="digits", csrf="", rows=[row], totals={}, simulated=False)
    assert Elements(page).text.count("\N{EN DASH}") == 5
    assert "None" not in page
    assert "No participants yet" in pages.organiser(study="digits", csrf="", rows=[], totals={}, simulated=False)
