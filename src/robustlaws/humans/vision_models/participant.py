"""A vision model as a participant: requests for each image, and its parsed replies."""

import base64
import hashlib
import io
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image

from robustlaws.humans import VARIANTS
from robustlaws.humans.stimuli import class_names
from robustlaws.humans.vision_models import endpoint, parse_reply
from robustlaws.humans.vision_models import replies as recorded
from robustlaws.humans.vision_models.budget import Spending
from robustlaws.humans.vision_models.requests import Requests
from robustlaws.runtime import folder_lock
from robustlaws.runtime.logger import log
from robustlaws.storage import human_tables, tables

_OURS = ("model", "messages", "stream", "n")  # of a request; not for the parameters
_LOCK_SECONDS = 60.0  # to wait for another job that asks the same: one that was killed may not be gone yet


@dataclass(frozen=True)
class _Trial:
    """One image to be classified: its row of stimuli and key, and the digest of the request."""

    row: dict
    request: str


def ask(*, stimuli_path, key_path, images_path, prompt_paths, replay_paths, answers_path, settings, asking, key):
    """Ask a vision model for the class of each image, and write its answers.

    The replies are kept as they come, in `<answers_path without suffix>.replies.jsonl`
    (:mod:`robustlaws.humans.vision_models.replies`): what has one there is never asked again. A changed prompt,
    model, address, image or parameter is another request. Images that are the same pixel by pixel share one.

    Parameters
    ----------
    stimuli_path, key_path : path
        Tables STIMULI and STIMULUS_KEY. Attention checks are left out.
    images_path : path
        Shard of the clean images: names of the classes.
    prompt_paths : list of path
        None, or one text file: what goes with each image. `{classes}` and `{number}` become the names of the classes
        and how many they are.
    replay_paths : list of path
        None, or with `settings.replay` one file of recorded replies; then nothing is asked.
    answers_path : path
        Written as table ANSWERS, once every image has a reply. A reply that was refused or ends otherwise than the
        prompt asks for has no class.
    settings : settings.VisionModel
    asking : settings.Asking
    key : str or None
        Of the endpoint; written nowhere.

    Raises
    ------
    ValueError
        If the inputs do not fit together, a setting is impossible, or images are left without a reply, and why.
    """
    names = class_names.names(images_path)
    prompt = _prompt(prompt_paths, names)
    parameters = _parameters(settings)
    rows = _shown(stimuli_path, key_path, settings)
    address = settings.address or endpoint.OPENAI
    trials = [_Trial(row, _digest(row["png"], prompt, parameters, address, settings)) for row in rows]
    if settings.replay:
        replies = _replayed(replay_paths, trials, settings)
        _write(answers_path, trials, replies, names, settings)
        return
    if replay_paths:
        raise ValueError(f"{replay_paths[0]}: recorded replies are for a model with replay only")
    path = Path(answers_path).with_suffix(".replies.jsonl")
    # before anything is asked: a wrong price, address or key
    largest = max((_size(row["png"], settings.enlarged) for row in rows), default=settings.enlarged)
    spending = Spending(asking.price, asking.cost_limit, prompt, largest, parameters)
    client = endpoint.Endpoint(settings.address, key, asking.key, asking.timeout)
    lock = path.with_name(f".{path.name}.lock")
    with folder_lock.locked(lock, seconds=_LOCK_SECONDS), recorded.opened(path) as replies:
        body = partial(_body, prompt=prompt, parameters=parameters, settings=settings)
        _ask_the_rest(trials, body, client, replies, spending, names, settings, asking)
        _write(answers_path, trials, replies, names, settings)
        shutil.rmtree(lock, ignore_errors=True)


def _prompt(paths, names):
    """Return the prompt with the classes in their place."""
    default = resources.files("robustlaws.humans.vision_models") / "participant.prompt.txt"
    try:
        text = (Path(paths[0]) if paths else default).read_text(encoding="utf-8").removeprefix("\ufeff").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{paths[0]}: not a text in UTF-8; save the prompt as such") from None
    if not text:
        raise ValueError(f"{paths[0]}: empty; write the prompt there, or leave the setting out for the default one")
    return text.replace("{classes}", ", ".join(names)).replace("{number}", str(len(names)))


def _parameters(settings):
    """Return the further entries of a request: temperature 0 and the settings', without those that are null."""
    if ours := [name for name in _OURS if name in settings.parameters]:
        raise ValueError(f"parameters of {settings.name}: {ours[0]} is not for them, it is set by the job itself")
    return {name: value for name, value in ({"temperature": 0} | settings.parameters).items() if value is not None}


def _shown(stimuli_path, key_path, settings):
    """Return the images to classify, in the order of the stimuli, as dicts of both tables."""
    if unknown := set(settings.variants) - set(VARIANTS):
        raise ValueError(f"variants of {settings.name}: unknown {min(unknown)!r}; known: {', '.join(VARIANTS)}")
    stimuli = tables.read(stimuli_path, human_tables.STIMULI)
    key = tables.read(key_path, human_tables.STIMULUS_KEY)
    both = stimuli.merge(key, on="id", how="left", validate="one_to_one", indicator=True)
    if (both["_merge"] != "both").any():
        lost = both.loc[both["_merge"] != "both", "id"].iloc[0]
        raise ValueError(f"{key_path}: no image {lost}, which {stimuli_path} holds; make both again")
    both = both.drop(columns="_merge").sort_values(["part", "batch", "position"], kind="stable")
    both = both[~both["is_attn_check"] & both["variant"].isin(settings.variants)]
    if settings.images is not None:
        both = both[both.groupby("variant").cumcount() < settings.images]
    return both.to_dict("records")


