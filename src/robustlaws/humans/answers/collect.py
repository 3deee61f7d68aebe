"""Collect answers of the web application, models, a simulation and files in one table.

A file is Parquet or CSV (UTF-8) with columns of human_tables.ANSWERS, one row an answer. Needed are `annotator_id`,
`cifar10_test_test_idx`, `variant` and `chosen_label` or `chosen_category`; an answer without a class needs a `status`
that says why. Missing columns are derived where possible, or stay empty. CIFAR-10H's raw table is taken as it is
(:mod:`robustlaws.humans.answers.cifar10h`).
"""

import numpy as np
import pandas as pd

from robustlaws.humans import VARIANTS
from robustlaws.humans.answers.read_file import load
from robustlaws.humans.stimuli import class_names
from robustlaws.runtime.logger import log
from robustlaws.storage import atomic, human_tables, tables

INDEX = "cifar10_test_test_idx"
_KINDS = ("person", "simulated", "model")  # in this order in the table


def read(path):
    """Return the answers at `path` as a data frame of human_tables.ANSWERS.

    Parameters
    ----------
    path : path
        Parquet or CSV of these columns, or CIFAR-10H's raw CSV. Without `is_attn_check` no answer is to a check.

    Raises
    ------
    ValueError
        If it is none, or a column that cannot be derived without the images is missing; names the file and the row.
    """
    frame = load(path)
    if "is_attn_check" not in frame:
        frame["is_attn_check"] = 0
    return tables.table(_table(frame, path).drop(columns="row"), human_tables.ANSWERS, str(path))


def write(table_path, csv_path, rows):
    """Write answers as Parquet and as CSV of the same columns, each whole or not at all.

    Raises
    ------
    ValueError
        If they are no human_tables.ANSWERS.
    """
    frame = tables.table(rows, human_tables.ANSWERS, str(table_path))
    tables.write(table_path, frame, human_tables.ANSWERS)
    atomic.write_text(csv_path, frame.to_csv(index=False, lineterminator="\n"))


def collect(*, key_path, images_path, answers_paths, table_path, csv_path, settings):
    """Gather the answers to the stimuli of one study, checked against the key, as Parquet and CSV.

    Answers to other images and to the other split are left out. Simulated answers are left out too, unless the study's
    participants are simulated: then all others are. The log says how many. An answer to an image that is an attention
    check in this study is one to a check, of CIFAR-10H too, and counts nowhere.

    Parameters
    ----------
    key_path : path
        human_tables.STIMULUS_KEY.
    images_path : path
        Shard of the split, for the names of the classes.
    answers_paths : list of path
        Any number of files, also none: a study that nobody has answered yet.
    table_path, csv_path : path
        To write: human_tables.ANSWERS.
    settings : settings.Answers

    Raises
    ------
    ValueError
        If a file is no table of answers, contradicts the key, or repeats an answer; names the file and the row.
    """
    key = tables.read(key_path, human_tables.STIMULUS_KEY)
    if not (key["split"] == settings.split).all():
        raise ValueError(f"{key_path}: of the other split, not {settings.split}")
    names = class_names.names(images_path, key)
    parts = []
    for path in answers_paths:
        frame = _of_study(load(path), path, key, settings)
        frame = _completed(frame, path, key, names)
        parts.append(tables.table(frame.drop(columns=["row"]), human_tables.ANSWERS, str(path))
                     .assign(path=str(path), row=frame["row"].to_numpy()))  # fmt: skip
    together = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if len(together):
        _check_once(together)
        _check_kinds(together)
        together = _ordered(together)
    write(table_path, csv_path, together[list(human_tables.ANSWERS)] if len(together) else [])
    log.info("%d answers of %d participants", len(together),
             together["annotator_id"].nunique() if len(together) else 0)  # fmt: skip


def _of_study(frame, path, key, settings):
    """Return the rows that are answers to the stimuli, of the participants that the study is about."""
    frame["split"] = frame["split"].fillna(settings.split) if "split" in frame else settings.split
    frame["kind"] = frame["kind"].fillna("person") if "kind" in frame else "person"
    _require(frame["kind"].isin(_KINDS), frame, path, "kind", "person, model or simulated")
    simulated = frame["kind"] == "simulated"
    wanted = simulated if settings.simulated else ~simulated
    if not wanted.all():
        others = "others than simulated participants" if settings.simulated else "simulated participants"
        log.warning("%s: %d answers of %s left out", path, (~wanted).sum(), others)
    frame = frame[wanted]
    there = _among(frame[["split", INDEX, "variant"]], key[["split", "index", "variant"]])
    if not there.all():
        log.warning("%s: %d answers left out: to images, or variants, that are none of the stimuli", path,
                    (~there).sum())  # fmt: skip
    frame = frame[there]
    if "stimulus" in frame:
        # the same test image, but of another network or attack: other pixels
        same = frame["stimulus"].isna() | _among(
            frame[["split", INDEX, "variant", "stimulus"]], key[["split", "index", "variant", "id"]]
        )
        if not same.all():
            log.warning("%s: %d answers left out: to images that looked otherwise, of another network or attack", path,
                        (~same).sum())  # fmt: skip
        frame = frame[same]
    return frame.reset_index(drop=True)


def _among(rows, known):
    """Return which of `rows` are among `known`, a bool array; columns in the same order."""
    return pd.MultiIndex.from_frame(rows).isin(pd.MultiIndex.from_frame(known))


