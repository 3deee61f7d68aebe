"""The plan as a self-contained HTML page and as a block of YAML."""

import base64
import struct
import tempfile
from pathlib import Path

import numpy as np

from robustlaws.figures.drawing import inputs
from robustlaws.formatting import html
from robustlaws.intervals import percentile_interval
from robustlaws.job_resources import throughput
from robustlaws.laws import forecasts
from robustlaws.laws.accuracy import Line
from robustlaws.planning import config_block, figure, next_run, page_tables
from robustlaws.planning import proposal as planning
from robustlaws.runtime.logger import log
from robustlaws.storage import tables as records
from robustlaws.storage.atomic import read_json, write_text


def write(
    page_path,
    block_path,
    *,
    runs_path,
    law_paths,
    refits_paths,
    prediction_paths,
    accuracy_path,
    accuracy_refits_path,
    settings,
    folder=None,
    devices=1,
):
    """Plan the next runs of a study and write what comes out.

    Parameters
    ----------
    page_path, block_path : path
        Written: the page, and the block for the config.
    runs_path : path
        Parquet of records.RUNS.
    law_paths, refits_paths, prediction_paths : list of path
        Summaries of the laws, their refits (records.REFITS) and predictions (records.PREDICTIONS), in the same order.
    accuracy_path, accuracy_refits_path : path
        The line from loss to accuracy, and its refits.
    settings : settings.Plan
    folder : path, optional
        Results of the study, for the time that its runs took.
    devices : int
        That share one training job.

    Raises
    ------
    ValueError
        If a file is not what it should be, or the settings name something that is not there.
    """
    runs = records.read(runs_path, records.RUNS)
    laws = _laws(law_paths, refits_paths, accuracy_path, accuracy_refits_path, runs, settings.level)
    predictions = inputs.read_tables(prediction_paths, records.PREDICTIONS)
    known = settings.speed is not None
    fast = throughput.given(settings.speed) if known else throughput.measured(runs, folder, devices)
    proposal = planning.propose(laws, fast, settings)
    chosen = planning.chosen(laws, settings)
    next_runs = next_run.worth_doing(chosen, predictions, proposal.fid, proposal.budget.flops, settings)
    log.info("N*: %s", proposal.why or "determined")
    block = config_block.block(proposal, next_runs, settings)
    write_text(page_path, _page(proposal, next_runs, chosen, laws, runs, fast, block, settings))
    write_text(block_path, block)


def _laws(law_paths, refits_paths, accuracy_path, accuracy_refits_path, runs, level):
    line = Line.of(read_json(accuracy_path), records.read(accuracy_refits_path, records.REFITS))
    measured = forecasts.Measured.of(runs)
    return [
        forecasts.read(summary, records.read(refits, records.REFITS), line, measured, level)
        for summary, refits in zip(inputs.read_laws(law_paths), refits_paths, strict=True)
    ]


def _page(proposal, next_runs, chosen, laws, runs, fast, block, settings):
    tables = page_tables
    named = proposal.networks or proposal.bought
    return html.page(
        "planning/page.html.j2",
        sentences=tables.summary(proposal, next_runs, fast, chosen.title),
        spent=tables.spent(proposal, fast, settings, chosen.title),
        why=tables.why(proposal, chosen.summary) if proposal.why else [],
        optimum=tables.optimum(proposal),
        approaches=tables.approaches(proposal),
        region=tables.region(proposal) if proposal.approaches else "",
        forecasts=tables.forecasts(proposal.networks),
        bills=tables.bills(named, fast),
        capped=any(network.run.capped for network in named),
        resized=None if proposal.sizes is None else tables.resized(proposal.sizes, settings),
        overhead=f"{100 * settings.overhead:.3g}%",
        best_runs=tables.best_runs(runs),
        picture=_picture(proposal, laws, runs),
        search=next_runs,
        interval=tables.interval(next_runs) if next_runs.runs else "",
        next_runs=tables.next_runs(next_runs, fast),
        largest=tables.largest(next_runs, fast),
        caveats=tables.caveats(next_runs) if next_runs.runs else [],
        level=f"{100 * settings.level:.3g}%",
        block=block,
    )


def _picture(proposal, laws, runs):
    """Return {"source", "width", "height"} of the picture, None where N* is not determined."""
    if proposal.sizes is None:
        return None
    flops, sizes = proposal.budget.flops, proposal.sizes
    best = proposal.entries["params"]["value"]
    # a ratio of 1 costs nothing: the curve touches zero there
    curve = tuple(np.asarray(entry) for entry in (sizes.ratios * best, sizes.overhead, sizes.low, sizes.high))
    marks = [(entry.name, entry.params["value"], entry.overhead["value"]) for entry in sizes.models]
    mine = runs[(runs["real_fraction"] == 0) & runs["recipe"].isna()]
    known = [entry.law for entry in proposal.approaches if entry.entries["params"]["determined"]]
    with tempfile.TemporaryDirectory() as scratch:
        paths = {kind: Path(scratch) / f"plan.{kind}" for kind in ("png", "svg", "parquet")}
        figure.draw(
            paths=paths,
            lines=[_line(entry, proposal) for entry in laws if entry.name in known],
            flops=flops,
            region=proposal.region,
            runs=(mine["flops"].to_numpy(dtype=float), mine["params"].to_numpy(dtype=float)),
            networks=[
                (entry.run.network.name, entry.run.flops, entry.run.network.params) for entry in proposal.networks
            ],
            curve=curve,
            marks=[mark for mark in marks if mark[2] is not None],
        )
        content = paths["png"].read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    source = f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
    return {"source": source, "width": width, "height": height}


def _line(forecast, proposal):
    """Return the picture's part of one law."""

    def at(flops):
        samples = forecast.best_params(proposal.dataset, proposal.fid, flops)
        ends = percentile_interval(samples[1:][~np.isnan(samples[1:]).any(axis=1)], forecast.level)
        return samples[0], np.minimum(ends[0], samples[0]), np.maximum(ends[1], samples[0])

    return {
        "law": forecast.name,
        "title": forecast.title,
        **{name: (lambda flops, i=i: at(flops)[i]) for i, name in enumerate(("params", "low", "high"))},
    }
