"""Parse the class and the confidence at the end of a vision model's reply.

A reply ends with "class, confidence" on its last line. Earlier lines are ignored. If that line leaves a doubt, the
reply has no class: nothing is guessed.
"""

import re
import unicodedata
from functools import lru_cache

_CONFIDENCES = {"low": "low", "lower": "low", "high": "high", "higher": "high"}
_WORDS = "|".join(sorted(_CONFIDENCES, key=len, reverse=True))
# Markdown and quotes are taken away; brackets and what replaces spaces become spaces.
_MARKS = str.maketrans(
    dict.fromkeys("*`\"'\u201c\u201d\u2018\u2019\u201e\u201a\u00ab\u00bb\u00b4", "")
    | dict.fromkeys("()[]{}<>_\t\xa0", " ")
)
_THOUGHTS = "</think>"
_SENTENCE_END = re.compile(r"(?:[.!?](?=\s)|:)")
_NEGATIONS = re.compile(r"(?<!\w)(?:no|not|nor|neither|never|cannot|cant|isnt|wasnt|arent|doesnt|rather|instead)(?!\w)")
_ENDS_WITH_CONFIDENCE = re.compile(rf"(?<!\w)(?:{_WORDS})[\s,;/|&\u2013\u2014-]*$")


def parse(text, class_names):
    """Return the class and confidence that a reply ends with, or None unless there is exactly one of each.

    Case, markdown, quotes, brackets, a final period and line breaks between the two do not matter. A sentence that
    names another class too, or says what the image is not, has no single class.

    Parameters
    ----------
    text : str
    class_names : sequence of str

    Returns
    -------
    (index of the class, "low" or "high"), or None
    """
    names, ending, within = _patterns(tuple(class_names))
    text = _plain(text.rpartition(_THOUGHTS)[2])
    if not names or not (matched := ending.search(text)):
        return None
    before = text[: matched.start()].rpartition("\n")[2]
    sentence = before[max((end.end() for end in _SENTENCE_END.finditer(before)), default=0) :]
    chosen = matched["name"]
    others = {match.group() for match in within.finditer(sentence)} - {chosen}
    doubtful = others or _NEGATIONS.search(sentence) or _ENDS_WITH_CONFIDENCE.search(sentence)
    index = names[" ".join(chosen.split())]
    if doubtful or index is None:
        return None
    return index, _CONFIDENCES[matched["confidence"]]


@lru_cache(maxsize=8)
def _patterns(class_names):
    """Return index by plain name (None where two classes share it), the pattern of an ending, that of any class."""
    plain = [_plain(name) for name in class_names]
    names = {name: index if plain.count(name) == 1 else None for index, name in enumerate(plain) if name}
    # of names that contain one another the longest counts; nothing that is joined to a name is a part of it
    any_name = "|".join(re.escape(name).replace(r"\ ", r"\s+") for name in sorted(names, key=len, reverse=True))
    ending = re.compile(
        rf"(?:^|(?<=[\s:=,;]))(?P<name>{any_name})(?:\s*[,;:/|\u2013\u2014]\s*|\s+-\s+|\s+)(?:with\s+)?(?:confidence\s*[:=]?\s*)?"
        rf"(?P<confidence>{_WORDS})(?:\s+confidence)?[\s.!,;]*$"
    )
    return names, ending, re.compile(rf"(?<!\w)(?:{any_name})(?!\w)")


def _plain(text):
    """Return `text` in one case, without marks, with single spaces; its lines stay lines."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(_MARKS)
    return "\n".join(" ".join(line.split()) for line in text.splitlines()).strip()
