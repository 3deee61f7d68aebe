"""Tables and numbers as plain text for a terminal."""

from robustlaws.formatting import numbers


def in_columns(rows, gap=2):
    """Return rows of text with their cells in columns; the first row is the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["".join(cell.ljust(width + gap) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(f"  {line}" for line in lines)


def cell(entry, form=None):
    """Return a row of `tables.APPROACHES` or `tables.COMPARISON` as text: value and interval, each by `form`."""
    if entry is None:
        return ""
    plain = {name: None if value is None or value != value else value for name, value in entry.items()}
    if not numbers.is_determined(plain):
        never = str(plain.get("why") or "")
        return "never" if never.startswith("never") else numbers.NOT_DETERMINED
    return numbers.interval(plain, form or numbers.scientific, "never")
