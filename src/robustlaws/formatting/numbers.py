"""Numbers, units, durations and intervals as text, the same in figures, reports, plans, logs and on the terminal."""

import math

NOT_DETERMINED = "not determined"
TIMES = "\N{MULTIPLICATION SIGN}"


def number(value, digits=3):
    """Return `value` with `digits` significant digits: 0.483, 12.1, 1,234, 3.2e12, 4e-05."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if not -4 <= exponent < 5:
        return scientific(value, digits)
    return f"{round(value, digits - 1 - exponent):,.{max(0, digits - 1 - exponent)}f}"


def scientific(value, digits=3):
    """Return `value` as 3.2e12 (FLOPs); a mantissa of 1.0 is written 1e12."""
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


def count(value):
    """Return a number of images or parameters: 2,048, 2k, 76.4k, 1.2M, 100M, 3.1B."""
    if value >= 0.9995e12:
        return scientific(value)
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size and (value >= 1e4 or value % 1000 == 0):
            return f"{value / size:.3g}{letter}"
    return f"{value:,.0f}" if value >= 10 or float(value).is_integer() else number(value)


def percent(share):
    """Return a share of 1 as 73.7%."""
    return f"{100 * share:.1f}%"


def fid(value):
    """Return a FID with the digits that its size deserves."""
    return "0" if value == 0 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def duration(seconds):
    """Return seconds as 0 s, 0.4 s, 12 s, 3 min 20 s 2 h 05 min or 1,234 h."""
    if 0.05 <= seconds < 9.95:
        return f"{seconds:.1f} s"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    if seconds < 99.5 * 3600:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
    return f"{seconds / 3600:,.0f} h"


def size(byte_count, digits=3):
    """Return bytes as 0 MB, 12 MB, 3.1 GB or 3.28 TB."""
    for unit, name in ((1e18, "EB"), (1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if byte_count >= unit:
            value = byte_count / unit
            return f"{value:.{digits}g} {name}" if value < 10**digits else f"{value:.0f} {name}"
    return f"{byte_count} bytes" if byte_count else "0 MB"


def relative(share):
    """Return a change as 12%, 0.5% or under 0.01%, and one of ten times and more as a multiple."""
    if share >= 10:
        return f"{count(share)} {TIMES}"
    return f"{100 * share:.0f}%" if share >= 0.1 else f"{100 * share:.2g}%" if share >= 1e-4 else "under 0.01%"


def plural(many, noun):
    """Return `1 model` or `3 models`."""
    return f"{many:,} {noun}" if many == 1 else f"{many:,} {noun}s"


def listed(items):
    """Return `a`, `a and b` or `a, b and c`."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def is_determined(cell):
    """Return whether a law file's cell holds a number that may be shown."""
    return bool(cell) and bool(cell.get("determined")) and cell.get("value") is not None


def bounds(cell, text=number, endless="no end"):
    """Return the interval of a cell as [0.451, 0.520], "" if it has none.

    Parameters
    ----------
    cell : dict
        `low` and `high`, None or absent where there is none.
    text : callable
        Formats a number.
    endless : str
        Stands for the upper end of an interval whose refits go on to infinity.
    """
    if cell.get("low") is None:
        return ""
    return f"[{text(cell['low'])}, {endless if cell.get('high') is None else text(cell['high'])}]"


def interval(cell, text=number, endless="no end"):
    """Return a determined cell as `0.483 [0.451, 0.520]`, or only its value if it has no interval (:func:`bounds`)."""
    if not is_determined(cell):
        return NOT_DETERMINED
    return f"{text(cell['value'])} {bounds(cell, text, endless)}".rstrip()


def power_law(symbol, coefficient, exponent):
    """Return `L* = 12.3 F^-0.05`, or `L* ~ F^-0.05` where the cell of the coefficient is not determined.

    The exponent alone decides whether there is a law to be shown; `exponent` is text.
    """
    factor = f"= {number(coefficient['value'])}" if is_determined(coefficient) else "~"
    return f"{symbol} {factor} F^{exponent}"


def r_squared(value):
    """Return 0.970, with a real minus sign below 0."""
    return f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def not_determined(what, reasons, everything=()):
    """Return `... not determined on a and b: why.`, or the number of reasons where they differ.

    Parameters
    ----------
    what : str
    reasons : dict of str to str
        Dataset -> why.
    everything : collection of str
        If these are all the datasets, they are not listed.
    """
    where = "" if set(reasons) == set(everything) else f" on {listed(reasons)}"
    whys = list(dict.fromkeys(reasons.values()))
    why = whys[0] if len(whys) == 1 else f"{len(whys)} different reasons, given in the report"
    return f"{what} {NOT_DETERMINED}{where}: {why}."


def judges(people, models, simulated):
    """Return the noun for the judges of images; empty without judges.

    Parameters
    ----------
    people, models : bool
        Whether people (or simulated ones), and whether models are among them.
    simulated : bool
        Whether those people are simulated.
    """
    if simulated and people:
        return "simulated participants and models" if models else "simulated participants"
    return "participants" if people and models else "people" if people else "models" if models else ""


def sentence(text):
    """Return `text` with a capital at its start."""
    return text[:1].upper() + text[1:]
