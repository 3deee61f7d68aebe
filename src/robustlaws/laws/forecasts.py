"""Forecasts of a fitted law for any budget or run, with intervals and determination.

A forecast travels as samples (1 + refits, m): the fit itself first, then its refits. Each is paired in turn with one
refit of the line from loss to accuracy. A number that rests on one that the study does not determine is not determined.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from robustlaws import registry
from robustlaws.intervals import percentile_interval
from robustlaws.laws import FORMS, accuracy, bootstrap_table, determination, form
from robustlaws.laws.accuracy import Line
from robustlaws.laws.arrays import Numbers
from robustlaws.laws.form import Form
from robustlaws.laws.observations import comparable
from robustlaws.laws.roots import bisect

WIDEST_ACCURACY = 0.2  # an interval of more says nothing that the measured accuracies did not
WIDEST_BUDGET = 1e6  # factor; FLOPs rise so fast with accuracy that WIDEST_FACTOR is a small step
ALWAYS = ("N_star", "D_star", "asymptote", "accuracy_limit")
AT_BUDGET = ("params", "images", "loss", "accuracy")
_STARS = (("params", "N_star", "N*"), ("images", "D_star", "D*"))
_FURTHEST = 100.0  # times the dearest run: how far a power law without a limit is followed
_FAR = "an envelope is a power of FLOPs: it says nothing so far from the runs"
_LARGEST_LOG = 690.0  # 1e300: what double precision still holds
_HALVINGS = 64  # of that range: to the last bit


@dataclass(frozen=True)
class Measured:
    """Facts of the runs themselves: `lowest` loss in nats, and FLOPs of the `dearest` run."""

    lowest: float
    dearest: float

    @classmethod
    def of(cls, runs: pd.DataFrame) -> "Measured":
        """Return it for the comparable runs of `tables.RUNS`; without any, a lowest loss of inf and 0 FLOPs."""
        runs = runs[runs["adv_loss"].notna()]
        runs = comparable(runs)[0] if len(runs) else runs
        if not len(runs):
            return cls(np.inf, 0.0)
        return cls(float(runs["adv_loss"].min()), float(runs["flops"].max()))


@dataclass(frozen=True)
class Forecast:
    """Shared parts of all forecasts: `summary`, the line, the measurements, and the level of intervals."""

    summary: dict
    line: Line
    measured: Measured
    level: float

    @property
    def name(self) -> str:
        """Name of the law."""
        return self.summary["law"]

    @property
    def title(self) -> str:
        """The law's title for readers."""
        return self.summary.get("title") or self.name

    @property
    def places(self) -> list[tuple[str | None, float]]:
        """[(dataset, FID)] of the law, best FID first, and (None, 0.0) where it says what FID does."""
        places = [(entry["dataset"], float(entry["fid"])) for entry in self.summary["datasets"]]
        enough = determination.levels([fid for _, fid in places]) >= determination.FEWEST_LEVELS
        return [*places, (None, 0.0)] if enough and self.knows_fid else places

    knows_fid = False  # whether it says anything of a FID of no dataset

    def silent(self, dataset: str | None, fid: float | None) -> str:
        """Return why it says nothing at all of a place, or ""."""
        if fid is None:
            return "no law was fitted to any run"
        if dataset is None and not self.knows_fid:
            return "it says nothing of a FID of no dataset"
        if dataset is not None and self.of_dataset(dataset) is None:
            return f"it was fitted to no run on {dataset}"
        return ""

    def entry(self, samples: np.ndarray, judge: Callable[..., str], why: str = "") -> dict[str, Any]:
        """Return samples (1 + refits,) as the entry of a law's summary."""
        return determination.entry(samples[0], samples[1:], self.level, judge, why)

    def accuracy(self, loss: np.ndarray) -> np.ndarray:
        """Return the accuracy samples of loss samples (1 + refits, m)."""
        return np.asarray(accuracy.of_loss(self.line.beside(len(loss)), loss))

    def accuracy_entry(self, loss: np.ndarray, why: str) -> dict[str, Any]:
        """Return the entry of the accuracy at loss samples (1 + refits,); `why` the loss is not determined."""
        accuracies = self.accuracy(np.asarray(loss)[:, None])[:, 0]
        why = why or self.line.why
        if not why and accuracies[0] in (0.0, 1.0):
            why = f"the line from loss to accuracy ends at {100 * accuracies[0]:g}%"
        # judged as the line has it: where it is cut off at 0 and 1 it would look surer than it is
        line = self.line.beside(len(accuracies))
        beyond = (line["intercept"] + line["slope"] * np.asarray(loss)[:, None])[1:, 0]
        if not why and len(beyond) and np.isfinite(beyond).all():
            why = _share(*percentile_interval(beyond, self.level))
        return self.entry(accuracies, _share, why)

    def outcome(self, loss: np.ndarray, why: str) -> dict[str, dict[str, Any]]:
        """Return the entries of a loss, with samples (1 + refits,), and its accuracy; `why` they are not determined."""
        entry = self.entry(loss, determination.loss_above_zero(self.measured.lowest), why)
        return {"loss": entry, "accuracy": self.accuracy_entry(loss, why or _of("the loss", entry))}

    def of_dataset(self, dataset: str | None) -> dict[str, Any] | None:
        """Return the summary's entry of one dataset, or None."""
        return next((entry for entry in self.summary["datasets"] if entry["dataset"] == dataset), None)


