"""Presentation settings of a study for the web application."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

from robustlaws.data import shards
from robustlaws.humans.stimuli import class_names
from robustlaws.storage.atomic import read_json, write_json

LONGEST = 20_000  # characters of the text that participants consent to

CONSENT = """\
You will be shown small images, one after another, and asked what each of them shows. Every image belongs to one \
of the classes that are listed beside it. Some are hard to tell: choose the class that fits best, and say \
whether your confidence is low or high.

There are two parts, each in batches. You may rest after each batch, close the page at any time and come back \
later with your code: every answer is kept as soon as you give it.

What is kept is your code's name, when you agreed to take part, and for each image the class and the confidence that \
you choose, when, and how long that took, also of answers that you take back. If a request of your browser has to be \
refused, a log notes when and why: with your code's name once you have come in, and before that, such as for a \
mistyped code, with your network address and no name. Nothing else is asked of you or recorded. The answers may be \
published without your name.

Taking part is your own choice. You may stop at any time without giving a reason."""


@dataclass(frozen=True)
class Presentation:
    """Texts and settings of the web application beside the images (presentation.json)."""

    study: str
    page: str  # single: one image at a time; batch: a page for each batch
    smooth: bool
    enlarged: int  # pixels of the screen along an image
    contact: str  # "": not said
    image_seconds: float | None
    answer_seconds: float | None
    classes: list[str]  # names in the order of the labels
    consent: str  # paragraphs separated by blank lines
    image: list[int]  # height, width, channels


def write(*, images_path, consent_paths, presentation_path, settings):
    """Write how the study is shown.

    Parameters
    ----------
    images_path : path
        Shard of the split's images: the names of the classes, the size of the images.
    consent_paths : list of path
        A text file (UTF-8) with what participants consent to, or none for a text that fits most studies.
    presentation_path : path
        JSON file to write.
    settings : settings.Presentation

    Raises
    ------
    ValueError
        If a file cannot be read, or the consent is empty or too long.
    """
    content = Presentation(
        **asdict(settings),
        classes=class_names.names(images_path),
        consent=_consent(consent_paths[0]) if consent_paths else CONSENT,
        image=[int(length) for length in shards.image_shape(images_path)],
    )
    write_json(presentation_path, asdict(content))


def read(path):
    """Return the :class:`Presentation` at `path`; ValueError if it is none."""
    content = read_json(path)
    names = {field.name for field in fields(Presentation)}
    given = set(content) if isinstance(content, dict) else set()
    if given != names:
        what = ", ".join(sorted(names ^ given))
        raise ValueError(f"{path}: not how a study is shown (missing or unknown: {what}); make it again")
    return Presentation(**content)


def _consent(path):
    try:
        text = Path(path).read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}); give a text file with the consent") from None
    if not text:
        raise ValueError(f"{path}: empty; write what participants consent to, or leave the setting out")
    if len(text) > LONGEST:
        raise ValueError(f"{path}: {len(text)} characters; at most {LONGEST} are shown to participants")
    return text
