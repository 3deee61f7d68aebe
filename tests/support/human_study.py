"""Files of a human study, as its rules write them, for the figures."""

from robustlaws.attacks import record
from robustlaws.humans.stimuli import images as stimuli
from robustlaws.settings import Stimuli
from robustlaws.storage import human_tables
from robustlaws.storage import tables as records

VERDICTS = ("deceptive", "valid", "ambiguous", "valid", "valid")


def write(folder, record_path, images_path, kind="person", participants=3, people=None):
    """Write stimuli from a record and the tables of made-up answers; return the figures' inputs by name.

    The verdicts of the images, in the order of their index, are VERDICTS again and again. `people` of the participants
    are people (or simulated ones), all if left out.
    """
    people = participants if people is None else people
    paths = {name: folder / f"{name}.parquet" for name in ("stimuli", "key", "human_accuracy", "validity")}
    run = record.read(record_path)[1]["run"]
    settings = Stimuli(run=run, split="test", batch_images=10, seed=1)
    stimuli.make(record_path=record_path, images_path=images_path, stimuli_path=paths["stimuli"],
                 key_path=paths["key"], settings=settings)  # fmt: skip
    key = records.read(paths["key"], human_tables.STIMULUS_KEY)
    fooled = key[key["variant"] == "adversarial"].sort_values("index")
    validity = [
        {"split": "test", "index": row.place, "label": row.label, "prediction": row.adversarial_prediction,
         "participants": participants, "people": people, "votes": 2 * (verdict == "valid"), "confident": 0,
         "verdict": verdict,
         "majority": {"valid": row.label, "deceptive": row.adversarial_prediction}.get(verdict) if people else None,
         "simulated": kind == "simulated"}
        for number, row in enumerate(fooled.rename(columns={"index": "place"}).itertuples())
        for verdict in [VERDICTS[number % len(VERDICTS)]]
    ]  # fmt: skip
    records.write(paths["validity"], validity, human_tables.VALIDITY)
    records.write(
        paths["human_accuracy"], accuracy_rows(kind, participants if validity else 0), human_tables.HUMAN_ACCURACY
    )
    return paths


def accuracy_rows(kind, participants, images=50):
    """Return rows of human_tables.HUMAN_ACCURACY: participants with clean accuracies of 0.9 and more, and the mean."""
    rows = []
    for variant, least in (("clean", 0.9), ("adversarial", 0.4)):
        for confidence, gain in (("any", 0.02), ("low", 0.0), ("high", 0.04)):
            results = []
            for number in range(participants):
                right = min(round(images * (least + gain + 0.02 * number)), images)
                results.append(right / images)
                rows.append(_row(f"P{number + 1}", kind, variant, confidence, images, right, results[-1]))
            if results:
                mean = sum(results) / len(results)
                rows.append(_row(None, kind, variant, confidence, images * len(results), 0, mean))
    return rows


def _row(who, kind, variant, confidence, images, right, accuracy):
    return {
        "annotator_id": who, "kind": kind, "variant": variant, "confidence": confidence, "images": images,
        "right": right, "accuracy": accuracy, "low": max(accuracy - 0.05, 0), "high": min(accuracy + 0.05, 1),
        "without_class": 0,
    }  # fmt: skip


def empty(folder):
    """Return the inputs of a study in which nothing fooled the network and nobody answered."""
    tables = {"stimuli": human_tables.STIMULI, "key": human_tables.STIMULUS_KEY, "validity": human_tables.VALIDITY,
              "human_accuracy": human_tables.HUMAN_ACCURACY}  # fmt: skip
    for name, table in tables.items():
        records.write(folder / f"{name}.parquet", [], table)
    return {name: folder / f"{name}.parquet" for name in tables}
