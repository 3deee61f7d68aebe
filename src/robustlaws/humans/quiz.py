"""A self-contained quiz page with images that fooled a network, and results beside those of participants.

The page needs no server and no network. Its content security policy allows its own script and style, by their digests,
and nothing else.
"""

import base64
import hashlib
import json
from importlib.resources import files

import numpy as np
import pandas as pd

from robustlaws.formatting import html
from robustlaws.humans.stimuli import class_names
from robustlaws.seeds import derive
from robustlaws.storage import human_tables, tables
from robustlaws.storage.atomic import write_text

_SCRIPT, _STYLE, _TEMPLATE = "quiz.js", "quiz.style.j2", "humans/quiz.html.j2"


def draw(*, stimuli_path, key_path, answers_path, validity_path, images_path, page_path, settings):
    """Write the quiz.

    The images are drawn at random from those whose attacked version fools the network, so the network gets none of them
    right. Participants are the people who answered, or else simulated ones, named so.

    Parameters
    ----------
    stimuli_path, key_path, answers_path, validity_path : path
        human_tables.STIMULI, STIMULUS_KEY, ANSWERS and VALIDITY.
    images_path : path
        Shard of the split: the names of the classes.
    page_path : path
        HTML page to write.
    settings : settings.Quiz

    Raises
    ------
    ValueError
        If a file is not such a table, or the stimuli are not those of the key.
    """
    key = tables.read(key_path, human_tables.STIMULUS_KEY)
    pictures = tables.read(stimuli_path, human_tables.STIMULI).set_index("id")["png"]
    if missing := sorted(set(key["id"]) - set(pictures.index)):
        raise ValueError(f"{stimuli_path}: no image {missing[0]}, which {key_path} has; they are of different studies")
    shown = _chosen(key, settings)
    who = _participants(tables.read(answers_path, human_tables.ANSWERS), shown)
    verdicts = tables.read(validity_path, human_tables.VALIDITY).set_index(["split", "index"])["verdict"].to_dict()
    clean = key[(key["variant"] == "clean") & ~key["is_attn_check"]].set_index("index")["id"]
    data = {
        "classes": class_names.names(images_path, key),
        "images": [{"attacked": _text(pictures[row["id"]]), "clean": _text(pictures[clean[row["index"]]])}
                   for row in shown],
        "answers": _text(json.dumps([_answer(row, who, verdicts) for row in shown]).encode()),
        "scores": _scores(who, {row["index"]: row["label"] for row in shown}),
        "simulated": who["kind"] == "simulated",
        "smooth": settings.smooth,
    }  # fmt: skip
    data["state"] = "robustlaws quiz " + hashlib.sha256(json.dumps(data).encode()).hexdigest()[:16]
    script, style = (
        files("robustlaws.humans").joinpath(name).read_text(encoding="utf-8") for name in (_SCRIPT, _STYLE)
    )
    digests = {"script_digest": _digest(script), "style_digest": _digest(style)}
    page = html.page(
        _TEMPLATE, study=settings.study, data=data, count=len(shown), script=script, style=style, **digests
    )
    write_text(page_path, page)


def _chosen(key, settings):
    """Return the rows (dicts) of the attacked images that are shown, in their order."""
    fooled = key[
        (key["variant"] == "adversarial") & ~key["is_attn_check"] & (key["adversarial_prediction"] != key["label"])
    ].sort_values("index", kind="stable")
    rng = np.random.default_rng(derive(settings.seed, "quiz", "images"))
    return fooled.iloc[rng.permutation(len(fooled))[: settings.images]].to_dict("records")


def _participants(answers, shown):
    """Return the answers to the attacked images shown; None for an answer without a class.

    They are those of people or, without any, of simulated participants, and those of models.
    """
    wanted = {(row["split"], row["index"]) for row in shown}
    answers = answers[(answers["variant"] == "adversarial") & (answers["is_attn_check"] == 0)]
    kind = next((kind for kind in ("person", "simulated") if (answers["kind"] == kind).any()), None)
    participants = {"kind": kind, "given": {}, "models": {}}
    fields = ("annotator_id", "kind", "split", "cifar10_test_test_idx", "chosen_label")
    for name, of, split, index, label in answers[list(fields)].itertuples(index=False):
        place = {kind: "given", "model": "models"}.get(of)
        if place and (split, index) in wanted:
            participants[place].setdefault(name, {})[index] = None if pd.isna(label) else int(label)
    return participants


def _answer(row, who, verdicts):
    """Return the text of an image after the visitor's answer."""
    index = row["index"]
    given = [answers[index] for answers in who["given"].values() if index in answers]
    named = [label for label in given if label is not None]
    votes = sorted(((label, named.count(label)) for label in set(named)), key=lambda vote: (-vote[1], vote[0]))
    models = [[name, answers[index]] for name, answers in who["models"].items() if index in answers]
    return {
        "label": row["label"],
        "network": row["adversarial_prediction"],
        "votes": votes,
        "without": len(given) - len(named),
        "models": models,
        "verdict": verdicts.get((row["split"], index), "unjudged"),
        "name": f"{row['split']} image {index}",
    }


def _scores(who, labels):
    """Return the mean share right of the participants, and each model's, of the images shown that they were asked."""

    def share(answers):
        return sum(label == labels[index] for index, label in answers.items()) / len(answers)

    given = [share(answers) for answers in who["given"].values()]
    return {
        "participants": {"count": len(given), "share": float(np.mean(given)) if given else None},
        "models": [[name, share(answers)] for name, answers in who["models"].items()],
    }


def _text(data):
    return base64.b64encode(data).decode("ascii")


def _digest(text):
    return _text(hashlib.sha256(text.encode("utf-8")).digest())
