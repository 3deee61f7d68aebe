"""Figure: how well each participant classifies attacked images against clean ones, by confidence."""

import pandas as pd

from robustlaws.figures.drawing import plotted_data, style
from robustlaws.formatting import numbers
from robustlaws.storage import human_tables, tables

_MARKERS = {"any": ("o", "all answers"), "low": ("v", "low confidence"), "high": ("^", "high confidence")}
_NAMED = len(style.COLOURS)  # participants that have a colour each; of more, only the mean and models do
_LISTED = 3  # of the participants that are not drawn, so many are named
_CROWD = "#9FB4C7"
_ONE = {"markersize": 6, "markeredgewidth": 0.6, "markeredgecolor": "white"}
# hollow: one of the participants may stand under it
_MEAN = {"markersize": 9, "markeredgewidth": 1.4, "markeredgecolor": style.INK, "markerfacecolor": "none"}
_KINDS = {"person": "people", "simulated": "simulated participants", "model": "models"}


def draw(*, paths, human_accuracy):
    """Draw the accuracy on attacked images against that on clean ones, one point a participant and confidence.

    Parameters
    ----------
    human_accuracy : path
        Table human_tables.HUMAN_ACCURACY.

    Raises
    ------
    ValueError
        If the file is not that table.
    """
    table = tables.read(human_accuracy, human_tables.HUMAN_ACCURACY)
    both = _pairs(table)
    with style.drawing(paths, 5.6) as figure:
        axes = figure.subplots()
        figure.suptitle(f"{_who(table)}: accuracy on attacked and on clean images")
        handles = []
        if both.empty:
            why = "nobody has answered yet" if table.empty else "no participant has answered both kinds of images"
            style.nothing(axes, why)
        else:
            handles = _points(axes, both, _with_mean(table))
            _scales(axes, both)
        style.below(figure, handles, _remarks(table, both), columns=4)


def _who(table):
    kinds = set(table["kind"])
    judges = numbers.judges(bool(kinds - {"model"}), "model" in kinds, "simulated" in kinds)
    return "Participants" if judges in ("", "people") else numbers.sentence(judges)


def _with_mean(table):
    """Return the kinds of which several were shown attacked images: the mean is of these."""
    shown = table[(table["variant"] == "adversarial") & table["annotator_id"].notna()]
    many = shown.groupby("kind")["annotator_id"].nunique()
    return set(many.index[many > 1])


def _pairs(table):
    """Return one row for each participant (or mean) and confidence that have an accuracy on both kinds of images."""
    keys = ["kind", "annotator_id", "confidence"]
    known = table[table["accuracy"].notna()].assign(annotator_id=lambda rows: rows["annotator_id"].fillna(""))
    sides = [known[known["variant"] == variant].drop(columns="variant") for variant in ("clean", "adversarial")]
    both = sides[0].merge(sides[1], on=keys, suffixes=("_clean", "_attacked"))
    order = {"person": 0, "simulated": 1, "model": 2}
    return both.sort_values(["kind", "annotator_id"], key=lambda column: column.replace(order), kind="stable")


def _name(kind, annotator):
    if not annotator:
        return f"mean of the {_KINDS[kind]}"
    is_clear = kind == "person" or annotator.startswith(kind)
    return style.short(annotator, 22) + ("" if is_clear else f" ({kind})")


def _looks(both, with_mean):
    """Return (kind, participant) -> colour, and the entries of the legend."""
    who = list(dict.fromkeys(zip(both["kind"], both["annotator_id"], strict=True)))
    single = [who_and_version for who_and_version in who if who_and_version[1]]
    crowd = (
        [who_and_version for who_and_version in single if who_and_version[0] != "model"] if len(single) > _NAMED else []
    )
    named = [who_and_version for who_and_version in single if who_and_version not in crowd]
    looks = {who_and_version: style.COLOURS[place % len(style.COLOURS)] for place, who_and_version in enumerate(named)}
    handles = [style.handle(_name(*who_and_version), colour, marker="o") for who_and_version, colour in looks.items()]
    if crowd:
        handles.insert(0, style.handle(f"{len(crowd)} {_KINDS[crowd[0][0]]}", _CROWD, marker="o"))
    means = [who_and_version for who_and_version in who if not who_and_version[1] and who_and_version[0] in with_mean]
    handles += [style.handle(_name(*who_and_version), style.INK, marker="o", **_MEAN) for who_and_version in means]
    return looks | dict.fromkeys(crowd, _CROWD) | dict.fromkeys(means, style.INK), handles


