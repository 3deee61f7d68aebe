"""An interactive, self-contained page of all runs: any quantity against any other.

The page holds plotly.js, its own scripts (`explorer_plot.js`, `explorer.js`) and the data as JSON. Its content security
policy lets these scripts run, by their digests, and nothing else load or run.
"""

import base64
import hashlib
import json
from importlib.resources import files

import matplotlib
import numpy as np
import pandas as pd
from plotly.offline import get_plotlyjs

from robustlaws.figures.drawing import inputs, style
from robustlaws.formatting import html, numbers
from robustlaws.laws.accuracy import of_loss
from robustlaws.storage import tables
from robustlaws.storage.atomic import read_json, write_text

_SCRIPTS = ("explorer_plot.js", "explorer.js")
# As style.COLOURS and in their order, light enough for a dark page.
DARK_COLOURS = ("#4C9BE8", "#FF8A4C", "#2FC79A", "#E7A3C8", "#F2C14E", "#8FD3FF", "#D46A9F", "#A9C25D")
# plotly.js's names of style.MARKERS, and a character that looks like each.
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "triangle-left",
           "triangle-right", "hexagon", "pentagon")  # fmt: skip
GLYPHS = "●■▲◆▼✚✖◀▶⬢⬟"


def _whole(value):
    return f"{value:,.0f}"


def _loss(value):
    return numbers.number(value, 4)


# Column of `tables.RUNS` -> label, how its numbers are written, whether its scale is logarithmic at first.
QUANTITIES = {
    "flops": ("training FLOPs", numbers.scientific, True),
    "params": ("N: parameters", numbers.count, True),
    "images": ("D: training images", numbers.count, True),
    "fid": ("FID", numbers.fid, True),
    "adv_loss": ("adversarial loss (nats)", _loss, True),
    "adv_acc": ("accuracy under PGD", numbers.percent, False),
    "autoattack_acc": ("accuracy under AutoAttack", numbers.percent, False),
    "clean_loss": ("clean loss (nats)", _loss, True),
    "clean_acc": ("clean accuracy", numbers.percent, False),
    "size": ("images asked for", numbers.count, True),
    "depth": ("depth (layers)", _whole, False),
    "width": ("width", _whole, False),
    "forward_flops": ("FLOPs of one forward pass", numbers.scientific, True),
    "flops_spent": ("training FLOPs really spent", numbers.scientific, True),
    "real_fraction": ("share of real images", numbers.percent, False),
    "steps": ("sampler steps", _whole, False),
    "seed": ("seed", _whole, False),
    "test_images": ("test images", _whole, False),
    "autoattack_images": ("test images of AutoAttack", _whole, False),
}
_FORMATS = {numbers.scientific: "flops", numbers.count: "count", numbers.percent: "percent"}
# Columns of a law's compute-optimal allocations, by the quantity of the axis:
# column of `tables.ALLOCATIONS`, symbol, how it is written.
_GIVEN = {
    "params": ("params", "N*", numbers.count),
    "images": ("images", "D*", numbers.count),
    "adv_loss": ("loss", "L*", _loss),
}


def write(path, *, runs, predictions, allocations, laws, accuracy, title, description):
    """Write the explorer of a study.

    Parameters
    ----------
    path : path
        The HTML page to write, whole or not at all.
    runs : path
        Table `tables.RUNS`.
    predictions, allocations : lists of paths
        Tables `tables.PREDICTIONS` and `tables.ALLOCATIONS`.
    laws : list of paths
        Law files: titles, and what is determined; a law is drawn only where it is.
    accuracy : path
        JSON of the line from adversarial loss to adversarial accuracy.
    title, description : str
        Name of the study, and what it is for.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    runs = tables.read(runs, tables.RUNS)
    laws = inputs.read_laws(laws)
    allocations = inputs.read_tables(allocations, tables.ALLOCATIONS)
    order = inputs.fid_order(
        pair
        for table in (runs, allocations[allocations["dataset"].notna()])
        for pair in zip(table["dataset"], table["fid"], strict=True)
    )
    data = {
        "names": list(runs["run"]),
        "quantities": [
            *_quantities(runs),
            *_by_laws(runs, inputs.read_tables(predictions, tables.PREDICTIONS), laws),
        ],
        "categories": _categories(runs, order),
        "scale": _scale(),
        "laws": _laws(allocations, laws, read_json(accuracy), list(order)),
    }
    ours = [files("robustlaws.report").joinpath(name).read_text(encoding="utf-8") for name in _SCRIPTS]
    scripts = [get_plotlyjs(), *ours]
    page = html.page(
        "report/explorer.html.j2",
        title=title,
        description=description,
        digests=[_digest(script) for script in scripts],
        scripts=scripts,
        data=as_json(data),
    )
    write_text(path, page)


def as_json(data):
    """Return JSON that may stand inside a script element: no character of it can end the element or open a comment."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _digest(script):
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def _quantities(runs):
    """Return the numeric columns of the runs that hold any number."""
    return [
        _quantity(column, label, "Runs", runs[column], text, log)
        for column, (label, text, log) in QUANTITIES.items()
        if runs[column].notna().any()
    ]


