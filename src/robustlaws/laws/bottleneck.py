"""Approach 3: L = A/N^alpha + (B/D + (Q FID)^(kappa/beta))^beta + E + eps log(1+FID).

Data quality is a bottleneck: at a given FID more images help only down to (Q FID)^kappa. Parameters travel as a
dict {"A", "B", "E", "Q", "alpha", "beta", "kappa", "eps"}, whose values may be arrays that broadcast with N, D, FID;
B is in images, B^beta plays the part of approach 2's B.
"""

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import expit

from robustlaws.laws import PARAMETERS, determination, form, one_stage, published
from robustlaws.laws.arrays import Numbers
from robustlaws.laws.determination import Law
from robustlaws.laws.fit import published_recipe
from robustlaws.laws.observations import observe
from robustlaws.settings import LawFit

NAMES = PARAMETERS["bottleneck"]
# Bounds in scaled coordinates, for the reasons given in `additive`; B and Q enter as logs of their terms.
_SMALLEST_TERM, _LARGEST_TERM = 1e-9, 20.0
_LOWER = np.array([_SMALLEST_TERM, np.log(_SMALLEST_TERM), _SMALLEST_TERM, np.log(_SMALLEST_TERM), *[0.01] * 3, -3.0])
_UPPER = np.array([_LARGEST_TERM, np.log(_LARGEST_TERM), _LARGEST_TERM, np.log(_LARGEST_TERM), *[5.0] * 3, 3.0])
_NO_FLOOR = -1e5  # log of a quality term that is none
_SMALLEST_FID = 1e-9


