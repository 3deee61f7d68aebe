"""The cost of model sizes other than N* at equal loss: overhead, its inverse, and images needed.

For approach 2 there are closed forms (`additive.overhead`); here all is solved on the loss itself, for any form.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from robustlaws.laws.arrays import Numbers
from robustlaws.laws.roots import bisect

_SMALLEST_LOG_RATIO = -25.0  # of N / N*, 1e-11
_HALVINGS = 60


def at_equal_loss(forecast: Any, flops: float, fid: float, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and compute that models need to reach L* of a budget.

    Parameters
    ----------
    forecast : forecasts.FormForecast
    flops : float
        The budget.
    fid : float
    params : float array (m,) or (1 + refits, m)
        N of the models.

    Returns
    -------
    images, overhead : float arrays (1 + refits, m)
        D with which each reaches L*, and FLOPs beyond the budget as a share of it; both inf where no number of images
        makes up for the size.
    """
    images = forecast.images_for_loss(params, forecast.best_loss(flops, fid), fid)
    return images, forecast.flops_per_parameter_image * params * images / flops - 1


def smallest(forecast: Any, flops: float, fid: float, overhead: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest models that reach L* of a budget for `overhead` (a share) more FLOPs.

    Returns
    -------
    params, images : float arrays (1 + refits,)
        Found by bisection in log N below N*, where the overhead falls with N.
    """
    best = np.log(forecast.optimum(flops, fid)[0])
    low, high = np.full_like(best, _SMALLEST_LOG_RATIO), np.zeros_like(best)
    _, high = bisect(
        lambda ratio: ~(at_equal_loss(forecast, flops, fid, np.exp(best + ratio))[1] <= overhead), low, high, _HALVINGS
    )
    params = np.exp(best + high)
    return params[:, 0], at_equal_loss(forecast, flops, fid, params)[0][:, 0]


_FURTHEST = 60.0  # e-folds of images past D*: more than there are


def overhead(
    form: Any, logs: Mapping[str, Numbers], model_ratio: Numbers, log_budget: float, fid: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the cost of models of w_N times N*, at the loss of a budget with N*, for any form of the loss.

    Parameters
    ----------
    form : form.Form
        Its loss must fall with the number of images.
    logs : dict of str to array
        Parameters as `form.loss` takes them; arrays must broadcast with `model_ratio`.
    model_ratio : float or array
        w_N = N / N*, above 0.
    log_budget : float
        log(N* D*).
    fid : float

    Returns
    -------
    data_ratio, compute_overhead : arrays
        w_D = D / D* and w_N w_D - 1; both inf where no amount of data makes up for so small a model, nan where the
        parameters give no N*.
    """
    with np.errstate(all="ignore"):
        log_params, log_images = form.optimum(logs, log_budget, fid)
        target = form.loss(logs, log_params, log_images, fid)
        sizes = log_params + np.log(model_ratio)
        low, high = log_images - _FURTHEST + 0.0 * sizes, log_images + _FURTHEST + 0.0 * sizes
        lost = form.loss(logs, sizes, high, fid) > target
        # 80: to 1e-13 of the ratio's log
        low, high = bisect(lambda images: form.loss(logs, sizes, images, fid) > target, low, high, 80)
        data_ratio = np.where(lost, np.inf, np.exp((low + high) / 2 - log_images))
        return data_ratio, model_ratio * data_ratio - 1
