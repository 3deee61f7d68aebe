"""The explorer's page: what its data hold, that names stay names, and that nothing but its own scripts may run."""

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser

import pytest

from robustlaws.figures.drawing import style
from robustlaws.report import explorer
from robustlaws.storage import tables
from tests.support.explorer_pages import KNOWN, UNKNOWN, allocations, hostile, law, rows, write


class Parts(HTMLParser):
    """The elements of a page, and the text of its scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self._inside = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append("")
            self._inside = True

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "script"

    def handle_data(self, data):
        if self._inside:
            self.scripts[-1] += data


def data_of(page):
    return json.loads(Parts(page.read_text()).scripts[0])


def quantity(data, key):
    return next(item for item in data["quantities"] if item["key"] == key)


def test_every_numeric_column_of_the_runs_can_be_an_axis():
    numeric = {name for name, column in tables.RUNS.items() if column.kind in ("int64", "float64")}
    assert set(explorer.QUANTITIES) == numeric


def test_looks_follow_those_of_the_figures():
    assert len(explorer.DARK_COLOURS) == len(style.COLOURS) == len(set(explorer.DARK_COLOURS))
    assert len(explorer.SYMBOLS) == len(explorer.GLYPHS) == len(style.MARKERS)


def test_explorer_page_runs_only_its_own_scripts(tmp_path):
    text = write(tmp_path).read_text()
    parts = Parts(text)
    assert not [attributes for _, attributes in parts.elements if {"src", "href", "action", "srcset"} & set(attributes)]
    (policy,) = (a["content"] for tag, a in parts.elements if tag == "meta" and "http-equiv" in a)
    digests = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in parts.scripts
        if script[0] != "{"
    ]
    assert len(digests) == 3
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    assert re.sub(" +", " ", policy).startswith(f"default-src 'none'; script-src {allowed} ;")
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    assert write(tmp_path / "one").read_bytes() == write(tmp_path / "two").read_bytes()


def test_residuals_and_predictions_are_those_of_the_laws(tmp_path):
    data = data_of(write(tmp_path))
    result = quantity(data, "residual additive")
    assert result["values"][:8] == pytest.approx([100 * math.log(1.02)] * 8)
    assert result["values"][8] is None  # the mixture, of which the law says nothing
    assert result["texts"][0] == "+1.98%"
    losses = [row["adv_loss"] for row in rows()[:8]]
    assert quantity(data, "predicted additive")["values"][:8] == pytest.approx([1.02 * loss for loss in losses])


def test_a_column_without_numbers_is_no_axis(tmp_path):
    keys = {item["key"] for item in data_of(write(tmp_path))["quantities"]}
    assert "adv_acc" in keys
    assert not {"autoattack_acc", "forward_flops", "clean_loss"} & keys


def test_lines_of_a_law_hold_its_optimum_and_its_accuracy(tmp_path):
    (result,) = data_of(write(tmp_path))["laws"]
    assert [line["name"] for line in result["lines"]] == ["edm-18 (FID 2.00)", "edm-5 (FID 8.80)", "FID 0 (no dataset)"]
    assert [line["dataset"] for line in result["lines"]] == [0, 1, None]
    line = result["lines"][0]
    assert line["measured"] == [True, True, True, False]
    assert line["of"]["params"] == pytest.approx([budget**0.4 for budget in line["of"]["flops"]])
    # the line of `write`: intercept 1.2, slope 0.5, held within [0, 1]
    assert line["of"]["adv_acc"] == pytest.approx([min(1.2 + 0.5 * loss, 1) for loss in line["of"]["adv_loss"]])
    assert "at 1e12 FLOPs; N* 63.1k [1k, 10M]; D* 100k [100, no end]; L* 3.786 [0.5000, 2.000]" in line["texts"][0]


@pytest.mark.parametrize(
    ("content", "given"),
    [
        (law(cell=UNKNOWN), set()),
        # the envelope's L* has parameters of its own
        (law("envelope", UNKNOWN, coefficient=KNOWN, exponent=KNOWN), {"flops", "adv_loss", "adv_acc"}),
        (law("envelope", KNOWN, coefficient=KNOWN, exponent=UNKNOWN), {"flops", "params", "images"}),
    ],
)
def test_what_is_not_determined_is_not_drawn(tmp_path, content, given):
    page = write(tmp_path, laws=[content], budgets=allocations(content["law"]))
    (result,) = data_of(page)["laws"]
    assert {key for line in result["lines"] for key in line["of"]} == given
    assert bool(result["lines"]) == bool(given)
    assert any("not determined: only 2 model sizes." in remark for remark in result["remarks"])
    texts = " ".join(text for line in result["lines"] for text in line["texts"])
    assert ("N*" in texts) == ("params" in given)
    assert ("L*" in texts) == ("accuracy" in texts) == ("adv_loss" in given)


def test_without_a_line_to_accuracy_no_law_gives_one(tmp_path):
    (result,) = data_of(write(tmp_path, line=UNKNOWN))["laws"]
    assert all("adv_acc" not in line["of"] for line in result["lines"])


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "a & b", "\u2028\u2029", '"quoted"', "ü ☃"])
def test_json_in_a_script_is_the_same_data_and_ends_nothing(text):
    result = explorer.as_json({text: [text, 1.5, None, True]})
    assert json.loads(result) == {text: [text, 1.5, None, True]}
    assert not set("<>&\u2028\u2029") & set(result)


def test_a_number_that_json_has_no_word_for_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        explorer.as_json([math.nan])


def test_names_are_no_markup(tmp_path):
    elements = [tag for tag, _ in Parts(hostile(tmp_path).read_text()).elements]
    assert elements.count("script") == 4
    assert "img" not in elements
    assert "b" not in elements
