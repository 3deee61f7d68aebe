"""The table for the reader: docs/staleness.md."""

from tests.support.checkouts import ROOT
from tests.workflow.staleness.table import SECTIONS

PAGE = ROOT / "docs" / "staleness.md"
HEAD = """# What a change recomputes

<!-- Written by `python -m tests.workflow.staleness`; the table is in tests/workflow/staleness. -->

What changes the bytes of a result makes it anew, and so does what it is made of; nothing else does. Before a change is
paid for, `snakemake -n` lists what it would recompute and `snakemake cost` says what that costs.

The tests try every line below on finished studies; each made exactly these jobs. What comes after anything is not said
again in each line: the table of origins, the RO-Crate and the report.

Keep `.snakemake` beside `results`: it holds what each result was made with.
"""


def rendered():
    """Return the page, in Markdown."""
    parts = [HEAD]
    for section in SECTIONS:
        lines = [f"## {section.title}", "", *([section.text, ""] if section.text else [])]
        # figures, or laws, that are one line to the reader
        lines += ["| change | recomputed | remark |", "|---|---|---|", *dict.fromkeys(map(_line, section.rows))]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _line(row):
    words = ", ".join(dict.fromkeys(part.words for part in row.made if part.words)) or "nothing"
    return f"| {row.change} | {words} | {row.why} |"
