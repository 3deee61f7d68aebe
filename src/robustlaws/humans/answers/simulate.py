"""Simulated participants, to try a study before people take part.

Their answers follow the settings and say nothing of people. In every table their kind is "simulated".

A probit model as in item response theory. Participant p classifies image i right if threshold + SKILL s_p - DIFFICULTY
d_i + e > 0, with s_p, d_i, e standard normal. The skill s_p is the participant's in all answers, the difficulty d_i the
image's for all participants and both variants; e is drawn for each answer. The sum of the three has the variance 1 +
SKILL^2 + DIFFICULTY^2. So the threshold quantile(accuracy) sqrt(1 + SKILL^2 + DIFFICULTY^2) gives a variant the
expected accuracy of the settings. A wrong answer to an adversarial image is the network's class in the share `follow`
of cases, else any other wrong one. High confidence is more frequent for right answers and easy images. Reaction times
are lognormal, longer for difficult images and at low confidence.
"""

import numpy as np
from scipy.special import ndtr, ndtri

from robustlaws.humans.answers.collect import INDEX
from robustlaws.humans.stimuli import class_names
from robustlaws.seeds import derive
from robustlaws.storage import human_tables, tables

SKILL, DIFFICULTY = 0.25, 1.0
_SURE, _SURE_RIGHT, _SURE_EASY = -0.4, 1.1, 0.5  # of high confidence, in the same scale
_MEDIAN_MS, _SLOWER_DIFFICULT, _SLOWER_LOW, _SPREAD_MS = 1100.0, 0.2, 0.5, 0.4  # logarithmic but for the first


def simulate(*, key_path, images_path, answers_path, settings):
    """Write what made-up participants answer to all stimuli, attention checks too.

    Every answer depends on seed, image and participant alone: more of either changes no other answer.

    Parameters
    ----------
    key_path : path
        human_tables.STIMULUS_KEY.
    images_path : path
        Shard of the split, for the names of the classes.
    answers_path : path
        Parquet to write: human_tables.ANSWERS, of kind simulated.
    settings : settings.Simulation

    Raises
    ------
    ValueError
        If there is one class alone, so that no answer can be wrong.
    """
    key = tables.read(key_path, human_tables.STIMULUS_KEY)
    names = class_names.names(images_path, key)
    if len(names) < 2:
        raise ValueError(f"{images_path}: one class alone; answers can be simulated from two on")
    again = key.groupby(["split", "index", "variant"]).cumcount()  # attention checks come in both parts
    difficulty = [
        _normal(settings.seed, "difficulty", *which) for which in zip(key["split"], key["index"], strict=True)
    ]
    stimuli = key.assign(again=again, difficulty=difficulty).to_dict("records")
    rows = []
    for number in range(1, settings.participants + 1):
        participant = f"simulated-{number}"
        skill = _normal(settings.seed, "skill", participant)
        rows += [_answer(stimulus, participant, skill, names, settings) for stimulus in stimuli]
    tables.write(answers_path, rows, human_tables.ANSWERS)


def _answer(stimulus, participant, skill, names, settings):
    """Return the row of one answer."""
    split, index, variant = stimulus["split"], int(stimulus["index"]), stimulus["variant"]
    label, difficulty = int(stimulus["label"]), stimulus["difficulty"]
    occasion = (split, index, variant, int(stimulus["again"]), participant)
    noise, follow, other, sure, pace = _uniform(5, settings.seed, "answer", *occasion)
    accuracy = settings.clean_accuracy if variant == "clean" else settings.adversarial_accuracy
    threshold = ndtri(accuracy) * np.sqrt(1 + SKILL**2 + DIFFICULTY**2)
    right = bool(threshold + SKILL * skill - DIFFICULTY * difficulty + ndtri(noise) > 0)
    chosen = label
    if not right:
        network = int(stimulus["adversarial_prediction"]) if variant == "adversarial" else label
        chosen = _wrong(label, network, follow < settings.follow, other, len(names))
    high = bool(sure < ndtr(_SURE + _SURE_RIGHT * right - _SURE_EASY * difficulty))
    slower = _SLOWER_DIFFICULT * difficulty + _SLOWER_LOW * (not high) + _SPREAD_MS * ndtri(pace)
    return {
        "annotator_id": participant, "kind": "simulated", "is_attn_check": int(stimulus["is_attn_check"]),
        "true_category": names[label], "chosen_category": names[chosen], "true_label": label, "chosen_label": chosen,
        "correct_guess": int(right), INDEX: index, "reaction_time": round(_MEDIAN_MS * float(np.exp(slower))),
        "split": split, "variant": variant, "confidence": "high" if high else "low", "status": "answered",
        "stimulus": stimulus["id"],
    }  # fmt: skip


def _wrong(label, network, follows, other, classes):
    """Return a wrong class: that of the network, where it is one and is followed, else any that is neither."""
    if network != label and (follows or classes == 2):
        return network
    rest = [index for index in range(classes) if index not in (label, network)]
    return rest[int(other * len(rest))]


def _uniform(count, *names):
    """Return `count` numbers in (0, 1) that are a function of the names alone."""
    # from the middle of 2**53 cells, so that 0, whose quantile is none, is never drawn
    return (np.random.default_rng(derive(*names)).random(count) * (1 - 2**-52) + 2**-53).tolist()


def _normal(*names):
    """Return a standard normal number that is a function of the names alone."""
    return float(ndtri(_uniform(1, *names)[0]))
