"""Approach 2: L = A/N^alpha + B (1+FID)^zeta / D^beta + E (1+FID)^eps.

A, B, E are those at FID 0. Parameters travel as a dict {"A", "B", "E", "alpha", "beta", "eps", "zeta"}, whose
values may be arrays that broadcast with N, D and FID.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from robustlaws.laws import PARAMETERS, determination, form, one_stage, published
from robustlaws.laws.arrays import Numbers
from robustlaws.laws.determination import Law
from robustlaws.laws.fit import published_recipe
from robustlaws.laws.observations import observe
from robustlaws.settings import LawFit

NAMES = PARAMETERS["additive"]
# Bounds in scaled coordinates. A term under 1e-9 of the median loss is none; a power under 0.01 changes by 5%
# over a hundredfold and is a constant.
_SMALLEST_TERM, _LARGEST_TERM = 1e-9, 20.0
_LOWER = np.array([_SMALLEST_TERM] * 3 + [0.01, 0.01, -3.0, -3.0])
_UPPER = np.array([_LARGEST_TERM] * 3 + [5.0, 5.0, 3.0, 3.0])


class Problem:
    """The additive law in the coordinates that the engine searches (`fitting.Problem`).

    theta = (A-term, B-term, E-term, alpha, beta, eps, zeta), the terms being those at the runs' mean log N, mean
    log D and mean log(1+FID) in units of the median loss: of order 1, and far less entangled than A with alpha.
    The law is linear in them. Without `quality`, eps and zeta are held at 0.

    Parameters
    ----------
    params, images, fid, loss : float arrays (n,)
        N, D, FID and the measured loss in nats, above 0.
    quality : bool
    centre : tuple of three floats, optional
        Means of log N, log D, log(1+FID) to use instead of the runs' own.
    unit : float, optional
        Loss to use instead of the runs' median.
    """

    def __init__(
        self,
        params: np.ndarray,
        images: np.ndarray,
        fid: np.ndarray,
        loss: np.ndarray,
        quality: bool = True,
        centre: Any = None,
        unit: Any = None,
    ) -> None:
        logs = np.log(params), np.log(images), np.log1p(fid)
        self.centre = tuple(float(values.mean()) for values in logs) if centre is None else centre
        self._n, self._d, self._f = (values - middle for values, middle in zip(logs, self.centre, strict=True))
        # runs share model sizes, data sizes and FIDs: one power for each level is enough
        self._levels = [np.unique(values, return_inverse=True) for values in (self._n, self._d, self._f)]
        self.unit = float(np.median(loss)) if unit is None else unit
        self.log_loss = np.log(loss / self.unit)
        self.lower, self.upper = _LOWER.copy(), _UPPER.copy()
        if not quality:
            self.lower[5:] = self.upper[5:] = 0.0
        self.free = self.lower < self.upper
        self.coefficients = (0, 1)

    def scaled(self, theta: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """Return the coordinates (S, 7) at which all losses are `factor` (S,) times those at `theta`."""
        return np.column_stack([theta[:, :3] * factor[:, None], theta[:, 3:]])

    def _powers(self, theta):
        """Return the terms (S, n) that the coefficients multiply."""

        def power(exponent, axis):
            levels, at = self._levels[axis]
            return np.exp(exponent[:, None] * levels).take(at, axis=1)

        alpha, beta, eps, zeta = theta[:, 3:].T
        return power(-alpha, 0), power(-beta, 1) * power(zeta, 2), power(eps, 2)

    def predict(self, theta: np.ndarray) -> np.ndarray:
        """Return the losses (S, n) in units of the median loss."""
        of_a, of_b, of_e = self._powers(theta)
        return theta[:, 0, None] * of_a + theta[:, 1, None] * of_b + theta[:, 2, None] * of_e

    def slopes(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses (S, n) and their derivatives by the free coordinates (S, f, n)."""
        of_a, of_b, of_e = self._powers(theta)
        term_a, term_b, term_e = theta[:, 0, None] * of_a, theta[:, 1, None] * of_b, theta[:, 2, None] * of_e
        rows = (of_a, of_b, of_e, -self._n * term_a, -self._d * term_b, self._f * term_e, self._f * term_b)
        return term_a + term_b + term_e, np.stack([rows[index] for index in np.flatnonzero(self.free)], axis=1)

    def curvature(self, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the weighted sum of the second derivatives by the free coordinates, (S, f, f)."""
        of_a, of_b, of_e = (weights * power for power in self._powers(theta))
        a, b, e = theta[:, 0], theta[:, 1], theta[:, 2]
        n, d, f = self._n, self._d, self._f
        entries = {
            (0, 3): -(of_a @ n),
            (3, 3): a * (of_a @ n**2),
            (1, 4): -(of_b @ d),
            (1, 6): of_b @ f,
            (4, 4): b * (of_b @ d**2),
            (4, 6): -b * (of_b @ (d * f)),
            (6, 6): b * (of_b @ f**2),
            (2, 5): of_e @ f,
            (5, 5): e * (of_e @ f**2),
        }
        matrix = np.zeros((len(theta), 7, 7))
        for (row, column), entry in entries.items():
            matrix[:, row, column] = matrix[:, column, row] = entry
        free = np.flatnonzero(self.free)
        return matrix[:, free[:, None], free]

    def logs(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """Return the parameters at `theta` (S, 7) with A, B, E as logs: a dict of arrays (S,)."""
        a, b, e, alpha, beta, eps, zeta = theta.T
        n, d, f = self.centre
        unit = np.log(self.unit)
        return {
            "A": np.log(a) + unit + alpha * n,
            "B": np.log(b) + unit + beta * d - zeta * f,
            "E": np.log(e) + unit - eps * f,
            "alpha": alpha,
            "beta": beta,
            "eps": eps,
            "zeta": zeta,
        }

    def theta(self, logs: Mapping[str, Numbers]) -> np.ndarray:
        """Return the coordinates (S, 7) of parameters with A, B, E as logs: inverse of `logs`."""
        alpha, beta, eps, zeta = (np.asarray(logs[name], dtype=float) for name in NAMES[3:])
        n, d, f = self.centre
        terms = (logs["A"] - alpha * n, logs["B"] - beta * d + zeta * f, logs["E"] + eps * f)
        scaled = [np.exp(np.clip(term - np.log(self.unit), -50, 50)) for term in terms]
        return np.stack(np.broadcast_arrays(*scaled, alpha, beta, eps, zeta), axis=-1)


def quality_starts() -> np.ndarray:
    """Return the 12 published starts of eps and zeta, (12, 2)."""
    return np.array(list(itertools.product(published.QUALITY_STARTS["eps"], published.QUALITY_STARTS["zeta"])))


def grid(kind: str) -> dict[str, np.ndarray]:
    """Return the published grid of starts (3125), or 108 of them; each is given one of the 12 quality starts."""
    chosen: dict[str, tuple[float, ...]] = {**published.ADDITIVE_STARTS}
    if kind == "small":
        chosen = {name: values[1:4] for name, values in chosen.items()}
        chosen |= {"e": (-1.0, -0.5, 0.0), "alpha": (0.1, 0.5), "beta": (0.1, 0.5)}
    base = np.array(list(itertools.product(*(chosen[name] for name in ("a", "b", "e", "alpha", "beta")))))
    quality = quality_starts()
    # in turn: the product of both would be twelve times the work for starts that end alike
    eps, zeta = quality[np.arange(len(base)) % len(quality)].T
    return dict(zip(NAMES, (*base.T, eps, zeta), strict=True))


def _printed_log_loss(point, log_params, log_images, fid):
    """Return log L (n,) at the published coordinates a, b, e, alpha, beta, eps, zeta (appendix F.2.1)."""
    a, b, e, alpha, beta, eps, zeta = point
    quality = np.log1p(fid)
    return special.logsumexp(
        [a - alpha * log_params, b + zeta * quality - beta * log_images, e + eps * quality], axis=0
    )


def _at_fid(logs, fid):
    quality = np.log1p(fid)
    return {"E'": np.exp(logs["E"] + logs["eps"] * quality), "B'": np.exp(logs["B"] + logs["zeta"] * quality)}


def _loss(logs, log_params, log_images, fid):
    quality = np.log1p(fid)
    of_params = np.exp(logs["A"] - logs["alpha"] * log_params)
    of_images = np.exp(logs["B"] + logs["zeta"] * quality - logs["beta"] * log_images)
    return of_params + of_images + np.exp(logs["E"] + logs["eps"] * quality)


def _optimum(logs, log_budget, fid):
    alpha, beta = logs["alpha"], logs["beta"]
    ratio = np.log(alpha) + logs["A"] - np.log(beta) - logs["B"] - logs["zeta"] * np.log1p(fid)
    log_params = (ratio + beta * log_budget) / (alpha + beta)
    return log_params, log_budget - log_params


def _share(logs, log_budget, fid):
    return logs["beta"] / (logs["alpha"] + logs["beta"])


def overhead(parameters: Mapping[str, Numbers], model_ratio: Numbers) -> tuple[Numbers, Numbers]:
    """Return the cost of a model of the wrong size, at equal loss.

    At the optimum alpha A/N*^alpha = beta B'/D*^beta, so the answer is the same for every budget and FID.

    Parameters
    ----------
    parameters : dict
    model_ratio : float or array
        w_N = N / N*.

    Returns
    -------
    data_ratio, compute_overhead
        w_D = D / D* and w_N w_D - 1; both inf where no amount of data makes up for so small a model.

    Source: `spec/laws.md`, overhead.
    """
    alpha, beta = (np.asarray(parameters[name], dtype=float) for name in ("alpha", "beta"))
    model_ratio = np.asarray(model_ratio, dtype=float)
    bracket = 1 - (model_ratio**-alpha - 1) * beta / alpha
    data_ratio = np.where(bracket > 0, np.where(bracket > 0, bracket, 1.0) ** (-1 / beta), np.inf)
    return data_ratio, model_ratio * data_ratio - 1


FORM: form.Form = form.Form(
    name="additive",
    title="Approach 2: additive terms with data quality",
    text="L = A/N^alpha + B'/D^beta + E', B' = B (1+FID)^zeta, E' = E (1+FID)^eps",
    judges={
        "A": determination.positive,
        "B": determination.positive,
        "E": determination.loss_above_zero,
        "alpha": determination.exponent,
        "beta": determination.exponent,
        "eps": determination.signed,
        "zeta": determination.signed,
    },
    rests_on={
        "A": ("N",),
        "B": ("D", "FID"),
        "E": ("N", "D", "FID"),
        "alpha": ("N",),
        "beta": ("D",),
        "eps": ("FID",),
        "zeta": ("FID",),
        "E'": ("N", "D"),
        "B'": ("D",),
        "exponents": ("N", "D"),
        "asymptote": ("N", "D"),
    },
    tied={
        "A": ("A", "alpha"),
        "B": ("B", "beta", "zeta"),
        "E": ("E", "alpha", "beta", "eps"),
        "alpha": ("A", "alpha"),
        "beta": ("B", "beta"),
        "eps": ("E", "eps"),
        "zeta": ("B", "zeta"),
        "E'": ("E", "alpha", "beta"),
        "B'": ("B", "beta"),
        "exponents": ("A", "B", "alpha", "beta"),
        "asymptote": ("E", "alpha", "beta"),
    },
    of_quality=("eps", "zeta"),
    logged=("A", "B", "E"),
    problem=Problem,
    grid=grid,
    printed=published_recipe.Printed(
        log_loss=_printed_log_loss,
        points=lambda logs: np.column_stack([logs[name] for name in NAMES]),
        logs=lambda points: dict(zip(NAMES, points.T, strict=True)),
    ),
    loss=_loss,
    optimum=_optimum,
    share=_share,
    at_fid=_at_fid,
    asymptote=lambda logs, fid: _at_fid(logs, fid)["E'"],
)
loss, asymptote, optimum, exponents = FORM.loss_of, FORM.asymptote_of, FORM.optimum_of, FORM.exponents_of


def fit(runs: pd.DataFrame, curves: pd.DataFrame, settings: LawFit) -> Law:
    """Return approach 2 fitted in one stage to all comparable runs, as a `Law`.

    Parameters
    ----------
    runs, curves : data frames
        As `tables.RUNS` and `tables.CURVES`.
    settings : settings.LawFit

    Raises
    ------
    ValueError
        If there are no runs at all, or a setting is unknown.
    """
    return one_stage.fit(FORM, observe(runs, curves, settings), settings)
