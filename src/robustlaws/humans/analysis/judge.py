"""Tables of participants, images, benchmark and agreement from the answers."""

from collections import Counter

import numpy as np

from robustlaws.attacks import record
from robustlaws.humans import VARIANTS
from robustlaws.humans.analysis import accuracy, agreement, benchmark, responses, validity
from robustlaws.runtime.logger import log
from robustlaws.storage import human_tables, tables


def judge(
    *, answers_path, key_path, record_path, accuracy_path, validity_path, benchmark_path, agreement_path, settings
):
    """Write the tables of the human study; with no answers they say so.

    Parameters
    ----------
    answers_path : path
        human_tables.ANSWERS, as :func:`robustlaws.humans.answers.collect.collect` gathers them.
    key_path : path
        human_tables.STIMULUS_KEY of the same stimuli.
    record_path : path
        Record of the attack that the stimuli are of: the benchmark.
    accuracy_path, validity_path, benchmark_path, agreement_path : path
        Parquet files to write: HUMAN_ACCURACY, VALIDITY, BENCHMARK, AGREEMENT.
    settings : settings.Judging

    Raises
    ------
    ValueError
        If the three are not of one study, or people and simulated participants are in one table.
    """
    answers = tables.read(answers_path, human_tables.ANSWERS)
    key = tables.read(key_path, human_tables.STIMULUS_KEY)
    attacked, _ = record.read(record_path)
    _check_key(key, attacked, key_path, record_path)
    both = [responses.gather(answers, key, variant) for variant in VARIANTS]
    adversarial = both[VARIANTS.index("adversarial")]
    judged = validity.verdicts(adversarial, settings)
    _say(judged["verdict"], attacked)
    robust = attacked["robust"]
    scores = benchmark.table(int(robust.sum()), len(robust), adversarial, judged["verdict"], settings)
    split = str(key["split"].iloc[0]) if len(key) else "test"
    rows = [dict(zip(judged, values, strict=True)) for values in zip(*judged.values(), strict=True)]
    tables.write(accuracy_path, accuracy.table(both, settings), human_tables.HUMAN_ACCURACY)
    tables.write(validity_path, [{"split": split} | row for row in rows], human_tables.VALIDITY)
    tables.write(benchmark_path, scores, human_tables.BENCHMARK)
    tables.write(agreement_path, agreement.table(both, settings), human_tables.AGREEMENT)


def _check_key(key, attacked, key_path, record_path):
    """Raise if the images of the key are not images of the record that fooled the network."""
    images = key[~key["is_attn_check"]]
    place = {int(index): at for at, index in enumerate(attacked["index"])}
    for index, label, prediction in images[["index", "label", "adversarial_prediction"]].itertuples(index=False):
        at = place.get(index)
        if at is None or attacked["robust"][at]:
            raise ValueError(f"{key_path}: image {index} is none that fooled the network of {record_path}")
        if attacked["label"][at] != label or attacked["adversarial_prediction"][at] != prediction:
            raise ValueError(f"{key_path}: label or prediction of image {index} is not that of {record_path}")


def _say(verdict, attacked):
    """Say in the log how the images were judged."""
    counts = Counter(verdict.tolist())
    fooled = int(np.sum(~attacked["robust"]))
    log.info("%d images fooled the network, %d were shown", fooled, len(verdict))
    log.info("%s", ", ".join(f"{counts[name]} {name}" for name in ("valid", "deceptive", "ambiguous", "unjudged")))
    if counts["unjudged"]:
        log.warning("%d images unjudged: too few participants have given them a class; they stay among the valid data",
                    counts["unjudged"])  # fmt: skip