@dataclass(frozen=True)
class FormForecast(Forecast):
    """That of a law with a loss L(N, D, FID); `logs`: its parameters, (1 + refits, 1) each, as `form.Form` says.

    Arguments are numbers or arrays (m,); so is `fid`, or one number.
    """

    form: Form
    logs: dict
    knows_fid = True

    @property
    def flops_per_parameter_image(self) -> float:
        """K in FLOPs = k N D."""
        return self.summary["flops_per_parameter_image"]

    def _log_budget(self, flops):
        return np.log(np.atleast_1d(np.asarray(flops, dtype=float)) / self.flops_per_parameter_image)

    def optimum(self, flops: Numbers, fid: float | None) -> tuple[np.ndarray, np.ndarray]:
        """Return samples of N* and D* (1 + refits, m) at budgets in FLOPs."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return tuple(np.exp(values) for values in self.form.optimum(self.logs, self._log_budget(flops), fid))

    def loss(self, params: np.ndarray, images: np.ndarray, fid: float | None) -> np.ndarray:
        """Return samples of the loss (1 + refits, m) in nats; `images` may be inf."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return self.form.loss(
                self.logs, *(np.log(np.asarray(values, dtype=float)) for values in (params, images)), fid
            )

    def best_loss(self, flops: Numbers, fid: float | None) -> np.ndarray:
        """Return samples of L* (1 + refits, m) at budgets in FLOPs."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return self.form.loss(self.logs, *self.form.optimum(self.logs, self._log_budget(flops), fid), fid)

    def share(self, flops: Numbers, fid: float | None) -> np.ndarray:
        """Return samples of a = d log N* / d log FLOPs (1 + refits, m)."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            shares = self.form.share(self.logs, self._log_budget(flops), fid)
        return np.broadcast_to(shares, (len(shares), np.size(flops)))

    def best_params(self, dataset: str | None, fid: float | None, flops: Numbers) -> np.ndarray:
        """Return samples of N* (1 + refits, m) at budgets in FLOPs."""
        return self.optimum(flops, fid)[0]

    def asymptote(self, fid: float | None) -> np.ndarray:
        """Return samples of the loss (1 + refits,) with N and D unlimited."""
        return np.broadcast_to(self.form.asymptote(self.logs, fid)[:, 0], (self.count,))

    def parameter(self, name: str) -> np.ndarray:
        """Return samples (1 + refits,) of a parameter by its public name; ValueError for one that the law has not."""
        with np.errstate(over="ignore", under="ignore"):
            known = self.form.named(self.logs)
        return known[registry.check(name, known, f"parameter of {self.name}")][:, 0]

    @property
    def count(self) -> int:
        """1 + refits."""
        return len(next(iter(self.logs.values())))

    def flops_for_loss(self, loss: np.ndarray, fid: float | None) -> np.ndarray:
        """Return the budgets (1 + refits,) whose L* is `loss` (1 + refits,); inf where none is.

        L* falls with the budget: bisection in log FLOPs.
        """
        k = self.flops_per_parameter_image
        goal = np.asarray(loss, dtype=float)[:, None]
        return k * _falling(lambda log: self.best_loss(k * np.exp(log), fid), goal)[:, 0]

    def images_for_loss(self, params: np.ndarray, loss: np.ndarray, fid: float | None) -> np.ndarray:
        """Return the images (1 + refits, m) with which models of `params` reach `loss` (1 + refits, m); or inf.

        The loss falls with the images: bisection in log D.
        """
        return _falling(lambda log: self.loss(params, np.exp(log), fid), np.asarray(loss, dtype=float))

    # what the study determines

    def reasons(self, dataset: str | None, fid: float | None) -> Any:
        """Return why the exponents and the asymptote are not determined at a FID, "" where they are."""
        own = self.of_dataset(dataset) if dataset is not None else None
        if own is not None:
            return _exponents(own), _of("the asymptote", own["asymptote"])
        fids = [entry["fid"] for entry in self.summary["datasets"]]
        if determination.levels(fids) < determination.FEWEST_LEVELS:
            few = f"only {determination.levels(fids)} distinct FIDs: nothing holds for another FID"
            return few, few
        nearest = min(
            self.summary["datasets"], key=lambda entry: abs(math.log1p(entry["fid"]) - math.log1p(fid or 0.0))
        )
        return _exponents(nearest), _of("E", self.summary["parameters"]["E"])

    def loss_why(self, dataset: str | None, fid: float | None, flops: Numbers) -> str:
        """Return why a loss at some budget is not determined whatever its interval, or ""."""
        exponents, asymptote = self.reasons(dataset, fid)
        # within the study's own budgets a loss needs no asymptote
        beyond = flops > self.measured.dearest * (1 + 1e-9) or dataset is None
        return exponents or (asymptote if beyond else "")

    def always(self, dataset: str | None, fid: float | None) -> dict[str, dict[str, Any]]:
        """Return the entries that hold for all budgets: N_star, D_star (exponents), asymptote, accuracy_limit."""
        exponents, asymptote = self.reasons(dataset, fid)
        samples, own = self.asymptote(fid), self.of_dataset(dataset) if dataset is not None else None
        if own is None:
            share = self.share(self.measured.dearest, fid)[:, 0]
            entries = {
                "N_star": self.entry(share, determination.allocation, exponents),
                "D_star": self.entry(1 - share, determination.allocation, exponents),
                "asymptote": self.entry(samples, determination.loss_above_zero(self.measured.lowest), asymptote),
            }
        else:
            entries = own["exponents"] | {"asymptote": own["asymptote"]}
        return entries | {
            "accuracy_limit": self.accuracy_entry(samples, asymptote or _of("the asymptote", entries["asymptote"]))
        }

    def at(self, dataset: str | None, fid: float | None, flops: Numbers) -> dict[str, dict[str, Any]]:
        """Return the entries of :data:`AT_BUDGET` at one budget."""
        exponents, _ = self.reasons(dataset, fid)
        params, images = (values[:, 0] for values in self.optimum(flops, fid))
        loss = self.best_loss(flops, fid)[:, 0]
        entries = {
            "params": self.entry(params, determination.positive, exponents),
            "images": self.entry(images, determination.positive, exponents),
        }
        return entries | self.outcome(loss, self.loss_why(dataset, fid, flops))

    def flops_to(self, target: float, dataset: str | None, fid: float | None) -> dict[str, Any]:
        """Return the entry of the FLOPs to an accuracy along the optimum; `high` is None where a tail never is there.

        If the limit lies below, there is no value, and `why` gives the reason.
        """
        limit = self.always(dataset, fid)["accuracy_limit"]
        exponents, _ = self.reasons(dataset, fid)
        needed = np.asarray(accuracy.loss_for(self.line.beside(self.count), target))[:, 0]
        flops = np.where(np.isnan(needed), np.nan, self.flops_for_loss(needed, fid))
        why = exponents or _of("the limit", limit)
        if not why and np.isinf(flops[0]):
            below, there = f"the limit is {100 * limit['value']:.1f}%", float(np.isfinite(flops[1:]).mean())
            if there <= (1 - self.level) / 2:
                return determination.unknown(f"never: {below}")
            return determination.unknown(f"{below}, but {100 * there:.0f}% of the refits get there")
        return self.entry(flops, _budget, why)


