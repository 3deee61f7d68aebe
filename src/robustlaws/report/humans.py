"""The human study on the page: the re-scored benchmark, who answered how, which images are invalid, who agrees."""

from pathlib import Path

from robustlaws import records
from robustlaws.figures import words
from robustlaws.humans import columns
from robustlaws.report import cells

_WHOSE = {
    "test": "test images under AutoAttack",
    "train": "training images under the attack of the training",
}
_KINDS = {"person": "person", "model": "model", "simulated": "simulated"}
_VERDICTS = {
    "valid": "enough participants are right",
    "deceptive": "network and most participants see the same wrong class",
    "ambiguous": "neither",
    "unjudged": "too few have answered to tell",
}
_AMONG = {"person": "people", "simulated": "simulated participants", "all": "all participants", "pair": ""}


def section(accuracy, validity, benchmark, agreement):
    """Return what the page shows of the human study, or None without one.

    Parameters
    ----------
    accuracy, validity, benchmark, agreement : lists of paths
        Tables of `humans.columns`, one of each bundle of stimuli, whose name is that of their folder.
    """
    if not validity:
        return None
    read = {
        name: {Path(path).parent.name: records.read(path, kind) for path in paths}
        for name, paths, kind in (
            ("accuracy", accuracy, columns.HUMAN_ACCURACY),
            ("validity", validity, columns.VALIDITY),
            ("benchmark", benchmark, columns.BENCHMARK),
            ("agreement", agreement, columns.AGREEMENT),
        )
    }
    simulated = any(bool(table["simulated"].any()) for table in read["validity"].values())
    answered = any(len(table) for table in read["accuracy"].values())
    return {
        "simulated": simulated,
        "answered": answered,
        "badge": "simulated participants" if simulated else "",
        "sentences": [_told(name, table, simulated) for name, table in read["validity"].items()],
        "benchmark": _benchmark(read["benchmark"].get("test")),
        "accuracy": _accuracy(read["accuracy"]),
        "verdicts": _verdicts(read["validity"]),
        "agreement": _agreement(read["agreement"]),
    }


def _told(bundle, table, simulated):
    shown = words.plural(len(table), "image")
    if table.empty:
        return f"Of the {_WHOSE[bundle]}, none fooled the network."
    counts = table["verdict"].value_counts()
    judged = len(table) - int(counts.get("unjudged", 0))
    if not judged:
        return f"Of the {_WHOSE[bundle]}, {shown} fooled the network; too few have answered to judge them."
    invalid = int(counts.get("deceptive", 0) + counts.get("ambiguous", 0))
    whose = "simulated participants" if simulated else "the participants"
    return (
        f"Of the {_WHOSE[bundle]}, {shown} fooled the network; by {whose}, {invalid} of {judged} judged ones "
        f"({words.percent(invalid / judged)}) are invalid, {int(counts.get('deceptive', 0))} of these deceptive."
    )


def _share(row):
    entry = cells.plain(row)
    if entry["accuracy"] is None:
        return cells.Cell("")
    return cells.Cell(words.percent(entry["accuracy"]), cells.interval(entry, words.percent))


def _benchmark(table):
    """Return the paper's table 4 of this study."""
    if table is None or table.empty:
        return None
    rows = {}
    for row in map(cells.plain, table.to_dict("records")):
        who = _who(row)
        mine = rows.setdefault(who, {"who": who})
        what = "all images" if row["data"] == "all" else "valid images"
        mine[f"on {what} ({row['images']:,})"] = _share(row)
    return cells.table("The benchmark with and without invalid images", list(rows.values()), texts=("who",))


def _who(row):
    mark = " (simulated)" if row["simulated"] and row["who"] != "network" else ""
    if row["who"] == "network":
        return "the network"
    if row["who"] == "human_mean":
        return f"the network, and the mean participant on what fooled it{mark}"
    return f"the network, and {row['annotator_id']} on what fooled it{mark}"


def _accuracy(tables):
    """Return the accuracy of each participant on adversarial and clean images, by confidence."""
    groups = {}
    for bundle, table in tables.items():
        rows = {}
        for row in map(cells.plain, table.to_dict("records")):
            name = row["annotator_id"] or {"person": "mean person", "model": "mean model"}.get(
                row["kind"], "mean simulated participant"
            )
            mine = rows.setdefault((name, row["kind"]), {"participant": name, "kind": _KINDS[row["kind"]]})
            how = {"any": row["variant"], "high": f"{row['variant']}, confident"}.get(row["confidence"])
            if how:
                mine[how] = _share(row)
        groups[_heading(bundle)] = list(rows.values())
    return cells.table("Accuracy of the participants", groups, texts=("participant", "kind"))


def _heading(bundle):
    return words.sentence(_WHOSE[bundle])


def _verdicts(tables):
    groups = {}
    for bundle, table in tables.items():
        counts = table["verdict"].value_counts()
        groups[_heading(bundle)] = [
            {
                "verdict": verdict,
                "meaning": meaning,
                "images": f"{counts[verdict]:,}",
                "share": words.percent(counts[verdict] / len(table)),
            }
            for verdict, meaning in _VERDICTS.items()
            if counts.get(verdict, 0)
        ]
    return cells.table("Verdicts on the images", groups, texts=("verdict", "meaning"))


def _agreement(tables):
    groups = {}
    for bundle, table in tables.items():
        rows = {}
        for row in map(cells.plain, table.to_dict("records")):
            whose = _AMONG[row["among"]] or f"{row['first']} and {row['second']}"
            mine = rows.setdefault((whose, row["variant"]), {"among": whose, "images": row["variant"]})
            label, text = {
                "fleiss_kappa": ("Fleiss' κ", "{:.3f}".format),
                "cohen_kappa": ("Cohen's κ", "{:.3f}".format),
                "agreement": ("same class", words.percent),
            }[row["measure"]]
            known = row["value"] is not None
            mine[label] = cells.Cell(text(row["value"]), cells.interval(row, text)) if known else cells.Cell("")
        groups[_heading(bundle)] = list(rows.values())
    return cells.table("Agreement of the participants", groups, texts=("among", "images"))
