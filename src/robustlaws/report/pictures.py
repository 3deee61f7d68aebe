"""The figures in the report, grouped by heading, with links to their files."""

import base64
import os
import struct
from pathlib import Path
from urllib.parse import quote

from robustlaws.figures import FIGURES, HEADINGS

_FEW = 6  # figures that need no headings
_KINDS = {".svg": "SVG", ".parquet": "data (Parquet)"}


def read(paths, page):
    """Return the figures for the page, under headings if they are many.

    Parameters
    ----------
    paths : list of paths
        PNG files in the order of the page. An SVG and a Parquet file of the same name beside one are linked.
    page : path
        The page to be, for the links.

    Returns
    -------
    list of dict
        {"heading": "" or a heading, "figures": [...]}; figures are numbered through.

    Raises
    ------
    ValueError
        If a file is no PNG.
    """
    figures = [_figure(Path(path), Path(page)) for path in paths]
    if len(figures) <= _FEW:
        return _numbered([{"heading": "", "figures": figures}]) if figures else []
    known = {name: figure.heading for name, figure in FIGURES.items()}
    of = {figure["name"]: known.get(figure["name"], "Further figures") for figure in figures}
    groups = [
        {"heading": heading, "figures": [figure for figure in figures if of[figure["name"]] == heading]}
        for heading in dict.fromkeys((*HEADINGS, *of.values()))
    ]
    return _numbered([group for group in groups if group["figures"]])


def _numbered(groups):
    for number, figure in enumerate((figure for group in groups for figure in group["figures"]), start=1):
        figure["number"] = number
    return groups


def _figure(path, page):
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: not a readable figure ({error})") from None
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError(f"{path}: not a PNG file")
    width, height = struct.unpack(">II", content[16:24])
    caption = FIGURES[path.stem].caption if path.stem in FIGURES else path.stem.replace("_", " ")
    lead, _, rest = caption.partition(". ")
    beside = {kind: path.with_suffix(suffix) for suffix, kind in _KINDS.items()}
    return {
        "name": path.stem,
        "source": f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}",
        "width": width,
        "height": height,
        "lead": lead.removesuffix("."),
        "rest": rest,
        "links": {kind: link(file, page) for kind, file in beside.items() if file.is_file()},
    }


def link(file, page):
    """Return the address of `file` as seen from `page`."""
    return quote(Path(os.path.relpath(file, Path(page).parent)).as_posix())
