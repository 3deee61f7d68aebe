"""The compute-optimal proposal: model, images, cost and expected outcome for a budget."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from robustlaws import registry
from robustlaws.intervals import percentile_interval
from robustlaws.laws import determination, forecasts, overheads
from robustlaws.planning import candidate_runs

_SECONDS = 3600.0


@dataclass(frozen=True)
class Quantity:
    """A number of a law that a further run can make surer.

    `words`; `samples(forecast, flops, fid)`: (1 + refits,); `by_factor`: its interval is measured as a factor.
    """

    words: str
    samples: Callable
    by_factor: bool = False


def _parameter(name):
    return lambda forecast, flops, fid: forecast.parameter(name)


# Quantities that the next run may narrow; the parameters are those of the planning law.
QUANTITIES = {
    "N_star": Quantity("the exponent of N*", lambda law, flops, fid: law.share(flops, fid)[:, 0]),
    "params": Quantity("N* at the budget", lambda law, flops, fid: law.optimum(flops, fid)[0][:, 0], by_factor=True),
    "loss": Quantity("L* at the budget", lambda law, flops, fid: law.best_loss(flops, fid)[:, 0]),
    "asymptote": Quantity("the loss with unlimited compute", lambda law, flops, fid: law.asymptote(fid)),
    "accuracy_limit": Quantity(
        "the accuracy with unlimited compute",
        lambda law, flops, fid: law.accuracy(law.asymptote(fid)[:, None])[:, 0],
    ),
    **{name: Quantity(f"the parameter {name}", _parameter(name), by_factor=True) for name in ("A", "B", "Q")},
    **{
        name: Quantity(f"the parameter {name}", _parameter(name))
        for name in ("E", "alpha", "beta", "eps", "zeta", "kappa")
    },
}


@dataclass(frozen=True)
class Budget:
    """The budget: `flops`, or None and `why`; `needed`: entry of the FLOPs to a target accuracy."""

    flops: float | None
    why: str = ""
    needed: dict | None = None


@dataclass(frozen=True)
class Network:
    """A real network at the budget: its run, and the entries of its predicted loss and accuracy (None: no forecast)."""

    run: candidate_runs.Candidate
    loss: dict | None
    accuracy: dict | None
    to_sample: int
    stored: int  # bytes of the images that it needs


@dataclass(frozen=True)
class Resized:
    """A model of another size that reaches L*: entries of N (`params`), D (`images`) and the overhead, a share."""

    name: str
    params: dict
    images: dict
    overhead: dict


@dataclass(frozen=True)
class Sizes:
    """Overhead at L*: over N / N* in `ratios` (m,), `overhead`, `low`, `high` (m,), inf where nothing does."""

    ratios: np.ndarray
    overhead: np.ndarray
    low: np.ndarray
    high: np.ndarray
    smallest: Resized
    models: list


@dataclass(frozen=True)
class Approach:
    """One law at the budget: its `entries` (`forecasts.AT_BUDGET`, N_star, D_star)."""

    law: str
    title: str
    entries: dict


@dataclass(frozen=True)
class Proposal:
    """The result of the planner.

    `dataset` (None: an imagined one) of FID `fid`; `entries` of the law planned with: `forecasts.ALWAYS`, and with a
    budget `forecasts.AT_BUDGET`; `why` N* is not determined, or ""; `approaches`: all laws; `region`: lowest and
    highest N* over those that determine it, None for fewer than two; `networks`: best first, empty where N* is not
    determined; `bought`: what the budget buys for the study's own models; `sizes`: None where N* is not determined.
    """

    dataset: str | None
    fid: float
    budget: Budget
    entries: dict
    why: str
    approaches: list
    region: tuple | None
    networks: list
    bought: list
    sizes: Sizes | None


def place(forecast, settings):
    """Return (dataset, FID) that is planned for; (None, None) without runs.

    They are as the settings say, or the dataset of the best FID.

    Raises
    ------
    ValueError
        If the law has no run on that dataset.
    """
    datasets = {dataset: fid for dataset, fid in forecast.places if dataset is not None}
    if settings.fid is not None:
        return None, settings.fid
    if settings.dataset is not None:
        return settings.dataset, datasets[
            registry.check(settings.dataset, datasets, "plan.dataset, among those with runs")
        ]
    return min(datasets.items(), key=lambda pair: pair[1], default=(None, None))


def budget(forecast, dataset, fid, speed, settings):
    """Return the :class:`Budget` given in FLOPs, in hours of a device, or as an accuracy to reach."""
    if settings.flops is not None:
        return Budget(settings.flops)
    if settings.gpu_hours is not None:
        if speed is None:
            return Budget(None, "no run was timed, and no speed is given: hours say nothing")
        return Budget(settings.gpu_hours * _SECONDS * speed.value)
    if settings.accuracy is None:
        raise ValueError("plan: none of flops, gpu_hours and accuracy is given; give one")
    silent = forecast.silent(dataset, fid)
    needed = determination.unknown(silent) if silent else forecast.flops_to(settings.accuracy, dataset, fid)
    if not needed["determined"]:
        return Budget(None, needed["why"], needed)
    return Budget(needed["value"], "", needed)


def propose(laws, speed, settings):
    """Return the proposal of the planner.

    Parameters
    ----------
    laws : list of forecasts.Forecast
        All laws of the study.
    speed : speed.Speed or None
    settings : settings.Plan

    Returns
    -------
    Proposal

    Raises
    ------
    ValueError
        If the settings name a law or dataset that is not there.
    """
    forecast = chosen(laws, settings)
    dataset, fid = place(forecast, settings)
    spent = budget(forecast, dataset, fid, speed, settings)
    entries = _entries(forecast, dataset, fid, spent.flops)
    approaches = [] if spent.flops is None else [_approach(law, dataset, fid, spent.flops) for law in laws]
    why = _undetermined(entries)
    sized = spent.flops is not None and not why and isinstance(forecast, forecasts.FormForecast)
    return Proposal(
        dataset=dataset,
        fid=fid,
        budget=spent,
        entries=entries,
        why=why,
        approaches=approaches,
        region=_region(approaches),
        networks=networks(forecast, dataset, fid, spent.flops, settings) if sized else [],
        bought=[] if spent.flops is None else bought(dataset, spent.flops, settings),
        sizes=sizes(forecast, fid, spent.flops, settings) if sized else None,
    )


def chosen(laws, settings):
    """Return the forecast of the law that is planned with; ValueError if it is not among `laws`."""
    known = {law.name: law for law in laws}
    return known[registry.check(settings.law, known, "plan.law")]


def networks(forecast, dataset, fid, flops, settings):
    """Return the real networks with a law's lowest losses at a budget, each with its forecast.

    Their shapes are like the study's. Different widths come first: networks of one width and neighbouring depths are
    nearly the same.
    """
    params = forecast.optimum(flops, fid)[0][0, 0]
    affordable = [
        candidate_runs.for_flops(network, flops, settings) for network in candidate_runs.networks_near(params, settings)
    ]
    runs = [run for run in affordable if run is not None]
    if not runs:
        return []
    losses = forecast.loss(*np.array([(run.network.params, run.draws) for run in runs], dtype=float).T, fid)
    best_of_width, order = {}, np.argsort(losses[0], kind="stable")
    for index in order:
        best_of_width.setdefault(runs[index].network.width, index)
    first = list(best_of_width.values())
    picked = [*first, *(index for index in order if index not in set(first))][: settings.candidates]
    return [
        _network(forecast, dataset, fid, runs[index], losses[:, index], settings)
        for index in sorted(picked, key=lambda index: losses[0, index])
    ]


def bought(dataset, flops, settings):
    """Return the run that a budget buys for each model of the study, without forecasts: a list of :class:`Network`."""
    runs = [candidate_runs.for_flops(network, flops, settings) for network in candidate_runs.of_study(settings)]
    return [_network(None, dataset, None, run, None, settings) for run in runs if run is not None]


def sizes(forecast, fid, flops, settings):
    """Return the :class:`Sizes` around N* of a budget: the curve, the smallest model, and the study's own models."""
    best, _ = forecast.optimum(flops, fid)
    ratios = np.geomspace(0.05, 8.0, 121)
    # at fixed N: each refit has its own optimum, so the interval includes the uncertainty of N*
    _, curve = overheads.at_equal_loss(forecast, flops, fid, best[0, 0] * ratios)
    low, high = percentile_interval(np.where(np.isnan(curve[1:]), np.inf, curve[1:]), forecast.level)
    params, images = overheads.smallest(forecast, flops, fid, settings.overhead)
    models = candidate_runs.of_study(settings)
    needed, cost = overheads.at_equal_loss(forecast, flops, fid, np.array([float(model.params) for model in models]))
    exact = {"low": None, "high": None, "determined": True, "why": ""}
    return Sizes(
        ratios,
        curve[0],
        np.minimum(low, curve[0]),
        np.maximum(high, curve[0]),
        Resized(
            "smallest",
            forecast.entry(params, determination.positive),
            forecast.entry(images, determination.positive),
            {"value": settings.overhead} | exact,
        ),
        [
            Resized(
                model.name,
                {"value": float(model.params)} | exact,
                _open(forecast, needed[:, index]),
                _open(forecast, cost[:, index]),
            )
            for index, model in enumerate(models)
        ],
    )


