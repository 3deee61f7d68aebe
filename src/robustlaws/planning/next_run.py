"""The next run: the largest expected reduction of an interval per FLOP.

The bootstrap refits stand for what may still be true. For each possible run, outcomes are simulated from many refits,
with the noise of the study's own runs. Every refit is then weighted by the likelihood of the outcome, and the interval
of the quantity is computed again. Its mean width over the imagined outcomes is what may be expected.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from robustlaws import registry, seeds
from robustlaws.intervals import percentile_interval
from robustlaws.laws import determination
from robustlaws.laws.forecasts import FormForecast, NoForecast
from robustlaws.planning import candidate_runs
from robustlaws.planning.proposal import QUANTITIES

LISTED = 10
_OUTCOMES = 200  # imagined for each run
_FEWEST = 25  # refits that must be left with weight: an interval of fewer would be luck
_GROWTH = 1.4  # of the noise, until as many are
_BEYOND = (2, 4, 8)  # times the largest size of the study
_NORMAL_MAD = 1.4826  # standard deviation over median absolute deviation
_LEAST = 0.005  # share of the width that a reduction must exceed
_SHUFFLED = 60  # outcomes that have nothing to do with the number, to see what chance does
_CHANCE = 0.95  # share of these that a reduction must exceed


@dataclass(frozen=True)
class NextRun:
    """One run that could be done.

    `after`: expected width of the interval; `reduction`: 1 - after / before; `effective`: refits left with weight;
    `rough`: the noise was raised to keep enough of them, so that the outcome may say more than this.
    """

    run: candidate_runs.Candidate
    dataset: str
    fid: float
    after: float
    reduction: float
    effective: float
    rough: bool
    to_sample: int
    stored: int

    @property
    def per_flop(self):
        """Reduction for each training FLOP."""
        return self.reduction / self.run.flops


@dataclass(frozen=True)
class NextRuns:
    """Candidates for the next run, for one quantity.

    `low`, `high`: its interval in the refits; `before`: how wide it is, in logs where `by_factor`; `noise`: of one run,
    relative to its loss; `chance`: the reduction that so few refits show for an outcome that says nothing; `runs`: at
    most :data:`LISTED` above that, most per FLOP first; `largest`: the one that shrinks it most whatever it costs;
    `considered`: how many were looked at; `why`: why there is nothing, or "".
    """

    quantity: str
    words: str
    by_factor: bool
    low: float
    high: float
    before: float
    noise: float
    chance: float
    runs: list
    largest: NextRun | None
    considered: int
    why: str


def noise(predictions, unknowns):
    """Return the relative noise of one run: a robust standard deviation of the log residuals of `tables.PREDICTIONS`.

    The fit runs through about as many runs as it has parameters (`unknowns`); these say nothing of the noise.
    """
    residuals = np.sort(np.abs(np.log(predictions["loss"].to_numpy() / predictions["predicted"].to_numpy())))
    return _NORMAL_MAD * float(np.median(residuals[min(unknowns, len(residuals) - 1) :]))


def worth_doing(forecast, predictions, fid, flops, settings):
    """Return the runs that would narrow the interval of the quantity.

    Parameters
    ----------
    forecast : forecasts.Forecast
    predictions : data frame
        As `tables.PREDICTIONS`; those of this law are used.
    fid : float or None
        That the quantity is meant at.
    flops : float or None
        Budget that the quantity is meant at, and that no run may exceed; None: that of the dearest run so far, and
        eight times that.
    settings : settings.Plan

    Returns
    -------
    NextRuns

    Raises
    ------
    ValueError
        If the law has no such quantity.
    """
    quantity = QUANTITIES[registry.check(settings.quantity, QUANTITIES, "plan.quantity")]
    head = (settings.quantity, quantity.words, quantity.by_factor)
    predictions = predictions[predictions["law"] == forecast.name]
    if not isinstance(forecast, FormForecast):
        fitted = not isinstance(forecast, NoForecast)
        why = "this law predicts no single run" if fitted else forecast.always(None, fid)["N_star"]["why"]
        return NextRuns(*head, *[np.nan] * 5, [], None, 0, why)
    values = quantity.samples(forecast, flops or forecast.measured.dearest, fid)[1:]
    values = np.log(np.where(values > 0, values, np.nan)) if quantity.by_factor else values
    one_fid = determination.levels([entry["fid"] for entry in forecast.summary["datasets"]]) < 2
    unknowns = len(forecast.form.judges) - (len(forecast.form.of_quality) if one_fid else 0)
    stages = _stages(forecast)
    # the others are predicted, not fitted
    fitted = [*stages["base"], *stages["quality"]] if stages else [name for name, _ in forecast.places]
    one_run = noise(predictions[predictions["dataset"].isin(fitted)], unknowns)
    usable = np.flatnonzero(np.isfinite(values))
    why = _nothing(values[usable], one_run)
    candidates = [] if why else possible(forecast, flops or _BEYOND[-1] * forecast.measured.dearest, settings)
    outcomes = _outcomes(forecast, candidates)[usable]
    # far from the runs a law may predict no loss at all
    tells = np.isfinite(outcomes).mean(axis=0) > 0.5
    outcomes, candidates = (
        outcomes[:, tells],
        [candidate for candidate, kept in zip(candidates, tells, strict=True) if kept],
    )
    if not candidates:
        why = why or "no run that has not been done and that the law can tell of lies within the budget"
        return NextRuns(*head, *[np.nan] * 3, one_run, np.nan, [], None, 0, why)
    return _compared(forecast, quantity, values[usable], one_run, candidates, outcomes, settings)


def _compared(forecast, quantity, values, one_run, candidates, outcomes, settings):
    """Return the :class:`NextRuns` of `candidates`: `values` (refits,), `outcomes` (refits, candidates)."""
    low, high = map(float, percentile_interval(values, forecast.level))  # as everywhere else
    seed = seeds.derive(settings.seed, "next run")
    before, after, effective, rough = expected_widths(values, outcomes, one_run, forecast.level, seed)
    chance = max(_LEAST, _by_chance(values, outcomes, one_run, forecast.level, seed))
    runs = [
        _next_run(run, place, settings, before, *widths)
        for (run, *place), widths in zip(candidates, zip(after, effective, rough, strict=True), strict=True)
    ]
    runs = [run for run in runs if run.reduction > chance]
    runs.sort(key=lambda run: (-run.per_flop, run.run.network.name, run.dataset, run.run.images))
    largest = max(runs, key=lambda run: (run.reduction, run.per_flop), default=None)
    why = "" if runs else "none of the runs looked at would shrink the interval by more than chance does"
    if quantity.by_factor:
        low, high = float(np.exp(low)), float(np.exp(high))
    head = (settings.quantity, quantity.words, quantity.by_factor)
    return NextRuns(*head, low, high, before, one_run, chance, runs[:LISTED], largest, len(candidates), why)


def _outcomes(forecast, candidates):
    """Return the log losses (refits, candidates) that the refits predict; nan where one predicts none."""
    rows = [(run.network.params, run.draws, fid) for run, _, fid in candidates]
    params, images, fids = np.array(rows, dtype=float).reshape(-1, 3).T
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.log(forecast.loss(params, images, fids))[1:]


def _by_chance(values, outcomes, one_run, level, seed):
    """Return the reduction that outcomes show which have nothing to do with the number: those of shuffled refits."""
    rng = np.random.default_rng(seeds.derive(seed, "shuffled"))
    spread = np.argsort(np.nanstd(outcomes, axis=0), kind="stable")
    some = spread[np.linspace(0, len(spread) - 1, _SHUFFLED).round().astype(int)]
    shuffled = rng.permuted(outcomes[:, some], axis=0)
    before, after, *_ = expected_widths(values, shuffled, one_run, level, seed)
    return float(np.quantile(1 - after / before, _CHANCE))


def _next_run(run, place, settings, before, after, effective, rough):
    stored = candidate_runs.stored_bytes(candidate_runs.images_needed(run), settings)
    to_sample = candidate_runs.images_to_sample(run, place[0], settings)
    return NextRun(
        run, *place, float(after), float(1 - after / before), float(effective), bool(rough), to_sample, stored
    )


def _nothing(values, one_run):
    if len(values) < 2 * _FEWEST:
        return f"only {len(values)} refits give the number; fit with more (laws.refits)"
    if np.ptp(values) == 0:
        return "it is the same in all refits"
    return "" if one_run > 0 else "the law fits its runs without any error: a further run would show nothing"


def _stages(forecast):
    """Return {"base": [dataset], "quality": datasets} of a law that is fitted in stages, else {}."""
    fit = forecast.summary.get("fit") or {}
    return {"base": [fit["base"]], "quality": list(fit["quality"])} if "base" in fit else {}


def _telling(forecast, quantity):
    """Return the datasets whose runs tell a law of a quantity: all, or those of the stage that it is fitted in."""
    stages = _stages(forecast)
    if not stages:
        return [name for name, _ in forecast.places if name is not None]
    return stages["quality" if quantity in ("eps", "zeta") else "base"]


def possible(forecast, flops, settings):
    """Return [(candidate, dataset, FID)] of the runs that could be done within `flops` and that the laws would use.

    Models of the study and their neighbours, its datasets, its sizes and powers of two beyond; no run that it has.
    """
    datasets = [(name, fid) for name, fid in forecast.places if name in _telling(forecast, settings.quantity)]
    done = {name.rsplit("/", 1)[0] for name in settings.runs}
    by_part = [name.split("/") for name in done]
    sizes = sorted(
        {int(size) for model, dataset, size in by_part if "@" not in model and dataset in dict(forecast.places)}
    )
    sizes += [sizes[-1] * times for times in _BEYOND] if sizes else []
    candidates = {}
    for network in candidate_runs.around(settings):
        for size in sizes:
            run = candidate_runs.on_images(network, size, settings)
            if run is None or run.flops > flops:
                continue
            for dataset, fid in datasets:
                # a size that is no whole batch is the same run
                name, same = (f"{network.name}/{dataset}/{images}" for images in (run.images, size))
                if not {name, same} & done and not _left_out(run, fid, settings.small_on_large):
                    candidates.setdefault(name, (run, dataset, fid))
    return list(candidates.values())


def _left_out(run, fid, rule):
    """Whether the laws would leave the run out by `small_on_large`."""
    return rule is not None and (
        run.network.params < rule["params_below"] and run.images > rule["images_above"] and fid < rule["fid_below"]
    )


def expected_widths(values, outcomes, one_run, level, seed):
    """Return the mean width of a number's interval after the outcome of each candidate.

    Parameters
    ----------
    values : float array (refits,)
        The number in each refit.
    outcomes : float array (refits, candidates)
        Log loss that each refit predicts; nan where it predicts none.
    one_run : float
        Standard deviation of the log loss of one run.
    level : float
    seed : int

    Returns
    -------
    before : float
    after, effective : float arrays (candidates,)
        Mean width, and refits left with weight.
    rough : bool array (candidates,)
        Where so few refits were left that the noise was raised.
    """
    order = np.argsort(values, kind="stable")
    values, outcomes = values[order], outcomes[order]
    count = len(values)
    rng = np.random.default_rng(seed)
    # one outcome for each of some refits spread evenly over the number's range; the same for all candidates
    picks = np.unique(np.linspace(0, count - 1, min(count, _OUTCOMES)).round().astype(int))
    noise_of = rng.permutation(_quantiles_of_normal(len(picks)))
    others = np.ones((len(picks), count))
    others[np.arange(len(picks)), picks] = 0.0  # a refit does not vouch for the outcome that it was asked for
    before = _widths(values, others, level)
    fewest = min(_FEWEST, count / 2)
    after, effective = np.empty(outcomes.shape[1]), np.empty(outcomes.shape[1])
    rough = np.zeros(outcomes.shape[1], dtype=bool)
    for index in range(outcomes.shape[1]):
        # about as much noise as leaves enough refits; from there on it is raised step by step
        scale = max(one_run, 0.3 * fewest / count * float(np.nanstd(outcomes[:, index])))
        rough[index] = scale > one_run
        while True:
            weights = _weights(outcomes[:, index], picks, noise_of, scale, others > 0)
            total = weights.sum(axis=1)
            kept = total > 0
            left = float((total[kept] ** 2 / (weights[kept] ** 2).sum(axis=1)).sum() / len(picks))
            if left >= fewest or scale > 1e6 * one_run:
                break
            scale, rough[index] = scale * _GROWTH, True
        change = _widths(values, weights[kept], level) - before[kept] if kept.any() else np.zeros(1)
        after[index], effective[index] = before.mean() + change.mean(), left
    return float(before.mean()), after, effective, rough


def _quantiles_of_normal(count):
    """Return `count` numbers that fill the standard normal evenly."""
    return ndtri((np.arange(count) + 0.5) / count)


def _weights(predicted, picks, noise_of, scale, allowed):
    """Return the weights (outcomes, refits) of refits that predict `predicted` (refits,), the largest of each row 1.

    A row without any, where its own refit predicts nothing, is 0.
    """
    outcome = predicted[picks] + scale * noise_of
    away = (outcome[:, None] - predicted[None, :]) / scale
    usable = allowed & np.isfinite(away)
    logs = np.where(usable, -0.5 * np.where(usable, away, 0.0) ** 2, -np.inf)
    best = logs.max(axis=1, keepdims=True)
    return np.exp(logs - np.where(np.isfinite(best), best, 0.0))


def _ends(values, weights, level):
    """Return the ends (m,) of the interval of rising `values` (refits,) under weights (m, refits)."""
    total = weights.sum(axis=1, keepdims=True)
    # each value stands in the middle of its own weight
    middle = (np.cumsum(weights, axis=1) - weights / 2) / total
    ends = []
    for share in ((1 - level) / 2, (1 + level) / 2):
        above = np.clip((middle < share).sum(axis=1), 1, len(values) - 1)
        row = np.arange(len(weights))
        x0, x1 = middle[row, above - 1], middle[row, above]
        step = np.where(x1 > x0, (share - x0) / np.where(x1 > x0, x1 - x0, 1.0), 0.0)
        ends.append(values[above - 1] + np.clip(step, 0.0, 1.0) * (values[above] - values[above - 1]))
    return ends


def _widths(values, weights, level):
    low, high = _ends(values, weights, level)
    return high - low