def _points(axes, both, with_mean):
    """Draw all points with their intervals; return the legend's entries."""
    looks, handles = _looks(both, with_mean)
    for row in both.itertuples():
        colour = looks.get((row.kind, row.annotator_id))
        if colour is None:  # the mean of a single one
            continue
        marker, meaning = _MARKERS[row.confidence]
        mean, series = not row.annotator_id, _name(row.kind, row.annotator_id)
        over = 4 if mean else 2 if colour == _CROWD else 3
        if colour != _CROWD:  # of many participants the intervals would hide the points
            whole = row.confidence == "any"
            thin = {
                "color": colour,
                "linewidth": 1 if whole else 0.7,
                "alpha": 1 if whole else 0.45,
                "zorder": over - 2,
            }
            _interval(axes, [row.low_clean, row.high_clean], [row.accuracy_attacked] * 2,
                      series=f"{series}: interval, clean", label=meaning, **thin)  # fmt: skip
            _interval(axes, [row.accuracy_clean] * 2, [row.low_attacked, row.high_attacked],
                      series=f"{series}: interval, attacked", label=meaning, **thin)  # fmt: skip
        plotted_data.points(
            axes, [row.accuracy_clean], [row.accuracy_attacked], series=series, label=meaning, marker=marker,
            color=colour, zorder=over, **_MEAN if mean else _ONE,
        )  # fmt: skip
    used = [style.handle(text, style.FAINT, marker=marker, markersize=6)
            for name, (marker, text) in _MARKERS.items() if (both["confidence"] == name).any()]  # fmt: skip
    equal = style.handle("equal accuracies", style.FAINT, linestyle=style.DASHES[1], linewidth=1)
    return [*handles, *used, equal]


def _interval(axes, x, y, **options):
    if pd.notna([*x, *y]).all():
        plotted_data.line(axes, x, y, **options)


def _scales(axes, both):
    """Give each axis room for every point and interval, and draw the line of equal accuracies."""
    for which, side in (("x", "clean"), ("y", "attacked")):
        low = both[[f"accuracy_{side}", f"low_{side}"]].min().min()
        getattr(axes, f"set_{which}lim")(max(-0.02, min(low, 0.95) - 0.04), 1.02)
        getattr(axes, f"set_{which}label")(f"accuracy on {side} images")
        getattr(axes, f"{which}axis").set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
    plotted_data.line(axes, [0, 1], [0, 1], series="equal accuracies", color=style.FAINT, linewidth=1,
               linestyle=style.DASHES[1], zorder=1)  # fmt: skip


def _remarks(table, both):
    """Return sentences: the mean of each kind, and what is missing."""
    remarks = []
    for row in both[(both["annotator_id"] == "") & (both["confidence"] == "any")].itertuples():
        if row.kind not in _with_mean(table):
            continue
        text = [
            f"{name} {numbers.percent(accuracy)}" + (
                "" if pd.isna(low) else f" [{numbers.percent(low)}, {numbers.percent(high)}]")
            for name, accuracy, low, high in (
                ("clean", row.accuracy_clean, row.low_clean, row.high_clean),
                ("attacked", row.accuracy_attacked, row.low_attacked, row.high_attacked),
            )
        ]  # fmt: skip
        remarks.append(f"{_name(row.kind, '').capitalize()}: {', '.join(text)}.")
    if (table["kind"] == "simulated").any():
        remarks.append("Simulated participants are made up by a program; no person answered.")
    elif len(table) and not (table["kind"] == "person").any():
        remarks.append("No person has answered.")
    mine = table[table["annotator_id"].notna()]
    missing = int(mine.loc[mine["confidence"] == "any", "without_class"].sum())
    if missing:
        remarks.append(f"{numbers.plural(missing, 'answer')} without a class (refused, unparsable or timed out) "
                       f"{'counts' if missing == 1 else 'count'} as wrong.")  # fmt: skip
    partial = sorted(set(mine["annotator_id"]) - set(both["annotator_id"]))
    if partial and not both.empty:
        who = numbers.listed(partial) if len(partial) <= _LISTED else numbers.plural(len(partial), "participant")
        remarks.append(f"Not drawn, for want of answers to both kinds of images: {who}.")
    return remarks