def _open(forecast, samples):
    """Return the entry of a number that may be without end; `value` is None where the fit has none."""
    if np.isinf(samples[0]):
        return determination.unknown("no number of images does")
    return forecast.entry(samples, lambda low, high: "" if math.isfinite(high) else "no end in some of the refits")


def _network(forecast, dataset, fid, run, losses, settings):
    outcome = {"loss": None, "accuracy": None}
    if forecast is not None:
        outcome = forecast.outcome(losses, forecast.loss_why(dataset, fid, run.flops))
    stored = candidate_runs.stored_bytes(candidate_runs.images_needed(run), settings)
    return Network(run, **outcome, to_sample=candidate_runs.images_to_sample(run, dataset, settings), stored=stored)


def _approach(forecast, dataset, fid, flops):
    return Approach(forecast.name, forecast.title, _entries(forecast, dataset, fid, flops))


def _entries(forecast, dataset, fid, flops=None):
    """Return all entries of a law at a budget, or those that hold for all; unknown where it is silent on the place."""
    silent = forecast.silent(dataset, fid)
    if silent:
        names = (*forecasts.ALWAYS, *(forecasts.AT_BUDGET if flops is not None else ()))
        return dict.fromkeys(names, determination.unknown(silent))
    return forecast.always(dataset, fid) | (forecast.at(dataset, fid, flops) if flops is not None else {})


def _undetermined(entries):
    """Return why N* is not determined, or ""."""
    wanted = [entries[name] for name in ("N_star", "params") if name in entries]
    return next((entry["why"] for entry in wanted if not entry["determined"]), "")


def _region(approaches):
    known = [approach.entries["params"]["value"] for approach in approaches if approach.entries["params"]["determined"]]
    return (min(known), max(known)) if len(known) > 1 else None
