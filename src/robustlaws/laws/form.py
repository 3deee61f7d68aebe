"""A form L(N, D, FID) of the loss: what approaches 2 and 3 share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from robustlaws.laws import bootstrap_table
from robustlaws.laws.arrays import Numbers
from robustlaws.laws.fit import published_recipe


@dataclass(frozen=True)
class Form:
    """One form of the loss; `logs` below are dicts of its parameters with coefficients as logs.

    Logs, because a coefficient such as A = t N0^alpha overflows in refits that the data hardly hold.

    `judges`: {parameter: how its interval is judged}; `determination.loss_above_zero` is given the lowest loss first.
    `rests_on`: {parameter: axes of which it needs `determination.FEWEST_LEVELS`}; `tied`: {name: coordinates that
    it is computed from}, for parameters and for the names that `at_fid` returns.
    `problem(params, images, fid, loss, quality)`: the `fitting.Problem`, with `logs(theta)` for theta (S, p);
    without `quality` the parameters in `of_quality` are held. `grid(kind)`: the starts, as `logs` with arrays (S,).
    `logged`: which parameters are coefficients. `printed`: the form as the published search sees it.
    `loss(logs, log_params, log_images, fid)`;
    `optimum(logs, log_budget, fid)`: log N*, log D* where N D = the budget; `share(logs, log_budget, fid)`:
    d log N* / d log F; `at_fid(logs, fid)`: {name: loss term at this FID}; `asymptote(logs, fid)`.
    """

    name: str
    title: str
    text: str
    judges: dict
    rests_on: dict
    tied: dict
    of_quality: tuple[str, ...]
    logged: tuple[str, ...]
    problem: Callable
    grid: Callable
    printed: published_recipe.Printed
    loss: Callable
    optimum: Callable
    share: Callable
    at_fid: Callable
    asymptote: Callable

    def starts(self, problem: Any, kind: str) -> np.ndarray:
        """Return the starts of a grid in the problem's coordinates, (S, p)."""
        return problem.theta(self.grid(kind))

    def logs_of(self, parameters: Mapping[str, Numbers]) -> dict[str, np.ndarray]:
        """Return the parameters with coefficients as logs; a coefficient of 0 is -inf."""
        values = {name: np.asarray(parameters[name], dtype=float) for name in self.judges}
        with np.errstate(divide="ignore"):
            return {name: np.log(value) if name in self.logged else value for name, value in values.items()}

    def named(self, logs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters themselves: inverse of :meth:`logs_of`."""
        return {name: np.exp(logs[name]) if name in self.logged else logs[name] for name in self.judges}

    def loss_of(self, parameters: Mapping[str, Numbers], params: Numbers, images: Numbers, fid: Numbers) -> Numbers:
        """Return the loss in nats for N = `params`, D = `images` and `fid`; all broadcast."""
        return self.loss(self.logs_of(parameters), np.log(params), np.log(images), fid)

    def asymptote_of(self, parameters: Mapping[str, Numbers], fid: Numbers) -> Numbers:
        """Return the loss in nats at `fid` with N and D unlimited."""
        return self.asymptote(self.logs_of(parameters), fid)

    def optimum_of(
        self, parameters: Mapping[str, Numbers], flops: Numbers, fid: Numbers, flops_per_parameter_image: float
    ) -> tuple[Numbers, Numbers]:
        """Return the compute-optimal N* and D* for training budgets.

        Parameters
        ----------
        parameters : dict
        flops : float or array
            Training FLOPs, k N D.
        fid : float or array
        flops_per_parameter_image : float
            k; 7822 for the paper's networks.

        Returns
        -------
        params, images

        Source: `spec/laws.md`: closed forms of approach 2; of approach 3 by Newton's method, to 1e-12.
        """
        log_budget = np.log(np.asarray(flops) / flops_per_parameter_image)
        params, images = self.optimum(self.logs_of(parameters), log_budget, fid)
        return np.exp(params), np.exp(images)

    def exponents_of(
        self,
        parameters: Mapping[str, Numbers],
        flops: Numbers = 1.0,
        fid: Numbers = 0.0,
        flops_per_parameter_image: float = 1.0,
    ) -> tuple[Numbers, Numbers]:
        """Return a and b of N* ~ FLOPs^a, D* ~ FLOPs^b at a budget, which approach 2 does not depend on."""
        share = self.share(self.logs_of(parameters), np.log(np.asarray(flops) / flops_per_parameter_image), fid)
        return share, 1 - share


def samples(form: Form, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the fit and its refits from a table of `tables.REFITS`, as `logs`: a dict of arrays (1 + refits,).

    Empty where the law was not fitted. A parameter that the fit held without end (Q at one FID) is -inf.
    """
    values = bootstrap_table.samples(table, form.name)
    endless = {name: np.where(np.isnan(value), -np.inf, value) for name, value in values.items()}
    return {name.removeprefix("log "): value for name, value in endless.items()}


def floats(logs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return parameters of arrays (1,) as floats."""
    return {name: float(value[0]) for name, value in logs.items()}