def _quantity(key, label, group, values, text, log):
    values = pd.to_numeric(values).to_numpy(dtype=float, na_value=np.nan)
    known = np.isfinite(values)
    return {
        "key": key,
        "label": label,
        "group": group,
        "format": _FORMATS.get(text, "number"),
        # the first scale shows all points
        "log": bool(log and (values[known] > 0).all()),
        "values": [float(value) if ok else None for value, ok in zip(values, known, strict=True)],
        "texts": [text(float(value)) if ok else None for value, ok in zip(values, known, strict=True)],
    }


def _by_laws(runs, predictions, laws):
    """Return the loss that each law gives for each run, and how far it lies from the one measured."""
    series = []
    for law in laws:
        mine = predictions[(predictions["law"] == law["law"]) & (predictions["loss"] > 0)].drop_duplicates("run")
        mine = mine.set_index("run").reindex(runs["run"])
        if mine["predicted"].isna().all():
            continue
        name = inputs.title(law)
        residual = 100 * np.log(mine["predicted"].where(mine["predicted"] > 0) / mine["loss"])
        series += [
            _quantity(f"predicted {law['law']}", "predicted loss (nats)", name, mine["predicted"], _loss, True),
            _quantity(f"residual {law['law']}", "predicted above measured loss (%)", name, residual, _residual, False),
        ]
    return series


def _residual(value):
    return f"{value:+.2f}%".replace("-", "\N{MINUS SIGN}")


def _categories(runs, order):
    """Return the categories that runs are coloured and chosen by: for each its values, their looks, and every run's."""
    params = runs.groupby("model")["params"].median().sort_values(kind="stable")
    recipes = runs["recipe"].astype(object).where(runs["recipe"].notna(), "")
    named = {
        "dataset": (runs["dataset"], [(name, inputs.labelled(name, fid)) for name, fid in order.items()]),
        "model": (runs["model"], [(name, f"{name} ({numbers.count(params[name])})") for name in params.index]),
        "recipe": (recipes, [(name, name or "the study's own") for name in sorted(set(recipes))]),
    }
    categories = []
    for key, (values, entries) in named.items():
        places = {name: place for place, (name, _) in enumerate(entries)}
        looks = _shades(len(entries)) if key == "model" else _colours(len(entries))
        categories.append({
            "key": key,
            "entries": [
                {"name": name, "label": label, "light": light, "dark": dark, "symbol": SYMBOLS[i % len(SYMBOLS)],
                 "glyph": GLYPHS[i % len(GLYPHS)]}
                for i, ((name, label), (light, dark)) in enumerate(zip(entries, looks, strict=True))
            ],
            "of": [places[name] for name in values],
        })  # fmt: skip
    return categories


def _colours(count):
    return [(style.COLOURS[i % len(style.COLOURS)], DARK_COLOURS[i % len(DARK_COLOURS)]) for i in range(count)]


def _shades(count):
    """Return (on light, on dark) for models from small to large, as `style.model_looks`."""
    viridis, steps = matplotlib.colormaps["viridis_r"], max(count, 2)
    pairs = zip(np.linspace(0.22, 1, steps), np.linspace(0, 0.72, steps), strict=True)
    return [tuple(matplotlib.colors.to_hex(viridis(shade)) for shade in pair) for pair in pairs][:count]


