"""The explorer in a browser: it draws, it asks for nothing, and it can be used by mouse, keyboard and phone."""

import re
from urllib.parse import urlencode

import pytest

from tests.support import browser
from tests.support.explorer_pages import HOSTILE, UNKNOWN, hostile, law, rows, write
from tests.support.law_predictions import run


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    if not browser.CHROMIUM:
        pytest.skip("no chromium on the path")
    with browser.page(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write(tmp_path_factory.mktemp("tiny"))


def go(page, path, state=(), **options):
    """Open an explorer; nothing may fail in it and nothing be asked for but itself, then or in the meantime."""
    page.errors.clear()
    page.requests.clear()
    page.open(f"{path.as_uri()}#{urlencode(state)}" if state else path.as_uri(), **options)


def is_well(page):
    assert page.errors == []
    assert [item for item in page.requests if not item.startswith(("file:", "data:", "blob:", "about:"))] == []
    assert sum(item.startswith("file:") for item in page.requests) == 1


def shown(page):
    """Return how many runs the picture shows, without the rings around pinned ones."""
    return page.run(
        "document.getElementById('plot').data.filter((t) => t.mode === 'markers' && t.name !== 'pinned')"
        ".reduce((sum, t) => sum + t.x.length, 0)"
    )


def dots(page):
    return page.run("document.querySelectorAll('#plot .scatterlayer .point').length")


def pinned(page):
    return page.run("[...document.querySelectorAll('#pinned thead th div')].map((one) => one.textContent)")


def test_a_browser_draws_it_and_nothing_leaves(page, tiny):
    go(page, tiny)
    assert shown(page) == dots(page) == 9
    assert "9 of 9 runs shown." in page.run("document.getElementById('status').textContent")
    assert page.run("document.querySelectorAll('#plot .scatterlayer .js-line').length") == 6  # 3 lines, and beyond
    for kind in ("png", "svg"):
        assert page.run(
            f"Plotly.toImage('plot', {{format: '{kind}'}}).then((it) => it.startsWith('data:image/{kind}'))"
        )
    is_well(page)


def test_what_the_policy_forbids_is_noticed(page, tiny):
    """The other tests rest on this one: a request and a script that is not the page's own are refused and told."""
    go(page, tiny)
    page.run("fetch('https://example.com/').catch(() => null)")
    page.run(
        "void document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.evil=1'}))"
    )
    assert page.run("window.evil") is None
    assert any("connect" in error for error in page.errors)
    assert any("script" in error for error in page.errors)


def test_the_address_holds_what_is_drawn(page, tiny):
    state = [("x", "images"), ("y", "fid"), ("ylog", "0"), ("colour", "model"), ("law", ""), ("no-dataset", "edm-5"),
             ("pin", "wrn-10-1/edm-18/2000/0"), ("pin", "no such run"), ("nonsense", "<b>")]  # fmt: skip
    go(page, tiny, state)
    layout = page.run(
        "(({xaxis, yaxis}) => [xaxis.type, yaxis.type, xaxis.title.text])(document.getElementById('plot').layout)"
    )
    assert layout == ["log", "linear", "D: training images"]
    assert shown(page) == 4
    status = page.run("document.getElementById('status').textContent")
    assert "4 of 9 runs shown." in status
    assert "1 without a number for FID." in status
    assert pinned(page) == ["wrn-10-1/edm-18/2000/0"]
    address = page.run("decodeURIComponent(location.hash)")
    for part in ("x=images", "y=fid", "ylog=0", "colour=model", "no-dataset=edm-5", "pin=wrn-10-1/edm-18/2000/0"):
        assert part in address
    assert "nonsense" not in address
    page.run("void (location.hash = 'x=params&y=adv_acc')")
    page.run("new Promise((done) => setTimeout(done, 200))")
    assert page.run("document.getElementById('x').value + document.getElementById('y').value") == "paramsadv_acc"
    assert shown(page) == 8
    is_well(page)


def test_a_click_pins_the_run_under_the_pointer(page, tiny):
    go(page, tiny, [("law", "")])
    trace, place = 0, 1
    x, y = page.run(
        f"(() => {{const box = document.querySelectorAll('#plot .scatterlayer .trace')[{trace}]"
        f".querySelectorAll('.point')[{place}].getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2];})()"
    )
    run_name = page.run(
        f"(({{customdata}}) => JSON.parse(document.getElementById('data').textContent).names[customdata[{place}]])"
        f"(document.getElementById('plot').data[{trace}])"
    )
    page.click(x, y)
    assert pinned(page) == [run_name]
    details = page.run("document.getElementById('pinned').innerText")
    assert "Approach of additive" in details
    assert "+1.98%" in details
    hover = page.run("document.querySelector('#plot .hoverlayer').textContent")
    assert run_name in hover
    assert "predicted above measured loss (%) +1.98%" in hover
    page.run("document.querySelector('#pinned button').click()")
    assert pinned(page) == []
    is_well(page)


def test_it_works_by_keyboard_alone(page, tiny):
    go(page, tiny)
    reached = []
    for _ in range(40):
        page.press("Tab")
        here = page.run("document.activeElement.id || document.activeElement.textContent")
        reached.append(here)
        if here == "dataset-1":
            page.press(" ")
        if here == "add":
            page.press("Enter")
            break
    assert {"x", "xlog", "y", "ylog", "colour", "law", "swap", "whole", "save", "dataset-0", "pin", "add"} <= set(
        reached
    )
    assert pinned(page) == ["wrn-10-1/edm-18/2000/0"]
    assert shown(page) == 5  # without edm-5
    unnamed = page.run(
        "[...document.querySelectorAll('select, input, button')].filter((one) => !one.labels?.length && "
        "!one.textContent.trim() && !one.getAttribute('aria-label')).map((one) => one.outerHTML)"
    )
    assert unnamed == []
    is_well(page)


def test_axes_swap_and_runs_without_a_place_are_counted(page, tiny):
    go(page, tiny, [("x", "residual additive"), ("y", "adv_acc"), ("xlog", "1")])
    assert shown(page) == 8
    page.run("document.getElementById('swap').click()")
    assert page.run("document.getElementById('y').value") == "residual additive"
    assert page.run("document.getElementById('ylog').checked")
    go(page, tiny, [("x", "seed"), ("xlog", "1")])
    assert shown(page) == 0
    assert "9 not above 0 in seed: no place on a log scale." in page.run(
        "document.getElementById('status').textContent"
    )
    is_well(page)


@pytest.mark.parametrize("dark", [False, True])
def test_every_colouring_shows_all_runs_by_day_and_by_night(page, tiny, dark):
    go(page, tiny, dark=dark)
    for colour in ("dataset", "model", "recipe", "fid"):
        page.run(f"(() => {{const it = document.getElementById('colour'); it.value = '{colour}';"
                 "it.dispatchEvent(new Event('change'));})()")  # fmt: skip
        assert f"colour={colour}" in page.run("location.hash")
        assert shown(page) == dots(page) == 9
    ink = page.run("getComputedStyle(document.querySelector('#plot .xtick text')).fill")
    assert (sum(map(int, re.findall(r"\d+", ink)[:3])) > 380) == dark
    is_well(page)


def test_it_fits_on_a_phone(page, tiny):
    go(page, tiny, [("pin", row["run"]) for row in rows()[:3]], width=400, height=800)
    assert page.run("document.documentElement.scrollWidth") == 400
    assert page.run("document.getElementById('plot').getBoundingClientRect().width") > 350
    is_well(page)


def test_names_stay_names_in_the_browser(page, tmp_path):
    path = hostile(tmp_path)
    go(page, path, [("pin", f"{HOSTILE}@{HOSTILE}/{HOSTILE}/2000/0")])
    assert shown(page) == 2
    assert page.run("document.querySelector('h1').textContent") == f"{HOSTILE}: explorer"
    assert pinned(page) == [f"{HOSTILE}@{HOSTILE}/{HOSTILE}/2000/0"]
    x, y = page.run(
        "(() => {const box = document.querySelector('#plot .scatterlayer .points .point').getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2];})()"
    )
    page.click(x, y)
    output = page.run("document.querySelector('#plot .hoverlayer').textContent")
    assert "<b>bold</b>" in output
    assert "%{x}" in output
    assert page.run("window.evil") is None
    assert page.run("document.querySelectorAll('img, #plot a[href], main b').length") == 0
    is_well(page)


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({"runs": []}, None),
        ({"runs": [run()]}, 1),
        ({"runs": [run(adv_acc=None, adv_loss=None, test_images=None)], "budgets": []}, 1),
        ({"laws": [], "budgets": []}, 9),
        ({"laws": [law(cell=UNKNOWN)]}, 9),
        ({"runs": [run(seed=seed, fid=0.0) for seed in range(3)]}, 3),
    ],
)
def test_poor_studies_are_drawn_or_said_to_be_none(page, tmp_path, given, count):
    path = write(tmp_path, **given)
    go(page, path, [("colour", "fid")])
    if count is None:
        assert "There is no run to show." in page.run("document.body.innerText")
    else:
        assert shown(page) == count
    is_well(page)
