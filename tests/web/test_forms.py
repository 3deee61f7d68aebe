"""What comes in forms and as codes: anything at all, of which only what pages send is taken."""

from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustlaws.humans.web import access_codes, forms
from robustlaws.humans.web.request_guard import Refusal


@given(st.binary(max_size=200))
def test_any_bytes_are_a_form_or_refused(body):
    try:
        result = forms.fields(body, "csrf", "image")
    except Refusal:
        return
    assert set(result) == {"csrf", "image"}


@given(st.fixed_dictionaries({"csrf": st.text(max_size=60), "image": st.text(max_size=60)}))
def test_a_form_is_read_as_it_was_written(written):
    try:
        body = urlencode(written).encode()
    except UnicodeEncodeError:  # half a surrogate is no text
        return
    assert forms.fields(body, "csrf", "image") == written
    with pytest.raises(Refusal):
        forms.fields(body + b"&csrf=", "csrf", "image", "more")
    with pytest.raises(Refusal):
        forms.fields(body, "csrf", "token", "other")


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_an_answer_is_a_class_and_a_confidence_or_refused(chosen, confidence, elapsed):
    try:
        result = forms.answer({"class": chosen, "confidence": confidence, "elapsed": elapsed}, 10)
    except Refusal:
        return
    assert result[:2] == (None, None) or (result[0] in range(10) and result[1] in ("low", "high"))


@settings(max_examples=30, deadline=None)
@given(st.text(alphabet=access_codes.ALPHABET + "01OIo -_.\u2013", max_size=40))
def test_nothing_but_a_code_is_read_as_one(typed):
    read = access_codes.read(typed)
    assert read is None or (len(read) == 15 and set(read) <= set(access_codes.ALPHABET))