def _scale():
    """Return plotly.js's colour scale from low to high, on light and on dark."""
    places = np.linspace(0, 1, 6)
    ends = {"light": (0, 0.78), "dark": (0.3, 1)}
    viridis = matplotlib.colormaps["viridis"]
    return {
        theme: [[float(place), matplotlib.colors.to_hex(viridis(low + (high - low) * place))] for place in places]
        for theme, (low, high) in ends.items()
    }


def _laws(allocations, laws, accuracy, datasets):
    """Return each law's lines over budgets, only where the data determine them, and remarks on the rest."""
    explained = []
    for law in laws:
        mine = allocations[allocations["law"] == law["law"]]
        lines, unknown = [], {}
        for (fid, dataset), rows in mine.groupby(["fid", "dataset"], dropna=False, sort=False):
            dataset = None if pd.isna(dataset) else dataset
            entries = [inputs.dataset_entry(law, dataset)] if dataset else law.get("datasets") or []
            whys = _unknown(entries)
            if dataset:
                for key, why in whys.items():
                    unknown.setdefault(_GIVEN[key][1], {})[dataset] = why
            line = _line(rows.sort_values("flops", kind="stable"), set(_GIVEN) - set(whys), accuracy)
            if line:
                fid = None if pd.isna(fid) else float(fid)
                name = inputs.labelled(dataset, fid) if dataset else style.dataset_label(None, fid)
                lines.append({"name": name, "dataset": datasets.index(dataset) if dataset else None, **line})
        covered = [dataset for dataset in datasets if (mine["dataset"] == dataset).any()]
        remarks = [numbers.not_determined(symbol, whys, covered) for symbol, whys in unknown.items()]
        explained.append({"key": law["law"], "title": inputs.title(law), "lines": lines, "remarks": remarks})
    return explained


def _unknown(entries):
    """Return {quantity: why} of what a law does not determine on all of these datasets' entries."""
    whys = {}
    for entry in entries:
        exponents, parameters = entry.get("exponents") or {}, entry.get("parameters") or {}
        cells = {"params": [exponents.get("N_star")], "images": [exponents.get("D_star")]}
        # the envelope has a law of its own for L*; the other laws' L* is that at N* and D*
        own = [parameters[name] for name in ("coefficient", "exponent") if name in parameters]
        cells["adv_loss"] = own or cells["params"]
        for key, given in cells.items():
            why = [(cell or {}).get("why") or "no reason given" for cell in given if not numbers.is_determined(cell)]
            if why:
                whys.setdefault(key, why[0])
    return whys


def _line(rows, known, accuracy):
    """Return one line over budgets: its quantities, which budgets are the study's own, and every point in words."""
    of = {key: rows[_GIVEN[key][0]] for key in _GIVEN if key in known and rows[_GIVEN[key][0]].notna().any()}
    if not of:
        return None
    texts = [f"at {numbers.scientific(budget)} FLOPs" for budget in rows["flops"]]
    for key in of:
        column, symbol, text = _GIVEN[key]
        for place, row in enumerate(rows.to_dict("records")):
            value, low, high = (row[column + end] for end in ("", "_low", "_high"))
            if pd.notna(value):
                # without an upper end: the refits go on to infinity
                span = "" if pd.isna(low) else f" [{text(low)}, {'no end' if pd.isna(high) else text(high)}]"
                texts[place] += f"; {symbol} {text(value)}{span}"
    if "adv_loss" in of and all(numbers.is_determined(accuracy.get(name)) for name in ("intercept", "slope")):
        of["adv_acc"] = pd.Series(of_loss(accuracy, of["adv_loss"]))
        texts = [
            text if pd.isna(share) else f"{text}; accuracy {numbers.percent(share)}"
            for text, share in zip(texts, of["adv_acc"], strict=True)
        ]
    of = {"flops": rows["flops"], **of}
    return {
        "of": {key: [None if pd.isna(value) else float(value) for value in values] for key, values in of.items()},
        "measured": [bool(here) for here in rows["measured"]],
        "texts": texts,
    }
