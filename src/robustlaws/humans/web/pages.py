"""The pages of the web application, as HTML text.

Every page works without scripts; `static/answers.js` adds the keyboard, the saving of each answer at once and the
measured times. A page reveals only the id and the place of an image. Participants see nothing beyond these pages. No
page holds a script or a style of its own, so that the strictest content policy fits.
"""

from dataclasses import dataclass
from math import ceil

from robustlaws.formatting import html

_SECONDS_AN_IMAGE = (3, 6)  # that people take, for the time that the consent page promises
# That every keyboard has, or has behind Shift; l, h and u are of the confidences and of undo.
_NAME_KEYS = set("0123456789abcdefghijklmnopqrstuvwxyz") - set("lhu")
_NUMBER_KEYS = "1234567890"


@dataclass(frozen=True)
class Picture:
    """One image as a participant sees it."""

    id: str
    token: str  # goes back with the answer, once
    position: int  # in the batch, from 1
    chosen: int | None  # class that was answered
    confidence: str | None
    seconds_left: float | None  # to answer; None: no limit
    image_seconds_left: float | None  # until the image is hidden; None: never


@dataclass(frozen=True)
class Progress:
    """Progress of a participant. Parts and batches count from 1; images are those of all parts."""

    part: int
    parts: int
    batch: int
    batches: int
    answered_in_batch: int
    images_in_batch: int
    answered: int
    images: int


def enter(*, study, problem=""):
    """Return the page that asks for the personal code."""
    return _page("enter", study=study, problem=problem)


def consent(*, presentation, csrf, name, images, batches, problem="", simulated=False):
    """Return the page that says what is done, and asks whether the participant agrees."""
    paragraphs = [part.strip() for part in presentation.consent.split("\n\n") if part.strip()]
    minutes = [ceil(images * seconds / 60) for seconds in _SECONDS_AN_IMAGE]
    return _page(
        "consent",
        presentation=presentation,
        study=presentation.study,
        csrf=csrf,
        name=name,
        images=images,
        batches=batches,
        problem=problem,
        simulated=simulated,
        paragraphs=paragraphs,
        minutes=minutes,
        keys=_keys(presentation.classes),
    )


def single(*, presentation, csrf, name, picture, progress, undo, problem="", simulated=False):
    """Return the page of one image; `undo` is whether there is an answer to take back."""
    return _answering("single", presentation, csrf, name, [picture], progress, undo, problem, simulated)


def batch(*, presentation, csrf, name, pictures, progress, undo, problem="", simulated=False):
    """Return the page of all images of a batch, each with a form of its own."""
    return _answering("batch", presentation, csrf, name, pictures, progress, undo, problem, simulated)


def rest(*, presentation, csrf, name, progress, undo=False, simulated=False):
    """Return the break after the batch that `progress` describes; `undo` as of :func:`single`."""
    return _page(
        "rest",
        presentation=presentation,
        study=presentation.study,
        csrf=csrf,
        name=name,
        progress=progress,
        undo=undo,
        simulated=simulated,
    )


def finished(*, presentation, csrf, name, progress, undo=False, simulated=False):
    """Return the page after the last answer; `undo` as of :func:`single`."""
    return _page(
        "finished",
        presentation=presentation,
        study=presentation.study,
        csrf=csrf,
        name=name,
        progress=progress,
        undo=undo,
        simulated=simulated,
    )


def organiser(*, study, csrf, rows, totals, simulated):
    """Return the organiser's table of who is how far.

    Parameters
    ----------
    rows : list of dict
        For each participant name, kind, state, answered, images, batch, minutes, per_minute, checks_right, checks and
        last_seen; None where there is nothing to tell.
    totals : dict of str
        Content of the page, by name.
    simulated : bool
        Whether participants are simulated.
    """
    return _page("organiser", study=study, csrf=csrf, rows=rows, totals=totals, simulated=simulated)


def problem(*, title, text, simulated=False):
    """Return a page that says what went wrong."""
    return _page("problem", title=title, text=text, simulated=simulated)


def _answering(template, presentation, csrf, name, pictures, progress, undo, problem, simulated):
    height, width = presentation.image[:2]
    scale = presentation.enlarged / max(height, width)
    return _page(
        template,
        presentation=presentation,
        study=presentation.study,
        csrf=csrf,
        name=name,
        pictures=pictures,
        progress=progress,
        undo=undo,
        problem=problem,
        simulated=simulated,
        keys=_keys(presentation.classes),
        width=round(width * scale),
        height=round(height * scale),
        short=max(map(len, presentation.classes)) <= 3,  # then more of them fit in a row
    )


def _keys(classes):
    """Return the keys of the classes: their names if all are free letters or digits, else places; "" beyond ten."""
    names = [name.lower() for name in classes]
    if set(names) <= _NAME_KEYS and len(set(names)) == len(names):
        return names
    return [_NUMBER_KEYS[place] if place < len(_NUMBER_KEYS) else "" for place in range(len(classes))]


def _page(template, **known):
    return html.page(f"humans/web/templates/{template}.html.j2", **known)
