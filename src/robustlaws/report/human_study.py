"""The human study in the report: re-scored benchmark, participants, invalid images, agreement."""

from pathlib import Path

from robustlaws.formatting import html_tables, numbers
from robustlaws.storage import human_tables
from robustlaws.storage.tables import read

_WHOSE = {
    "test": "test images under AutoAttack",
    "train": "training images under the attack of the training",
}
_VERDICTS = {
    "valid": "enough participants are right",
    "deceptive": "network and most {people} see the same wrong class",
    "ambiguous": "neither",
    "unjudged": "too few have given a class to tell",
}
_OF_MODELS = "too few are right"  # what most people see is nothing that models alone can tell
_MEANS = {"person": "mean person", "model": "mean model", "simulated": "mean simulated participant"}


def section(accuracy, validity, benchmark, agreement):
    """Return the page's section on the human study, or None without one.

    Parameters
    ----------
    accuracy, validity, benchmark, agreement : lists of paths
        Tables of `humans.columns`, one of each bundle of stimuli, whose name is that of their folder.
    """
    if not validity:
        return None
    accuracy, validity, benchmark, agreement = (
        {Path(path).parent.name: read(path, table) for path in paths}
        for paths, table in (
            (accuracy, human_tables.HUMAN_ACCURACY),
            (validity, human_tables.VALIDITY),
            (benchmark, human_tables.BENCHMARK),
            (agreement, human_tables.AGREEMENT),
        )
    )
    # who answered clean images alone (of a table from elsewhere) tells nothing of the attack
    answered = {bundle: table[table["annotator_id"].isin(_shown(table))] for bundle, table in accuracy.items()}
    simulated = any(bool(table["simulated"].any()) for table in validity.values())
    models = sorted({name for table in answered.values() for name in _named(table[table["kind"] == "model"])})
    people = any((table["kind"] != "model").any() for table in answered.values())
    sentences = []
    for bundle, table in validity.items():
        sentences.append(_judged_in_words(bundle, table, _fooled(benchmark.get(bundle))))
        sentences += _unfinished(accuracy[bundle], len(table))
    return {
        "simulated": simulated,
        "badge": "simulated participants" if simulated else "models only" if models and not people else "",
        "warning": "" if people or not any(map(len, validity.values())) else _nobody(models),
        "open": people or bool(models),
        "sentences": sentences,
        "benchmark": _benchmark(benchmark.get("test"), validity.get("test")),
        "accuracy": _accuracy(accuracy),
        "others": _clean_only(accuracy.values()),
        "verdicts": _verdicts(validity),
        "agreement": _agreement(agreement, {bundle: _judges(table) for bundle, table in validity.items()}),
    }


def _named(table):
    return list(dict.fromkeys(table["annotator_id"].dropna()))


def _shown(table):
    """Return the participants who were shown adversarial images."""
    return _named(table[(table["variant"] == "adversarial") & (table["images"] > 0)])


def _nobody(models):
    if models:
        return f"Nobody has answered yet: what stands here is of {_count(models, 'model')} alone."
    return "Nobody has answered yet."


def _count(names, noun):
    """Return `2 models (a and b)`; of many only the number."""
    return numbers.plural(len(names), noun) + (f" ({numbers.listed(names)})" if len(names) <= 3 else "")


def _fooled(benchmark):
    """Return the number of images that fooled the network; None without a benchmark."""
    if benchmark is None or benchmark.empty:
        return None
    alone = benchmark[(benchmark["who"] == "network") & (benchmark["data"] == "all")].iloc[0]
    return round(alone["images"] - alone["right"])


def _judged_in_words(bundle, table, fooled):
    """Return the number of images shown of a bundle and their verdicts, in words."""
    shown = len(table)
    whole = fooled is None or fooled <= shown
    if not shown:
        none = "none" if whole else f"{fooled:,}, none of which was shown,"
        return f"Of the {_WHOSE[bundle]}, {none} fooled the network."
    text = f"Of the {_WHOSE[bundle]}, {numbers.plural(shown, 'image')} that fooled the network "
    text += f"{'was' if shown == 1 else 'were'} shown"
    if not whole:
        text += f", of {fooled:,} that did"
    counts = table["verdict"].value_counts()
    judged = shown - int(counts.get("unjudged", 0))
    if not judged:
        text += "; too few have given a class to judge them."
    else:
        invalid = int(counts.get("deceptive", 0) + counts.get("ambiguous", 0))
        text += (
            f"; as {_judges(table)} judged them, {invalid:,} of {judged:,} ({numbers.percent(invalid / judged)}) are "
            "invalid"
        )
        text += f", {int(counts.get('deceptive', 0)):,} of these deceptive." if (table["people"] > 0).any() else "."
        if judged < shown:
            text += f" The other {shown - judged:,} have too few answers to be judged and count as valid."
    if bundle == "test" and not whole:
        text += " Since not all were shown, the benchmark without the invalid ones is left out."
    return text


def _judges(table):
    people, models = (table["people"] > 0).any(), (table["participants"] > table["people"]).any()
    return numbers.judges(bool(people), bool(models), bool(table["simulated"].any()))


