"""A fitted law for figures: its parameters with all refits, and which of its numbers are determined."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from robustlaws import registry
from robustlaws.figures.drawing import inputs
from robustlaws.formatting import numbers
from robustlaws.intervals import percentile_interval
from robustlaws.laws import FORMS
from robustlaws.laws import form as parametric
from robustlaws.laws.observations import NO_FID, NO_LOSS, REAL, RECIPE

# In the order of preference: the published order of fitting needs datasets of its own choice.
ADDITIVE = ("additive_two_stage", "additive")
# Of lines of several laws, in points: where they coincide all are still seen.
WIDTHS = (2.8, 2.0, 1.3, 0.8)


@dataclass(frozen=True)
class Fit:
    """A law L(N, D, FID) as fitted; `logs`: {parameter: array (1 + refits,)}, the fit itself first (`parametric.Form`).

    `summary`: its law file.
    """

    summary: dict
    form: object
    logs: dict

    @property
    def name(self):
        """The law's name in every table."""
        return self.summary["law"]

    @property
    def title(self):
        """Its title for readers."""
        return inputs.title(self.summary)

    @property
    def flops_per_parameter_image(self):
        """K in F = k N D."""
        return float(self.summary["flops_per_parameter_image"])

    def datasets(self):
        """Return dataset -> FID, best first."""
        return inputs.fid_order(inputs.fids_of_laws([self.summary]))

    def held_out(self):
        """Return the datasets that the fit has not seen: those in neither stage of a fit in two."""
        fit = self.summary["fit"]
        stages = {fit["base"], *fit["quality"]} if "base" in fit else set(self.datasets())
        return set(self.datasets()) - stages

    def why_not(self, dataset):
        """Return why the runs do not determine N* on `dataset`, or ""."""
        cell = (inputs.dataset_entry(self.summary, dataset).get("exponents") or {}).get("N_star")
        return "" if numbers.is_determined(cell) else (cell or {}).get("why") or "no reason given"

    def loss(self, params, images, fid):
        """Return the fit's losses in nats; N, D and FID broadcast."""
        only = {parameter: values[0] for parameter, values in self.logs.items()}
        return self.form.loss(only, np.log(params), np.log(images), fid)

    def optimum(self, flops, fid):
        """Return N* and D* (3, budgets) each, at `flops` (budgets,): the fit, and both ends of the interval."""
        budget = np.log(np.asarray(flops, dtype=float) / self.flops_per_parameter_image)
        columns = {parameter: values[:, None] for parameter, values in self.logs.items()}
        with np.errstate(all="ignore"):
            optima = self.form.optimum(columns, budget[None, :], fid)
            return tuple(self.with_interval(np.exp(column)) for column in optima)

    def with_interval(self, samples):
        """Return (3, ...) of samples (1 + refits, ...): the fit, and both ends of the interval, which hold it."""
        if len(samples) == 1:
            return np.stack([samples[0]] * 3)
        low, high = percentile_interval(samples[1:], self.summary["interval"]["level"])
        return np.stack([samples[0], np.fmin(low, samples[0]), np.fmax(high, samples[0])])


def read(laws, refits, name):
    """Return the law called `name` as a `Fit`, or None, and why there is none.

    Parameters
    ----------
    laws : list of dict
        Law files.
    refits : data frame
        As `tables.REFITS`.
    name : str

    Returns
    -------
    fit : Fit or None
    why : str
    """
    summary = inputs.law_named(laws, name)
    if summary is None:
        return None, "this law was not fitted"
    form = registry.load(name, FORMS)
    logs = parametric.samples(form, refits)
    if not logs or not summary.get("fit"):
        warnings = [text for text in summary.get("warnings") or [] if text.startswith("nothing fitted: ")]
        return None, warnings[0].removeprefix("nothing fitted: ") if warnings else "nothing could be fitted"
    if not summary["fit"].get("converged"):
        return None, "the fit has not converged"
    return Fit(summary, form, logs), ""


def additive(laws, refits):
    """Return approach 2 as a `Fit`: the first of `ADDITIVE` that determines N* on its best dataset, else any; and why.

    Returns
    -------
    fit : Fit or None
    why : str
        Why there is none.
    """
    fits, whys = [], []
    for name in ADDITIVE:
        if name in FORMS and inputs.law_named(laws, name) is not None:
            fit, why = read(laws, refits, name)
            (fits if fit else whys).append(fit or why)
    known = [fit for fit in fits if not fit.why_not(next(iter(fit.datasets()), None))]
    best = next(iter([*known, *reversed(fits)]), None)
    return best, "" if best else (whys or ["this law was not fitted"])[-1]


def outside(runs):
    """Return for each of the runs why no law is fitted to it, "" where one is: a series.

    Parameters
    ----------
    runs : data frame
        As `tables.RUNS`.
    """
    why = pd.Series("", index=runs.index)
    for reason, holds in (
        (NO_LOSS, ~(runs["adv_loss"] > 0)),
        (NO_FID, runs["fid"].isna()),
        (RECIPE, runs["recipe"].notna()),
        (REAL, runs["real_fraction"] > 0),
    ):
        why = why.mask(holds, reason)
    return why


def accuracy_label(run):
    """Return `71.4%` for a run's accuracy under AutoAttack, `72.1% PGD` for that under PGD, None without either."""
    if run["autoattack_acc"] == run["autoattack_acc"]:
        return numbers.percent(run["autoattack_acc"])
    return f"{numbers.percent(run['adv_acc'])} PGD" if run["adv_acc"] == run["adv_acc"] else None


def interval_label(laws):
    """Return `90% interval` of law files, the levels of all if they differ, `interval` if none says its level."""
    levels = sorted({determination["interval"]["level"] for determination in laws if determination.get("interval")})
    return " ".join([*(["/".join(f"{100 * level:.3g}%" for level in levels)] if levels else []), "interval"])
