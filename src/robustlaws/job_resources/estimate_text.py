"""The cost estimate of a study as text of at most 100 columns."""

from textwrap import wrap

from robustlaws.formatting import numbers

_COLUMNS = ("stage", "jobs", "images", "FLOPs", "device-hours", "disk")
_INSIDE = {"learning curves": "  its curves"}  # no jobs of their own: part of the training above
_SHOWN = 6  # things not counted that are named one by one


def page(estimate):
    """Return the table of costs with its notes.

    Parameters
    ----------
    estimate : dict
        The content of `cost.json`, see :func:`robustlaws.job_resources.estimate.summary`.
    """
    left, whole = (estimate["total"][which]["jobs"] for which in ("left", "all"))
    head = f"{estimate['study']}: {left:,} of {whole:,} jobs are left"
    if not left:
        head = f"{estimate['study']}: nothing is left of {whole:,} jobs"
    elif left == whole:
        head = f"{estimate['study']}: all of {whole:,} jobs are left"
    heads = [_COLUMNS] if left == whole else [_COLUMNS, ("", *["left / all"] * (len(_COLUMNS) - 1))]
    rows = [*heads, *(_row(entry["stage"], entry) for entry in estimate["stages"]), _row("total", estimate["total"])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    rule = "-" * max(map(len, lines))
    table = [*lines[: len(heads)], rule, *lines[len(heads) : -1], rule, lines[-1]]
    notes = [line for note in _notes(estimate) for line in wrap(note, 98, subsequent_indent="  ")]
    return "\n".join([head, "", *table, "", *notes]) + "\n"


def _line(cells, widths):
    return "  ".join(
        cell.ljust(width) if index == 0 else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ).rstrip()


def _row(name, pair):
    """Return the cells of a stage, or of the total; an empty one where nothing is to be said."""
    left, whole = pair["left"], pair["all"]

    def cell(shown, there, mark=""):
        remaining, other = shown(left), shown(whole)
        return "" if not there else (remaining if left == whole else f"{remaining} / {other}") + mark

    mark = "+" * whole["unknown"] + "*" * whole["at_most"]
    costly, known = whole["flops"] or whole["unknown"], whole["device_hours"] is not None
    return (
        _INSIDE.get(name, name),
        cell(lambda sum: f"{sum['jobs']:,}", name not in _INSIDE),
        # a sum of images over stages would mean nothing
        cell(lambda sum: numbers.count(sum["images"]), whole["images"] and name != "total"),
        cell(lambda sum: _flops(sum["flops"]), costly, mark),
        cell(lambda sum: numbers.count(sum["device_hours"]), costly, mark) if known else "?" if costly else "",
        cell(
            lambda sum: numbers.size(sum["bytes"], 2),
            whole["bytes"] or whole["unknown_disk"],
            "+" * whole["unknown_disk"],
        ),
    )


def _flops(value):
    return numbers.scientific(value, 2)


def _notes(estimate):
    total, stages = estimate["total"], estimate["stages"]
    if 0 < total["left"]["jobs"] < total["all"]["jobs"]:
        yield "Left is what is missing or stale, as Snakemake sees it; a job that was interrupted counts whole."
    if total["all"]["at_most"]:
        yield "* at most: every image survives every attack; one that is broken costs less."
    if any(entry[which]["unknown"] or entry[which]["unknown_disk"] for entry in stages for which in ("left", "all")):
        missing, more = estimate["missing"][:_SHOWN], len(estimate["missing"]) - _SHOWN
        yield f"+ and what is not counted: {'; '.join(missing)}{f'; and {more:,} more' if more > 0 else ''}."
    yield _pace(estimate["speed"])
    if total["all"]["charged"]:
        remaining, other = (_flops(total[which]["charged"]) for which in ("left", "all"))
        yield (
            "Training FLOPs are those really spent; as the paper charges them, and the laws count them, they are"
            f" {other if remaining == other else f'{remaining} / {other}'}."
        )
    beside = (
        f" While it runs, a job keeps up to {numbers.size(estimate['kept'])} beside that." if estimate["kept"] else ""
    )
    yield f"Disk: arrays and weights, without headers of files, tables, figures and logs.{beside}"
    yield "Not counted are the FLOPs of importing, collecting, fitting and drawing: minutes of one processor."


def _pace(speed):
    if speed["value"] is None:
        return (
            "Device-hours: not known before a run of this study is finished, unless the config gives the FLOPs per"
            " second of a device, for example plan: {speed: 1.0e+14}"
        )
    where = "plan.speed of the config"
    if speed["source"] == "measured":
        where = f"measured on {speed['runs']:,} finished runs, start-up included"
    return (
        f"Device-hours: FLOPs over {_flops(speed['value'])} per second and device ({where}); samplers, attacks and all"
        " else are taken to be as fast as training."
    )
