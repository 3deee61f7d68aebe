"""The benchmark re-scored with people's answers and without invalid images."""

import numpy as np

from robustlaws.humans.analysis.bootstrap import interval, pooled_share, resampled_share
from robustlaws.intervals import exact_interval
from robustlaws.runtime.logger import log
from robustlaws.seeds import derive


def table(network_right, images, responses, verdict, settings):
    """Return the rows of columns.BENCHMARK.

    On all data: the network, the network and the mean person, the network and each participant. Images that the network
    classifies right under attack count as right for all participants. On images that fooled it, a participant gets
    their share right of those shown to them, and the mean person that of all people's pooled answers. On valid data the
    images judged invalid are left out, of numerator and denominator, and of what participants are measured on. If only
    a part of the fooling images was shown, the validity of the others is unknown, and there are no rows on valid data.

    The network alone has exact binomial intervals (Clopper and Pearson 1934), the others bootstrap intervals over
    images, the mean person over people too. On valid data the verdicts are held as judged: how far other participants
    would have judged otherwise is not in the interval.

    Parameters
    ----------
    network_right : int
        Images that the network classifies right under attack.
    images : int
        Images attacked.
    responses : Responses
        To the adversarial variant of images that fooled the network.
    verdict : str array (I,)
        Of each image of the responses.
    settings : settings.Judging

    Source: table 4 of the paper.
    """
    invalid = np.isin(verdict, ("deceptive", "ambiguous"))
    rows = []
    of = [("all", images, responses)]
    if len(invalid) < images - network_right:
        log.warning("benchmark: %d of %d images that fooled the network are shown; nobody knows how many of the others "
                    "are valid, so nothing is scored on valid data", len(invalid), images - network_right)  # fmt: skip
    else:
        of.append(("valid", images - int(invalid.sum()), responses.on(~invalid)))
    for data, count, kept in of:
        if not count:  # the network fooled everywhere, and every image invalid
            continue
        low, high = exact_interval(network_right, count, settings.level)
        # what is valid rests on the participants, whoever is scored on it
        simulated = data == "valid" and "simulated" in responses.kinds
        scores = [{"who": "network", "right": network_right, "low": low, "high": high, "simulated": simulated}]
        if kept.people.any():
            kind = str(kept.kinds[kept.people][0])
            scores += _scored(kept.of(kept.people), network_right, count, {"who": "human_mean", "kind": kind}, settings)
        for place, name in enumerate(kept.participants):
            about = {"who": "participant", "annotator_id": name, "kind": str(kept.kinds[place])}
            alone = kept.of(np.arange(len(kept.participants)) == place)
            scores += _scored(alone, network_right, count, about, settings)
        common = {"data": data, "images": count, "level": settings.level}
        for row in scores:
            accuracy = {"accuracy": row["right"] / count, "simulated": simulated or row["simulated"]}
            rows.append(common | row | accuracy)
    return rows


def _scored(responses, network_right, count, about, settings):
    """Return the row of the network and these participants together; none if they were shown nothing."""
    if not responses.shown.any():
        return []
    rng = np.random.default_rng(derive(settings.seed, "benchmark", *about.values()))
    fooled = count - network_right
    seen = responses.on(responses.shown.any(axis=1))
    others = count - len(seen.images)  # right for the network, or fooled it and shown to none of these participants
    drawn = []
    for weights, share in resampled_share(rng, seen.right, seen.shown, settings.resamples, more=others):
        shown = weights.sum(axis=1)
        unseen = rng.binomial(count - shown.astype(int), (fooled - len(seen.images)) / others if others else 0)
        wrong = shown + unseen  # for the network: where none of them is drawn, there is no share to know
        drawn.append(np.where(wrong > 0, 1 + wrong * (share - 1) / count, 1.0))
    low, high = interval(np.concatenate(drawn), settings.level)
    right = network_right + fooled * pooled_share(seen.right, seen.shown)
    return [about | {"right": right, "low": low, "high": high, "simulated": "simulated" in seen.kinds}]