@dataclass(frozen=True)
class EnvelopeForecast(Forecast):
    """That of approach 1: straight lines in log10 for each dataset, without FID or a limit."""

    refits: object  # data frame of tables.REFITS

    def _samples(self, dataset, quantity, flops):
        samples = bootstrap_table.samples(self.refits, self.name, dataset)
        if not samples:
            return np.full((1, np.size(flops)), np.nan)
        intercept, slope = (samples[f"{quantity} {what}"][:, None] for what in ("intercept", "slope"))
        with np.errstate(over="ignore", under="ignore"):
            return 10 ** (intercept + slope * np.log10(np.atleast_1d(flops)))

    def best_params(self, dataset: str | None, fid: float | None, flops: Numbers) -> np.ndarray:
        """Return samples of N* (1 + refits, m) at budgets in FLOPs."""
        return self._samples(dataset, "params", flops)

    def always(self, dataset: str | None, fid: float | None) -> dict[str, dict[str, Any]]:
        """Return the exponents as the summary has them; an envelope has no asymptote."""
        none = "an envelope is a power of FLOPs: it knows no limit"
        return (self.of_dataset(dataset) or {})["exponents"] | {
            "asymptote": determination.unknown(none),
            "accuracy_limit": determination.unknown(none),
        }

    def at(self, dataset: str | None, fid: float | None, flops: Numbers) -> dict[str, dict[str, Any]]:
        """Return the entries of :data:`AT_BUDGET` at one budget."""
        own = self.of_dataset(dataset) or {}
        whys = {name: _of(f"exponent of {star}", own["exponents"][key]) for name, key, star in _STARS}
        entries = {
            name: self.entry(self._samples(dataset, name, flops)[:, 0], determination.positive, why)
            for name, why in whys.items()
        }
        loss = self._samples(dataset, "loss", flops)[:, 0]
        why = _of("exponent of L*", own["parameters"]["exponent"])
        return entries | self.outcome(loss, why or ("" if flops <= _FURTHEST * self.measured.dearest else _FAR))

    def flops_to(self, target: float, dataset: str | None, fid: float | None) -> dict[str, Any]:
        """Return the entry of the FLOPs to an accuracy: none, as nothing says where a power law ends."""
        return determination.unknown(_FAR)