def _completed(frame, path, key, names):
    """Return the rows with what the key says of their images, and everything that follows from it."""
    asked = key.drop_duplicates(["index", "variant"]).set_index(["index", "variant"])
    about = asked.loc[pd.MultiIndex.from_frame(frame[[INDEX, "variant"]])]
    known = {"true_label": about["label"], "is_attn_check": about["is_attn_check"].astype(int)}
    for name, values in known.items():
        values = pd.Series(values.to_numpy(), index=frame.index)
        if name in frame:
            agrees = frame[name].isna() | (frame[name] == values)
            _require(agrees, frame, path, name, "as the key has it, {}", values)
        frame[name] = values.astype("Int64")
    category = pd.Series([names[label] for label in frame["true_label"]], index=frame.index, dtype="str")
    if "true_category" in frame:
        agrees = frame["true_category"].isna() | (frame["true_category"] == category)
        _require(agrees, frame, path, "true_category", "as the key has it, {}", category)
    return _table(_with_class(frame.assign(true_category=category), path, names), path)


def _with_class(frame, path, names):
    """Return the rows with both label and name of the class that was chosen."""
    places = {name: label for label, name in enumerate(names)}
    chosen = frame["chosen_category"] if "chosen_category" in frame else pd.Series(index=frame.index, dtype="str")
    named = chosen.map(places)
    _require(chosen.isna() | named.notna(), frame, path, "chosen_category", f"one of {', '.join(names)}")
    label = frame["chosen_label"] if "chosen_label" in frame else pd.Series(index=frame.index, dtype="Int64")
    _require(label.isna() | (label < len(names)), frame, path, "chosen_label", f"0 to {len(names) - 1}")
    label = label.astype("Int64").fillna(named.astype("Int64"))
    agrees = named.isna() | (label == named)
    _require(agrees.fillna(True).astype(bool), frame, path, "chosen_category", "that of chosen_label")
    category = [None if pd.isna(index) else names[index] for index in label]
    return frame.assign(chosen_label=label, chosen_category=pd.Series(category, index=frame.index, dtype="str"))


def _table(frame, path):
    """Return the rows with all columns of human_tables.ANSWERS that follow from others, checked against each other."""
    there = frame["chosen_label"].notna() if "chosen_label" in frame else pd.Series(False, index=frame.index)
    answered = pd.Series(np.where(there, "answered", None), index=frame.index, dtype="str")
    frame["status"] = frame["status"].fillna(answered) if "status" in frame else answered
    _require(frame["status"].notna(), frame, path, "status",
             "unparsable, refused or timed_out where no class was chosen")  # fmt: skip
    _require((frame["status"] == "answered") == there, frame, path, "status", "answered where a class was chosen, "
             "else unparsable, refused or timed_out")  # fmt: skip
    if "confidence" in frame:
        _require(frame["confidence"].isna() | there, frame, path, "confidence", "none where no class was chosen")
    if {"true_label", "chosen_label"} <= set(frame):
        right = (frame["chosen_label"] == frame["true_label"]).fillna(False).astype("int64")
        if "correct_guess" in frame:
            agrees = frame["correct_guess"].isna() | (frame["correct_guess"] == right)
            _require(agrees, frame, path, "correct_guess", "1 where chosen_label is true_label, else 0")
        frame["correct_guess"] = right
    return frame


def _require(holds, frame, path, name, wanted, values=None):
    """Raise for the first row where a column does not hold what it has to."""
    bad = np.flatnonzero(~holds.to_numpy(dtype=bool))
    if len(bad):
        at = bad[0]
        given = frame[name].iloc[at]
        shown = "nothing" if pd.isna(given) else repr(given.item() if hasattr(given, "item") else given)
        needed = wanted if values is None else wanted.format(values.iloc[at])
        raise ValueError(f"{path} row {frame['row'].iloc[at]} column {name}: {shown[:80]}; needed: {needed}")


def _check_once(together):
    """Raise if a participant has answered an image twice; attention checks come again."""
    study = together[together["is_attn_check"] == 0]
    again = study.duplicated(["annotator_id", "split", INDEX, "variant"])
    if again.any():
        second = study[again].iloc[0]
        same = ["annotator_id", "split", INDEX, "variant"]
        first = study[(study[same] == second[same]).all(axis=1)].iloc[0]
        raise ValueError(
            f"{second['path']} row {second['row']}: {second['annotator_id']} answered image {second[INDEX]} "
            f"({second['variant']}) before, in {first['path']} row {first['row']}; keep one of them"
        )


def _check_kinds(together):
    """Raise if one name is that of two kinds of participants."""
    annotators = together.drop_duplicates(["annotator_id", "kind"])
    again = annotators[annotators["annotator_id"].duplicated()]
    if len(again):
        second = again.iloc[0]
        raise ValueError(
            f"{second['path']} row {second['row']}: {second['annotator_id']} is a {second['kind']} here and of another "
            "kind elsewhere; give one of them another annotator_id"
        )


def _ordered(together):
    """Return the answers in an order that does not depend on that of the files."""
    return (
        together.assign(
            kind_order=together["kind"].map(_KINDS.index), variant_order=together["variant"].map(VARIANTS.index)
        )
        .sort_values(["kind_order", "annotator_id", "variant_order", "is_attn_check", "trial_index", INDEX])
        .reset_index(drop=True)
    )
