"""Validity of adversarial images: whether people still see the labelled class."""

import numpy as np

from robustlaws.humans import CONFIDENCES


def verdicts(responses, settings):
    """Return the table of verdicts: columns.VALIDITY but for `split`, as a dict of arrays, an image a row.

    An image is valid if at least `settings.votes` participants classify its adversarial version right, or at least
    `settings.confident` people do with high confidence. Otherwise it is invalid: deceptive if more than half of the
    people who were shown it chose the network's wrong class, else ambiguous. It is unjudged if fewer than
    `settings.votes` gave it a class, so that no agreement could have made it valid, and no confidence did.

    Parameters
    ----------
    responses : Responses
        To the adversarial variant.
    settings : settings.Judging

    Source: section 4.2 of the paper; there 2 votes of 4 participants, or 1 confident person.
    """
    people = responses.people
    high = responses.confidence[:, people] == CONFIDENCES.index("high")
    shown = responses.shown.sum(axis=1)
    votes = responses.right.sum(axis=1)
    confident = (responses.right[:, people] & high).sum(axis=1)
    majority = _majority(responses.of(people))
    valid = (votes >= settings.votes) | (confident >= settings.confident)
    classified = (responses.chosen >= 0).sum(axis=1)
    undecided = ~valid & (classified < settings.votes)
    deceptive = (majority == responses.predictions) & (responses.predictions != responses.labels)
    verdict = np.select([valid, undecided, deceptive], ["valid", "unjudged", "deceptive"], "ambiguous")
    return {
        "index": responses.images, "label": responses.labels, "prediction": responses.predictions,
        "participants": shown, "people": responses.of(people).shown.sum(axis=1), "votes": votes, "confident": confident,
        "majority": [None if chosen < 0 else int(chosen) for chosen in majority], "verdict": verdict.astype(str),
        "simulated": np.full(len(shown), "simulated" in responses.kinds),
    }  # fmt: skip


def _majority(people):
    """Return the class (I,) that more than half of those who were shown the image gave, -1 where there is none."""
    chosen, shown = people.chosen, people.shown.sum(axis=1)
    majority = np.full(len(chosen), -1, dtype="int64")
    for label in np.unique(chosen[chosen >= 0]):
        majority[2 * (chosen == label).sum(axis=1) > shown] = label
    return majority
