"""Agreement of participants: Fleiss' kappa, Cohen's kappa and the share of equal answers."""

from itertools import combinations

import numpy as np

from robustlaws.humans.analysis.bootstrap import image_weights, interval
from robustlaws.humans.analysis.responses import who_count
from robustlaws.runtime.logger import log
from robustlaws.seeds import derive

PAIRED = 25  # participants of the study at most of whom each pair is given


def fleiss_kappa(counts):
    """Return the agreement of participants on the classes of images, beyond chance.

    Parameters
    ----------
    counts : int array (images, classes)
        How many participants gave each class to each image; an image with fewer than two is ignored, and the numbers
        may differ between images.

    Returns
    -------
    float
        1 where all agree; 0 where they do as often as by chance; nan where that is not defined: without two
        participants on any image, or where all answers are one class.

    Raises
    ------
    ValueError
        If `counts` is not such an array.

    Source: Fleiss 1971, equations 2 to 7; for unequal numbers Gwet 2014, where each image weighs the same.
    """
    counts = np.asarray(counts)
    if counts.ndim != 2 or not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
        raise ValueError(f"counts: array {counts.shape} of {counts.dtype}; whole numbers (images, classes) are needed")
    agreeing, shares = _fleiss_terms(counts)
    return float(_fleiss(np.ones((1, len(agreeing))), agreeing, shares)[0])


def _fleiss_terms(counts):
    """Return, of each image with two answers, the share of pairs that agree (n,) and of each class (n, classes)."""
    counts = counts[counts.sum(axis=1) >= 2].astype(float)
    total = counts.sum(axis=1)
    return (counts * (counts - 1)).sum(axis=1) / (total * (total - 1)), counts / total[:, None]


def _fleiss(weights, agreeing, shares):
    """Return Fleiss' kappa (resamples,) where image i counts weights[:, i] times."""
    images = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = weights @ agreeing / images
        return beyond_chance(observed, ((weights @ shares / images[:, None]) ** 2).sum(axis=1))


def beyond_chance(observed, expected):
    """Return (observed - expected) / (1 - expected), nan where all agreement is expected."""
    room = 1 - expected
    with np.errstate(invalid="ignore", divide="ignore"):
        # rounding leaves some 1e-16 of a room that is none
        return np.where(room > 1e-12, (observed - expected) / room, np.nan)


def table(both, settings):
    """Return the rows of columns.AGREEMENT, for each variant that two participants or more were shown.

    Fleiss' kappa of the people (or simulated ones), and of all participants if there are models too. For each pair: the
    share of agreement and Cohen's kappa (1960). Only answers with a class count. Intervals: percentiles of the
    bootstrap over images. Pairs are of participants who were shown an adversarial image, or of all if none was
    (:func:`robustlaws.humans.analysis.responses.who_count`). With more than PAIRED participants no pairs are given.

    Parameters
    ----------
    both : list of Responses
        To each of the variants.
    settings : settings.Judging
    """
    everybody = np.ones(len(both[0].participants), bool) if both else np.zeros(0, bool)
    paired = who_count(both, everybody)
    return [row for responses in both for row in _rows(responses, paired, settings)]


def _rows(responses, paired, settings):
    there = responses.shown.any(axis=0)
    measures = [*_of_groups(responses.of(there)), *_of_pairs(responses.of(there & paired))]
    rng = np.random.default_rng(derive(settings.seed, "agreement", responses.variant))
    drawn = [[] for _ in measures]
    for weights in image_weights(rng, len(responses.images), settings.resamples) if measures else ():
        for values, (_, compute) in zip(drawn, measures, strict=True):
            values.append(compute(weights))
    rows = []
    for values, (about, compute) in zip(drawn, measures, strict=True):
        together = np.concatenate(values, axis=1)
        point = compute(np.ones((1, len(responses.images))))
        for place, measure in enumerate(about.pop("measures")):
            low, high = interval(together[place], settings.level)
            value = point[place, 0]
            rows.append({"measure": measure, "variant": responses.variant, "value": value, "low": low, "high": high})
            rows[-1] |= about
            if np.isnan(value):  # an interval of the resamples alone would be one of nothing
                rows[-1] |= {"low": np.nan, "high": np.nan}
    return rows


def _of_groups(responses):
    """Yield (what the rows say, function of weights (resamples, images) -> values (measures, resamples))."""
    people = responses.people
    for among, which in ((None, people), ("all", np.ones_like(people))):
        if which.sum() < 2 or (among == "all" and people.all()):  # all would say again what the people do
            continue
        group = responses.of(which)
        counts = class_counts(group)
        enough = counts.sum(axis=1) >= 2
        terms = _fleiss_terms(counts)
        about = {"measures": ("fleiss_kappa",), "among": among or str(group.kinds[0]), "images": int(enough.sum()),
                 "simulated": "simulated" in group.kinds}  # fmt: skip
        yield about, lambda weights, enough=enough, terms=terms: _fleiss(weights[:, enough], *terms)[None]


def _of_pairs(responses):
    """Yield the same of each two participants."""
    names = responses.participants
    if len(names) > PAIRED:
        log.warning("agreement: %d participants; of more than %d no pairs are given", len(names), PAIRED)
        return
    for first, second in combinations(range(len(names)), 2):
        chosen = responses.chosen[:, [first, second]]
        both = (chosen >= 0).all(axis=1)
        about = {"measures": ("agreement", "cohen_kappa"), "among": "pair", "first": names[first],
                 "second": names[second], "images": int(both.sum()),
                 "simulated": "simulated" in responses.kinds[[first, second]]}  # fmt: skip
        yield about, lambda weights, both=both, chosen=chosen: _of_two(weights[:, both], *chosen[both].T)


def class_counts(responses):
    """Return how many participants gave each class: int array (images, classes)."""
    classes = max(responses.chosen.max(initial=0), responses.labels.max(initial=0)) + 1
    return np.stack([(responses.chosen == label).sum(axis=1) for label in range(classes)], axis=1)


def _of_two(weights, first, second):
    """Return share of agreement and Cohen's kappa (2, resamples) where image i counts weights[:, i] times."""
    images = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = weights @ (first == second).astype(float) / images
        expected = np.zeros(len(weights))
        for label in np.intersect1d(first, second):
            expected += (weights @ (first == label)) / images * ((weights @ (second == label)) / images)
    return np.stack([observed, beyond_chance(observed, expected)])