def _picture(png):
    try:
        picture = Image.open(io.BytesIO(png))
        return picture.convert("RGB")  # not all endpoints take one channel
    except OSError:
        raise ValueError("the stimuli hold an image that is no PNG; make them again") from None


def _factor(picture, enlarged):
    return max(1, round(enlarged / max(picture.size)))


def _size(png, enlarged):
    """Return the pixels along the image that is sent."""
    picture = _picture(png)
    return max(picture.size) * _factor(picture, enlarged)


def _digest(png, prompt, parameters, address, settings):
    """Return the digest that identifies a request: by the pixels, which outlast the encoder of their file."""
    picture = _picture(png)
    factor = _factor(picture, settings.enlarged)
    question = {
        "address": address,
        "model": settings.model,
        "prompt": prompt,
        "parameters": parameters,
        "image": hashlib.sha256(np.asarray(picture).tobytes()).hexdigest(),
        "size": picture.size,
        "factor": factor,
        "smooth": settings.smooth and factor > 1,
    }
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()


def _body(png, *, prompt, parameters, settings):
    """Return the request for one image."""
    picture = _picture(png)
    factor = _factor(picture, settings.enlarged)
    how = Image.Resampling.BICUBIC if settings.smooth else Image.Resampling.NEAREST
    file = io.BytesIO()
    picture.resize((picture.width * factor, picture.height * factor), how).save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    content = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": url}}]
    return {"model": settings.model, "messages": [{"role": "user", "content": content}], **parameters}


def _ask_the_rest(trials, body, client, replies, spending, names, settings, asking):
    spending.spent = spending.total(replies.lines)
    wanted = {trial.request: trial.row for trial in trials}
    for request in wanted.keys() & replies.by_request.keys():
        spending.learn(replies.by_request[request]["usage"])
    rest = [
        (request, row["id"], partial(body, row["png"]))
        for request, row in wanted.items()
        if request not in replies.by_request
    ]
    done = len(wanted) - len(rest)
    log.info("%s: %s images, %s with a reply, %s to ask", settings.name, len(wanted), done, len(rest))
    if rest:
        status = partial(_status, names=names)
        Requests(
            rest, endpoint=client, replies=replies, spending=spending, settings=settings, how=asking, status=status,
            done=done,
        ).run()  # fmt: skip


def _replayed(replay_paths, trials, settings):
    if not replay_paths:
        raise ValueError(f"{settings.name}: replay without a file of recorded replies; name one")
    replies = recorded.read(replay_paths[0])
    missing = [trial for trial in trials if trial.request not in replies.by_request]
    if missing:
        raise ValueError(
            f"{replay_paths[0]}: no recorded reply for {len(missing):,} of {len(trials):,} images (the first is "
            f"{missing[0].row['id']}); address, model, prompt, parameters and images must be as they were recorded"
        )
    log.info("%s: %s recorded replies of %s; nothing is asked", settings.name, len(trials), replay_paths[0])
    return replies


def _read(reply, names):
    """Return status, class (index or None) and confidence (or None) of a reply."""
    if endpoint.refused(reply):
        return "refused", None, None
    parsed = parse_reply.parse(endpoint.text_of(reply), names)
    return ("answered", *parsed) if parsed else ("unparsable", None, None)


def _status(reply, names):
    return _read(reply, names)[0]


def _write(answers_path, trials, replies, names, settings):
    """Write the answers as the recorded replies are read today."""
    rows = []
    for order, trial in enumerate(trials):
        line, row = replies.by_request[trial.request], trial.row
        status, chosen, confidence = _read(line["reply"], names)
        if status == "unparsable":
            log.info("image %s: no class and confidence at the end of %r", row["id"], _ending(line["reply"]))
        rows.append(
            {
                "annotator_id": settings.name,
                "kind": "model",
                "trial_index": order,
                "is_attn_check": 0,
                "true_category": _name(row["label"], names),
                "chosen_category": None if chosen is None else names[chosen],
                "true_label": row["label"],
                "chosen_label": chosen,
                "correct_guess": int(chosen == row["label"]),
                "cifar10_test_test_idx": row["index"],
                "reaction_time": line["milliseconds"],
                "time_elapsed": None,
                "split": row["split"],
                "variant": row["variant"],
                "confidence": confidence,
                "status": status,
                "batch": row["batch"],
                "stimulus": row["id"],
            }
        )
    counts = Counter(row["status"] for row in rows)
    log.info("%s: %s", settings.name, ", ".join(f"{count:,} {status}" for status, count in counts.items()))
    tables.write(answers_path, rows, human_tables.ANSWERS)


def _name(label, names):
    if label >= len(names):
        raise ValueError(f"class {label} of the key: the images have {len(names)} classes; make the stimuli again")
    return names[label]


def _ending(reply):
    choice = reply["choices"][0]
    cut = " (cut: raise its limit of tokens)" if choice.get("finish_reason") == "length" else ""
    return endpoint.text_of(reply)[-80:] + cut
