"""The rule by which an image is valid, restated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustlaws.humans.analysis import responses, validity
from tests.support import answered
from tests.support.answered import answer


def restated(rows, label, prediction, votes, confident):
    """Return the verdict on one image from its answers (kind, class or None, confidence), read off the rule."""
    right = [row for row in rows if row[1] == label]
    sure = [row for row in right if row[0] == "person" and row[2] == "high"]
    if len(right) >= votes or len(sure) >= confident:
        return "valid"
    if len([row for row in rows if row[1] is not None]) < votes:
        return "unjudged"
    people = [row for row in rows if row[0] == "person"]
    following = [row for row in people if row[1] == prediction]
    return "deceptive" if prediction != label and len(following) > len(people) / 2 else "ambiguous"


@pytest.mark.parametrize(("following", "verdict"), [(2, "ambiguous"), (3, "deceptive")])
def test_half_of_the_people_are_no_majority(following, verdict):
    """Of four people; the models that follow too are none of them, and one refusal is."""
    key = answered.key_of(np.array([0]), np.array([1]))
    rows = [answer(f"p{n}", 0, 0, 1 if n < following else None) for n in range(4)]
    rows += [answer(f"m{n}", 0, 0, 1, kind="model") for n in range(3)]
    result = validity.verdicts(responses.gather(answered.table_of(rows), key, "adversarial"), answered.judging())
    assert result["verdict"].tolist() == [verdict]
    assert result["majority"] == [1 if verdict == "deceptive" else None]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data(), st.integers(1, 4), st.integers(1, 3))
def test_the_rule_of_validity(data, votes, confident):
    kinds = data.draw(st.lists(st.sampled_from(["person", "model"]), min_size=1, max_size=6))
    labels = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=4))
    predictions = np.array([data.draw(st.integers(0, 2)) for _ in labels])
    rows, options = [], []
    for index, label in enumerate(labels):
        options.append([])
        for place, kind in enumerate(kinds):
            if data.draw(st.integers(0, 3)) == 0:
                continue
            chosen = data.draw(st.sampled_from([None, 0, 1, 2]))
            confidence = None if chosen is None else data.draw(st.sampled_from([None, "low", "high"]))
            rows.append(answer(f"{kind}-{place}", index, label, chosen, kind=kind, confidence=confidence))
            options[-1].append((kind, chosen, confidence))
    key = answered.key_of(np.array(labels), predictions)
    result = validity.verdicts(responses.gather(answered.table_of(rows), key, "adversarial"),
                              answered.judging(votes=votes, confident=confident))  # fmt: skip
    wanted = [restated(*image, votes, confident) for image in zip(options, labels, predictions, strict=True)]
    assert result["verdict"].tolist() == wanted
    assert result["participants"].tolist() == [len(image) for image in options]
    assert result["people"].tolist() == [sum(row[0] == "person" for row in image) for image in options]


@pytest.mark.parametrize(("confidence", "verdict"), [("low", "unjudged"), ("high", "valid")])
def test_a_refusal_is_no_vote_that_could_have_been_right(confidence, verdict):
    rows = [answer("ann", 0, 0, 0, confidence=confidence), answer("gpt", 0, 0, None, kind="model")]
    key = answered.key_of(np.array([0]), np.array([1]))
    result = validity.verdicts(responses.gather(answered.table_of(rows), key, "adversarial"), answered.judging())
    assert result["verdict"].tolist() == [verdict]
    assert (result["participants"].tolist(), result["people"].tolist()) == ([2], [1])
