"""Numbers as a reader meets them, in the figures and in the report."""

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
    """Return seconds as 0 s, 0.4 s, 12 s, 3 min 20 s or 2 h 05 min."""
    if 0.05 <= seconds < 9.95:
        return f"{seconds:.1f} s"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def memory(megabytes):
    """Return MB as 512 MB or 3.4 GB."""
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"


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


def interval(cell):
    """Return a determined cell as `0.483 [0.451, 0.520]`, or only its value if it has no interval.

    An interval without an upper end is one whose refits go on to infinity.
    """
    if not is_determined(cell):
        return NOT_DETERMINED
    if cell.get("low") is None:
        return number(cell["value"])
    high = "no end" if cell.get("high") is None else number(cell["high"])
    return f"{number(cell['value'])} [{number(cell['low'])}, {high}]"


def cell(entry):
    """Return any cell of a law file in words; an undetermined one with its reason, never its number."""
    if is_determined(entry):
        return interval(entry)
    why = (entry or {}).get("why") or ""
    return f"{NOT_DETERMINED}: {why}" if why else NOT_DETERMINED


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
    """Return what those are called who judged images; empty if nobody did.

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
