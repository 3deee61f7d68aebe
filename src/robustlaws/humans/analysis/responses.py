"""Answers to one variant of the images as arrays: one row an image, one column a participant."""

from dataclasses import dataclass, replace

import numpy as np

from robustlaws.humans import CONFIDENCES

NO_CLASS, NOT_SHOWN = -1, -2
NOT_SAID = -1  # of a confidence


@dataclass(frozen=True)
class Responses:
    """Participants' answers to one variant of the images of a study, without attention checks.

    `participants`, `kinds` (P,): names and kinds, people first; `images` (I,): positions in the split, ascending;
    `labels`, `predictions` (I,): true class, and that of the network for the adversarial variant; `chosen` (I, P):
    class, NO_CLASS or NOT_SHOWN; `confidence` (I, P): position in CONFIDENCES, or NOT_SAID.
    """

    variant: str
    participants: tuple[str, ...]
    kinds: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    chosen: np.ndarray
    confidence: np.ndarray

    @property
    def shown(self):
        """Bool array (I, P): which images each participant was shown."""
        return self.chosen != NOT_SHOWN

    @property
    def right(self):
        """Bool array (I, P): which each classified right."""
        return self.chosen == self.labels[:, None]

    @property
    def people(self):
        """Bool array (P,): persons, or simulated ones; no models."""
        return self.kinds != "model"

    def of(self, which):
        """Return the answers of these participants alone: `which` bool array (P,)."""
        names = tuple(name for name, kept in zip(self.participants, which, strict=True) if kept)
        return replace(self, participants=names, kinds=self.kinds[which], chosen=self.chosen[:, which],
                       confidence=self.confidence[:, which])  # fmt: skip

    def on(self, which):
        """Return the answers to these images alone: `which` bool array (I,)."""
        return replace(self, images=self.images[which], labels=self.labels[which], predictions=self.predictions[which],
                       chosen=self.chosen[which], confidence=self.confidence[which])  # fmt: skip


def who_count(both, among):
    """Return which of some participants are those of the study: who were shown an adversarial image.

    If none was, all count. So people who classified clean images elsewhere, as CIFAR-10H's thousands, do not count in a
    mean beside the people of the study. It compares clean and adversarial images.

    Parameters
    ----------
    both : list of Responses
        To each of the variants, of the same participants.
    among : bool array (P,)

    Returns
    -------
    bool array (P,)
    """
    counting = among & np.any(
        [variant.shown.any(axis=0) for variant in both if variant.variant == "adversarial"], axis=0
    )
    return counting if counting.any() else among


def gather(answers, key, variant):
    """Return the :class:`Responses` to one variant.

    Parameters
    ----------
    answers : data frame of columns.ANSWERS
    key : data frame of columns.STIMULUS_KEY
    variant : str
        One of VARIANTS.

    Raises
    ------
    ValueError
        If someone answered an image twice, or one that is not in the key, or people and simulated participants
        are in one table: what they say together would be neither.
    """
    asked = key[(key["variant"] == variant) & ~key["is_attn_check"]].sort_values("index")
    images = asked["index"].to_numpy()
    participants, kinds = _participants(answers)
    given = answers[(answers["variant"] == variant) & (answers["is_attn_check"] == 0)]
    index = given["cifar10_test_test_idx"].to_numpy(dtype="int64")
    row = np.searchsorted(images, index)
    unknown = np.ones(len(index), bool) if not len(images) else images[np.minimum(row, len(images) - 1)] != index
    if unknown.any():
        raise ValueError(f"answers: image {index[unknown][0]} ({variant}) is none of the stimuli; gather them anew")
    places = {name: place for place, name in enumerate(participants)}
    column = given["annotator_id"].map(places).to_numpy(dtype="int64")
    twice = np.bincount(row * len(participants) + column, minlength=1).max() > 1
    if twice:
        raise ValueError(f"answers: a participant answered an image ({variant}) twice; gather them anew")
    chosen = np.full((len(images), len(participants)), NOT_SHOWN, dtype="int32")
    confidence = np.full(chosen.shape, NOT_SAID, dtype="int8")
    chosen[row, column] = given["chosen_label"].fillna(NO_CLASS).to_numpy(dtype="int32")
    for place, name in enumerate(CONFIDENCES):
        at_level = (given["confidence"] == name).to_numpy(dtype=bool)
        confidence[row[at_level], column[at_level]] = place
    return Responses(variant, participants, kinds, images, asked["label"].to_numpy(),
                     asked["adversarial_prediction"].to_numpy(), chosen, confidence)  # fmt: skip


def _participants(answers):
    """Return names (tuple) and kinds (array) of all who answered, people first and by name."""
    annotators = answers[["annotator_id", "kind"]].drop_duplicates()
    if {"person", "simulated"} <= set(annotators["kind"]):
        raise ValueError("answers: of people and of simulated participants; judge the one or the other")
    again = annotators[annotators["annotator_id"].duplicated()]
    if len(again):
        raise ValueError(f"answers: {again['annotator_id'].iloc[0]} is of two kinds; a participant is of one")
    order = sorted(zip(annotators["annotator_id"], annotators["kind"], strict=True), key=_place)
    return tuple(name for name, _ in order), np.array([kind for _, kind in order], dtype=object)


def _place(participant):
    """Return the sort key of a participant (name, kind): people first, then by name, final numbers by size."""
    name, kind = participant
    return kind == "model", name.rstrip("0123456789"), len(name), name