class Problem:
    """The bottleneck law in the coordinates that the engine searches (`fitting.Problem`).

    theta = (A-term, log of (B/D)^beta, E', log of (Q FID)^kappa, alpha, beta, kappa, eps), the terms being those at the
    runs' mean log N, log D, log FID and log(1+FID), and eps, in units of the median loss.

    With x = log (B/D)^beta and y = log (Q FID)^kappa, both linear in theta, the middle term is exp(g),
    g = beta log(exp(x/beta) + exp(y/beta)). Its gradient in (x, y, beta) is (s, 1-s, H) with
    s = expit((x-y)/beta) and H the entropy of (s, 1-s); its Hessian is m w w' with m = s(1-s)/beta and
    w = (1, -1, -(x-y)/beta). Without `quality` the floor is absent and eps is 0.
    """

    def __init__(
        self, params: np.ndarray, images: np.ndarray, fid: np.ndarray, loss: np.ndarray, quality: bool = True
    ) -> None:
        fid = np.asarray(fid, dtype=float)
        logs = np.log(params), np.log(images), np.log(np.maximum(fid, _SMALLEST_FID)), np.log1p(fid)
        self.centre = tuple(float(values.mean()) for values in logs)
        self._n, self._d, self._q, self._f = (values - middle for values, middle in zip(logs, self.centre, strict=True))
        self.unit = float(np.median(loss))
        self.log_loss = np.log(loss / self.unit)
        self.lower, self.upper = _LOWER.copy(), _UPPER.copy()
        if not quality:
            for index, value in ((3, _NO_FLOOR), (6, 1.0), (7, 0.0)):
                self.lower[index] = self.upper[index] = value
        self.free = self.lower < self.upper
        self.coefficients = (0,)

    def scaled(self, theta: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """Return the coordinates (S, 8) at which all losses are `factor` (S,) times those at `theta`."""
        theta = theta.copy()
        theta[:, (0, 2, 7)] *= factor[:, None]
        theta[:, (1, 3)] += np.log(factor)[:, None]
        return theta

    def _middle(self, theta):
        """Return the middle term, s, the entropy H, and (x-y)/beta: (S, n) each."""
        b, q, beta, kappa = (theta[:, index, None] for index in (1, 3, 5, 6))
        x, y = b - beta * self._d, q + kappa * self._q
        gap = (x - y) / beta
        share = expit(gap)
        # log(1 + exp(-|gap|)) + (1 - larger share) |gap|: the entropy without 0 log 0
        size = np.abs(gap)
        soft = np.log1p(np.exp(-size))
        entropy = soft + size * expit(-size)
        return np.exp(np.maximum(x, y) + beta * soft), share, entropy, gap

    def predict(self, theta: np.ndarray) -> np.ndarray:
        """Return the losses (S, n) in units of the median loss."""
        a, e, alpha, eps = (theta[:, index, None] for index in (0, 2, 4, 7))
        return a * np.exp(-alpha * self._n) + self._middle(theta)[0] + e + eps * self._f

    def slopes(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses (S, n) and their derivatives by the free coordinates (S, f, n)."""
        a, e, alpha, eps = (theta[:, index, None] for index in (0, 2, 4, 7))
        of_a = np.exp(-alpha * self._n)
        middle, share, entropy, _ = self._middle(theta)
        rest = middle * (1 - share)
        of_beta = middle * (entropy - self._d * share)
        ones, f = np.ones_like(middle), np.broadcast_to(self._f, middle.shape)
        rows = (of_a, middle * share, ones, rest, -self._n * a * of_a, of_beta, rest * self._q, f)
        slopes = np.stack([rows[index] for index in np.flatnonzero(self.free)], axis=1)
        return a * of_a + middle + e + eps * self._f, slopes

    def curvature(self, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the weighted sum of the second derivatives by the free coordinates, (S, f, f)."""
        matrix = np.zeros((len(theta), 8, 8))
        of_a = weights * np.exp(-theta[:, 4, None] * self._n)
        matrix[:, 0, 4] = matrix[:, 4, 0] = -(of_a @ self._n)
        matrix[:, 4, 4] = theta[:, 0] * (of_a @ self._n**2)
        middle, share, entropy, gap = self._middle(theta)
        ones, q = np.ones_like(middle), np.broadcast_to(self._q, middle.shape)
        # of g in (b, q, beta, kappa): its gradient, and the w of its Hessian m w w'
        gradient = np.stack([share, 1 - share, entropy - self._d * share, (1 - share) * self._q], axis=-1)
        bend = np.stack([ones, -ones, -self._d - gap, -q], axis=-1)
        strength = share * (1 - share) / theta[:, 5, None]
        within = np.array([1, 3, 5, 6])
        for rows, weight in ((gradient, weights * middle), (bend, weights * middle * strength)):
            block = np.matmul(rows.transpose(0, 2, 1) * weight[:, None, :], rows)
            matrix[np.ix_(np.arange(len(theta)), within, within)] += block
        free = np.flatnonzero(self.free)
        return matrix[:, free[:, None], free]

    def logs(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """Return the parameters at `theta` (S, 8) with A, B, Q as logs: a dict of arrays (S,)."""
        a, b, e, q, alpha, beta, kappa, eps = theta.T
        n, d, log_fid, f = self.centre
        unit = np.log(self.unit)
        fixed = self.lower[3] == self.upper[3]
        return {
            "A": np.log(a) + unit + alpha * n,
            "B": (b + unit) / beta + d,
            "E": (e - eps * f) * self.unit,
            "Q": np.full_like(q, -np.inf) if fixed else (q + unit) / kappa - log_fid,
            "alpha": alpha,
            "beta": beta,
            "kappa": kappa,
            "eps": eps * self.unit,
        }

    def theta(self, logs: Mapping[str, Numbers]) -> np.ndarray:
        """Return the coordinates (S, 8) of parameters with A, B, Q as logs: inverse of `logs`."""
        n, d, log_fid, f = self.centre
        unit = np.log(self.unit)
        alpha, beta, kappa, eps = (np.asarray(logs[name], dtype=float) for name in NAMES[4:])
        columns = (
            np.exp(np.clip(logs["A"] - alpha * n - unit, -50, 50)),
            beta * (logs["B"] - d) - unit,
            (logs["E"] + eps * f) / self.unit,
            kappa * (logs["Q"] + log_fid) - unit,
        )
        return np.stack(np.broadcast_arrays(*columns, alpha, beta, kappa, eps / self.unit), axis=-1)


def _grid(kind):
    """Return the published grid of starts (648), or 96 of a thinner and wider one."""
    grid = published.BOTTLENECK_STARTS
    if kind == "small":
        grid = grid | {"A": (1.0, 6.0), "B": (70.0, 7000.0, 700000.0), "E": (0.5,)}
        grid |= {"alpha": (0.1, 0.5), "beta": (0.1, 0.3)}
    chosen = np.array(list(itertools.product(*(grid[name] for name in NAMES)))).T
    return FORM.logs_of(dict(zip(NAMES, chosen, strict=True)))


def _printed_log_loss(point, log_params, log_images, fid):
    """Return log L (n,) at the published coordinates, the parameters themselves (appendix F.3.1)."""
    a, b, e, q, alpha, beta, kappa, eps = point
    middle = (b * np.exp(-log_images) + (q * fid) ** (kappa / beta)) ** beta
    return np.log(a * np.exp(-alpha * log_params) + middle + e + eps * np.log1p(fid))


def _sides(logs, log_images, fid):
    """Return log B/D and log (Q FID)^(kappa/beta)."""
    with np.errstate(divide="ignore"):
        log_fid = np.log(fid)
    return logs["B"] - log_images, logs["kappa"] / logs["beta"] * (logs["Q"] + log_fid)


def _at_fid(logs, fid):
    return {"E'": logs["E"] + logs["eps"] * np.log1p(fid), "(Q FID)^kappa": _floor(logs, fid)}


def _floor(logs, fid):
    return np.exp(logs["beta"] * _sides(logs, 0.0, fid)[1])


def _asymptote(logs, fid):
    return logs["E"] + logs["eps"] * np.log1p(fid) + _floor(logs, fid)


def _loss(logs, log_params, log_images, fid):
    middle = np.exp(logs["beta"] * np.logaddexp(*_sides(logs, log_images, fid)))
    return np.exp(logs["A"] - logs["alpha"] * log_params) + middle + logs["E"] + logs["eps"] * np.log1p(fid)


def _optimum(logs, log_budget, fid):
    """Solve d/d log N (A/N^alpha + middle term) = 0 along N D = the budget.

    In v = log N the logs of the two slopes cross where v alpha + log(beta s middle) = log(alpha A); the left side rises
    with slope alpha + 1 + (beta - 1) s, s in (0, 1) monotone in v: Newton's method cannot miss.
    """
    alpha, beta = logs["alpha"], logs["beta"]
    with np.errstate(invalid="ignore"):
        log_params = (np.log(alpha / beta) + logs["A"] + beta * (log_budget - logs["B"])) / (alpha + beta)
        for _ in range(100):
            x, y = _sides(logs, log_budget - log_params, fid)
            # -logaddexp(0, y - x) is log s
            left = np.log(beta) + beta * np.logaddexp(x, y) - np.logaddexp(0.0, y - x) + alpha * log_params
            step = (np.log(alpha) + logs["A"] - left) / (alpha + 1 + (beta - 1) * expit(x - y))
            log_params = log_params + step
            if np.all(np.abs(step) < 1e-12 * (1 + np.abs(log_params)) + 1e-13):
                break
    return log_params, log_budget - log_params


def _share(logs, log_budget, fid):
    """Return d log N* / d log F: the equation of `_optimum` differentiated along the budget."""
    _, log_images = _optimum(logs, log_budget, fid)
    x, y = _sides(logs, log_images, fid)
    pull = 1 + (logs["beta"] - 1) * expit(x - y)
    return pull / (logs["alpha"] + pull)


FORM: form.Form = form.Form(
    name="bottleneck",
    title="Approach 3: data quality as a bottleneck",
    text="L = A/N^alpha + (B/D + (Q FID)^(kappa/beta))^beta + E', E' = E + eps log(1+FID)",
    judges={
        "A": determination.positive,
        "B": determination.positive,
        "E": determination.loss_above_zero,
        "Q": determination.positive,
        "alpha": determination.exponent,
        "beta": determination.exponent,
        "kappa": determination.exponent,
        "eps": determination.signed,
    },
    rests_on={
        "A": ("N",),
        "B": ("D", "FID"),
        "E": ("N", "D", "FID"),
        "Q": ("D", "FID"),
        "alpha": ("N",),
        "beta": ("D",),
        "kappa": ("D", "FID"),
        "eps": ("FID",),
        "E'": ("N", "D"),
        "(Q FID)^kappa": ("D", "FID"),
        "exponents": ("N", "D"),
        "asymptote": ("N", "D"),
    },
    tied={
        "A": ("A", "alpha"),
        "B": ("B", "beta"),
        "E": ("E", "alpha", "beta", "eps"),
        "Q": ("Q", "kappa"),
        "alpha": ("A", "alpha"),
        "beta": ("B", "beta"),
        "kappa": ("Q", "kappa"),
        "eps": ("eps",),
        "E'": ("E", "alpha", "beta"),
        "(Q FID)^kappa": ("Q", "kappa"),
        "exponents": ("A", "B", "alpha", "beta"),
        "asymptote": ("E", "alpha", "beta"),
    },
    of_quality=("Q", "kappa", "eps"),
    logged=("A", "B", "Q"),
    problem=Problem,
    grid=_grid,
    printed=published_recipe.Printed(
        log_loss=_printed_log_loss,
        points=lambda logs: np.column_stack([FORM.named(logs)[name] for name in NAMES]),
        logs=lambda points: FORM.logs_of(dict(zip(NAMES, points.T, strict=True))),
    ),
    loss=_loss,
    optimum=_optimum,
    share=_share,
    at_fid=_at_fid,
    asymptote=_asymptote,
)
loss, asymptote, optimum, exponents = FORM.loss_of, FORM.asymptote_of, FORM.optimum_of, FORM.exponents_of


def fit(runs: pd.DataFrame, curves: pd.DataFrame, settings: LawFit) -> Law:
    """Return approach 3 fitted in one stage to all comparable runs, as a `Law`.

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
