"""Classification accuracy of each participant, and of the mean of each kind."""

import numpy as np

from robustlaws.humans import CONFIDENCES
from robustlaws.humans.analysis.bootstrap import interval, pooled_share, resampled_share
from robustlaws.humans.analysis.responses import NO_CLASS, who_count
from robustlaws.intervals import exact_interval
from robustlaws.seeds import derive


def table(both, settings):
    """Return the rows of columns.HUMAN_ACCURACY.

    Each participant has exact binomial intervals (Clopper and Pearson 1934). The mean of a kind has a bootstrap
    interval over images and participants, or over images alone with one participant. The mean of both variants is over
    the participants who were shown an adversarial image, or over all if none was
    (:func:`robustlaws.humans.analysis.responses.who_count`). Their answers are pooled. An answer without a class counts
    as wrong, and among those of any confidence.

    Parameters
    ----------
    both : list of Responses
        To each of the variants.
    settings : settings.Judging
    """
    rows = []
    for responses in both:
        for place in range(len(responses.participants)):
            rows += _participant_rows(responses, place, settings.level)
        for kind in dict.fromkeys(responses.kinds):
            rows += _mean_rows(responses.of(who_count(both, responses.kinds == kind)), kind, settings)
    return rows


def _by_confidence(responses):
    """Return, of any, low and high confidence, which images were answered so: bool arrays (I, P)."""
    by_level = {name: responses.confidence == place for place, name in enumerate(CONFIDENCES)}
    return {"any": responses.shown} | by_level


def _participant_rows(responses, place, level):
    """Return the rows of one participant, none if the variant was never shown."""
    alone = responses.of(np.arange(len(responses.participants)) == place)
    if not alone.shown.any():
        return []
    rows = []
    for confidence, among in _by_confidence(alone).items():
        images, right = int(among.sum()), int((among & alone.right).sum())
        low, high = exact_interval(right, images, level) if images else (None, None)
        rows.append({
            "annotator_id": alone.participants[0], "kind": alone.kinds[0], "variant": alone.variant,
            "confidence": confidence, "images": images, "right": right,
            "accuracy": right / images if images else None, "low": low, "high": high,
            "without_class": int((among & (alone.chosen == NO_CLASS)).sum()),
        })  # fmt: skip
    return rows


def _mean_rows(responses, kind, settings):
    """Return the rows of the mean participant of a kind, none if the variant was never shown to one."""
    responses = responses.on(responses.shown.any(axis=1))
    if not responses.shown.any():
        return []
    rows = []
    for confidence, among in _by_confidence(responses).items():
        mean, low, high = None, None, None
        if among.any():
            rng = np.random.default_rng(derive(settings.seed, "accuracy", responses.variant, kind, confidence))
            drawn = resampled_share(rng, responses.right, among, settings.resamples)
            mean = pooled_share(responses.right, among)
            low, high = interval(np.concatenate([shares for _, shares in drawn]), settings.level)
        rows.append({
            "annotator_id": None, "kind": kind, "variant": responses.variant, "confidence": confidence,
            "images": int(among.sum()), "right": int((among & responses.right).sum()), "accuracy": mean,
            "low": low, "high": high, "without_class": int((among & (responses.chosen == NO_CLASS)).sum()),
        })  # fmt: skip
    return rows
