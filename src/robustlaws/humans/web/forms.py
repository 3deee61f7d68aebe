"""Validation of submitted forms: known fields only, each once."""

import math
from urllib.parse import parse_qsl

from robustlaws.humans import CONFIDENCES
from robustlaws.humans.web.request_guard import Refusal

_LONGEST = 300  # characters of a field


def fields(body, *known):
    """Return the fields of a form as a dict of str; those of `known` that it lacks are "".

    Raises
    ------
    Refusal
        If it is none, or has other fields or one twice.
    """
    try:
        pairs = parse_qsl(body.decode("ascii"), True, True, errors="strict", max_num_fields=len(known))
    except ValueError:
        raise Refusal(400, "this is not one of the forms of these pages") from None
    values = dict(pairs)
    if (
        len(values) < len(pairs)
        or not values.keys() <= set(known)
        or any(len(text) > _LONGEST for text in values.values())
    ):
        raise Refusal(400, "this is not one of the forms of these pages")
    return {name: values.get(name, "") for name in known}


def answer(values, classes):
    """Return an answer's class, confidence and elapsed time (ms) from the fields of its form; None what it lacks.

    Raises
    ------
    Refusal
        If the class is none of `classes` classes, it has no confidence, or the time is no number.
    """
    chosen, confidence, elapsed = values["class"], values["confidence"], values["elapsed"]
    if chosen and not (chosen.isascii() and chosen.isdigit() and len(chosen) < 6 and int(chosen) < classes):
        raise Refusal(400, "there is no such class")
    if chosen and confidence not in CONFIDENCES:
        raise Refusal(400, "choose a class and how sure you are")
    return (int(chosen), confidence, _time(elapsed)) if chosen else (None, None, _time(elapsed))


def _time(text):
    try:
        elapsed = float(text) if text else None
    except ValueError:
        elapsed = math.nan
    if elapsed is not None and not math.isfinite(elapsed):
        raise Refusal(400, "the time is not a number")
    return elapsed
