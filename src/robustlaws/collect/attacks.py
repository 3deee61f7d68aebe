"""The accuracies under all attacks as one table, each with its binomial interval. Imports no torch."""

from robustlaws.attacks import record
from robustlaws.intervals import exact_interval
from robustlaws.storage import tables


def collect(*, outcome_paths, table_path, settings):
    """Write the table of attacks: one row for each victim and stage, in the order of the records.

    Parameters
    ----------
    outcome_paths : list of path
        Records of the attacks (:mod:`robustlaws.attacks.record`).
    table_path : path
        Parquet file to write: tables.ATTACKS.
    settings : settings.CollectAttacks

    Raises
    ------
    ValueError
        If a record is not that of the victim that the settings name.
    """
    rows, seen = [], set()
    for path, attacked in zip(outcome_paths, settings.records, strict=True):
        columns, about = record.read(path)
        if about["run"] != attacked["victim"]:
            raise ValueError(f"{path}: the record of {about['run']}, not of {attacked['victim']}")
        images = len(columns["label"])
        for stage, right in _stages(attacked["attack"], columns, about["attacks"]):
            if stage == "clean" and (attacked["victim"], attacked["weights"]) in seen:
                continue
            low, high = exact_interval(right, images, settings.level)
            numbers = {"images": images, "right": right, "accuracy": right / images, "low": low, "high": high}
            rows.append(attacked | {"attack": stage} | numbers | {"level": settings.level})
        seen.add((attacked["victim"], attacked["weights"]))
    tables.write(table_path, rows, tables.ATTACKS)


def _stages(attack, columns, names):
    """Return (stage, images right) pairs of one record; a suite of attacks gets a stage for each of its own."""
    labels = columns["label"]
    clean, *standing = record.standing(labels, columns["clean_prediction"], columns["broken_by"], len(names))
    stages = [("clean", clean)]
    if names != [attack]:
        stages += [
            (f"{attack}/clean", clean),
            *((f"{attack}/{name}", n) for name, n in zip(names, standing, strict=True)),
        ]
    return [*stages, (attack, int((columns["adversarial_prediction"] == labels).sum()))]
