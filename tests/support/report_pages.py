"""Report pages of small studies, and a check of their HTML."""

import struct
import zlib
from html.parser import HTMLParser

from robustlaws import report
from tests.support.figure_study import build, cell

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects what the tests ask for, and every tag that is not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.problems, self.images, self.addresses, self.words, self.headers = [], [], [], [], [], []
        self.feed(text)
        self.close()
        self.problems += [f"<{tag}> is never closed" for tag in self.open]
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.addresses += [value for name, value in attributes.items() if name in ("src", "href", "srcset", "data")]
        if tag == "img":
            self.images.append(attributes)
        if tag == "th":
            self.headers.append(attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)


def draw(path, width=3, height=2):
    """Write a small PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0),
        b"IDAT": zlib.compress(b"\0" * (width + 1) * height),
        b"IEND": b"",
    }
    framed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(framed))
    return path


def benchmarks(folder):
    """Write benchmark files of two stages below `folder`."""
    timings = []
    for stage, jobs in {"train": [("12.5", "800.5"), ("61.0", "1200.0")], "fit_law": [("3.25", "-")]}.items():
        for i, (seconds, memory) in enumerate(jobs):
            timings.append(folder / "benchmarks" / stage / f"a/{i}.tsv")
            timings[-1].parent.mkdir(parents=True, exist_ok=True)
            timings[-1].write_text(f"s\th:m:s\tmax_rss\tcpu_time\n{seconds}\t0:00:12\t{memory}\t10.0\n")
    return timings


def check(path):
    """Return the text of a page, and what the tests ask of it."""
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.problems == []
    return text, page


def write(folder, *, figures=(), settings=None, provenance=None, **options):
    """Write the report of a synthetic study (options as `build`); return its text and page."""
    inputs = build(folder / "in", **options)
    path = folder / "report.html"
    report.write(
        path,
        study="digits",
        description="A study of <digits> & their laws.",
        figures=[draw(folder / "figures" / f"{name}.png") for name in figures],
        timings=benchmarks(folder / "results"),
        settings=settings or {"threat": {"norm": "linf", "epsilon": 0.15}},
        versions={"robustlaws": "0.1.0", "numpy": "2.4.6"},
        provenance=provenance,
        **{name: inputs[name] for name in ("runs", "curves", "attacks", "laws", "accuracy", "quality")},
    )
    return check(path)


BEST, WORSE = ("edm-18", 2.1), ("edm-5", 8.76)


TITLE = "Approach 2: additive with data quality"


def limit(quantity, entry, place=BEST, budget=None, law="additive"):
    """Return a row of records.APPROACHES."""
    head = {"law": law, "title": TITLE if law == "additive" else law, "dataset": place[0], "fid": place[1]}
    return head | {"quantity": quantity, "budget": budget} | entry


def compared(quantity, value, dataset=None, fid=None, law="additive", **extra):
    """Return a row of records.COMPARISON."""
    head = {"law": law, "title": f"{law} as published", "quantity": quantity, "dataset": dataset, "fid": fid}
    return head | cell(value) | {"recipe": None, "printed": None} | extra