@dataclass(frozen=True)
class NoForecast(Forecast):
    """That of a law that could not be fitted, or gives no loss at any N and D."""

    def _unknown(self):
        datasets = self.summary["datasets"]
        return determination.unknown(
            (datasets[0]["exponents"]["N_star"]["why"] if datasets else "") or "nothing was fitted"
        )

    def always(self, dataset: str | None, fid: float | None) -> dict[str, dict[str, Any]]:
        """Return entries that say why there is nothing."""
        return dict.fromkeys(ALWAYS, self._unknown())

    def at(self, dataset: str | None, fid: float | None, flops: Numbers) -> dict[str, dict[str, Any]]:
        """Return entries that say why there is nothing."""
        return dict.fromkeys(AT_BUDGET, self._unknown())

    def flops_to(self, target: float, dataset: str | None, fid: float | None) -> dict[str, Any]:
        """Return an entry that says why there is nothing."""
        return self._unknown()


def read(summary: dict[str, Any], refits: pd.DataFrame | None, line: Line, measured: Measured, level: float) -> Any:
    """Return the forecasts of a law.

    Parameters
    ----------
    summary : dict
        Of the law.
    refits : data frame
        As `tables.REFITS`, of this law at least.
    line : Line
    measured : Measured
    level : float
        Share of the refits within an interval.
    """
    common = summary, line, measured, level
    if summary["law"] == "envelope":
        return EnvelopeForecast(*common, refits)
    if summary["law"] not in FORMS:
        return NoForecast(*common)
    loss_form = registry.load(summary["law"], FORMS)
    logs = form.samples(loss_form, refits)
    if not logs:
        return NoForecast(*common)
    return FormForecast(*common, loss_form, {name: values[:, None] for name, values in logs.items()})


def _falling(function, goal):
    """Return exp(x) where `function(x)` (1 + refits, m), falling in x, meets `goal`; inf where it stays above."""
    low = np.zeros(np.broadcast_shapes(goal.shape, function(np.zeros((1, 1))).shape))
    high = np.full_like(low, _LARGEST_LOG)
    never = ~(function(high) <= goal)
    _, high = bisect(lambda log: function(log) > goal, low, high, _HALVINGS)
    return np.where(never, np.inf, np.exp(high))


def _of(what, entry):
    """Return why an entry, `what` a reader calls it, is not determined; "" where it is."""
    return "" if entry["determined"] else f"{what}: {entry['why'] or 'not determined'}"


def _exponents(dataset):
    """Return why the exponents of N* and D* of a summary's dataset are not determined, or ""."""
    return next((why for _, key, star in _STARS if (why := _of(f"exponent of {star}", dataset["exponents"][key]))), "")


def _share(low, high):
    return f"{100 * (high - low):.2g} points wide" if high - low > WIDEST_ACCURACY else ""


def _budget(low, high):
    if not math.isfinite(high):
        return "some of the refits never get there"
    return f"spans a factor {high / low:.1e}" if high / low > WIDEST_BUDGET else ""