def _unfinished(table, images):
    """Return, as a list of at most one sentence, how many people have not seen all images of both variants."""
    whole = table[(table["confidence"] == "any") & table["annotator_id"].notna() & (table["kind"] != "model")]
    seen = whole.pivot_table("images", "annotator_id", "variant", "sum", fill_value=0)
    seen = seen.reindex(columns=["adversarial", "clean"], fill_value=0)
    seen = seen[seen["adversarial"] > 0]
    many = int((seen < images).any(axis=1).sum())
    if not many:
        return []
    began = f"{len(seen):,} {'person' if len(seen) == 1 else 'people'}"
    if (whole["kind"] == "simulated").any():
        began = numbers.plural(len(seen), "simulated participant")
    return [f"Of {began} who began, {many:,} {'has' if many == 1 else 'have'} not finished."]


def _clean_only(tables):
    """Return the number of participants without a row in the table of accuracies; empty without any."""
    shown = {name for table in tables for name in _shown(table)}
    many = len({name for table in tables for name in _named(table)} - shown)
    if not many:
        return ""
    are = "is" if many == 1 else "are"
    return f"{numbers.plural(many, 'participant')} answered clean images only and {are} not in the table."


def _share(row):
    entry = html_tables.plain(row)
    if entry["accuracy"] is None:
        return html_tables.Cell("")
    return html_tables.Cell(
        numbers.percent(entry["accuracy"]), numbers.bounds(entry, numbers.percent, html_tables.ENDLESS)
    )


def _benchmark(table, validity):
    """Return the paper's table 4 of this study; where no image is judged, without what is valid."""
    if table is None or table.empty:
        return None
    if (validity["verdict"] == "unjudged").all():
        table = table[table["data"] == "all"]
    rows = {}
    simulated = (table["kind"] == "simulated").any()
    valid = "images that the simulation finds valid" if simulated else "valid images"
    for row in map(html_tables.plain, table.to_dict("records")):
        who = _who(row)
        mine = rows.setdefault(who, {"who": who})
        mine[f"on {'all images' if row['data'] == 'all' else valid} ({row['images']:,})"] = _share(row)
    title = "The benchmark with and without invalid images" if (table["data"] == "valid").any() else "The benchmark"
    return html_tables.table(title, list(rows.values()), texts=("who",))


def _who(row):
    if row["who"] == "network":
        return "the network"
    who = _MEANS[row["kind"]] if row["who"] == "human_mean" else _marked(row["annotator_id"], row["kind"])
    return f"the network, and {'the ' if row['who'] == 'human_mean' else ''}{who} on what fooled it"


def _marked(name, kind):
    """Return a participant's name, with its kind unless that is a person or the name says it."""
    return name if kind == "person" or name.startswith(kind) else f"{name} ({kind})"


def _accuracy(tables):
    """Return the accuracy of each participant on adversarial and clean images, by confidence."""
    groups = {}
    for bundle, table in tables.items():
        rows, shown = {}, _shown(table)
        table = table[table["annotator_id"].isna() | table["annotator_id"].isin(shown)]
        table = table[table["kind"].isin(table.loc[table["annotator_id"].notna(), "kind"])]
        for row in map(html_tables.plain, table.to_dict("records")):
            name = row["annotator_id"] or _MEANS[row["kind"]]
            kind = row["kind"] if row["annotator_id"] else ""
            mine = rows.setdefault((name, row["kind"]), {"participant": name, "kind": kind})
            how = {"any": row["variant"], "high": f"{row['variant']}, confident"}.get(row["confidence"])
            if how:
                mine[how] = _share(row)
        groups[_heading(bundle)] = list(rows.values())
    return html_tables.table("Accuracy of the participants", groups, texts=("participant", "kind"))


def _heading(bundle):
    return numbers.sentence(_WHOSE[bundle])


def _verdicts(tables):
    groups = {}
    for bundle, table in tables.items():
        counts = table["verdict"].value_counts()
        people = "simulated participants" if table["simulated"].any() else "people"
        models = _judges(table) == "models"
        groups[_heading(bundle)] = [
            {
                "verdict": verdict,
                "meaning": _OF_MODELS if models and verdict == "ambiguous" else meaning.format(people=people),
                "images": f"{counts[verdict]:,}",
                "share": numbers.percent(counts[verdict] / len(table)),
            }
            for verdict, meaning in _VERDICTS.items()
            if counts.get(verdict, 0)
        ]
    return html_tables.table("Verdicts on the images", groups, texts=("verdict", "meaning"))


def _agreement(tables, judges):
    groups = {}
    for bundle, table in tables.items():
        rows = {}
        for row in map(html_tables.plain, table.to_dict("records")):
            whose = _among(row, judges[bundle] or "participants")
            mine = rows.setdefault((whose, row["variant"]), {"among": whose, "images": row["variant"]})
            label, text = {
                "fleiss_kappa": ("Fleiss' κ", "{:.3f}".format),
                "cohen_kappa": ("Cohen's κ", "{:.3f}".format),
                "agreement": ("same class", numbers.percent),
            }[row["measure"]]
            known = row["value"] is not None
            mine[label] = (
                html_tables.Cell(text(row["value"]), numbers.bounds(row, text, html_tables.ENDLESS))
                if known
                else html_tables.Cell("")
            )
        groups[_heading(bundle)] = list(rows.values())
    return html_tables.table("Agreement of the participants", groups, texts=("among", "images"))


def _among(row, everybody):
    """Return the agreement, by kind of participants; simulated answers are named so."""
    if row["among"] == "pair":
        pair = f"{row['first']} and {row['second']}"
        return pair if not row["simulated"] or "simulated" in pair else f"{pair} (simulated)"
    return {"person": "people", "simulated": "simulated participants", "all": f"all {everybody}"}[row["among"]]
