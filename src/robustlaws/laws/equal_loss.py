"""What a model of the wrong size costs: more images, or more parameters, until it reaches the optimum's loss."""

import numpy as np

_FURTHEST = 60.0  # e-folds of images past D*: more than there are


def overhead(form, logs, model_ratio, log_budget, fid):
    """Return what models of w_N times N* cost at the loss that a budget reaches with N*, for any form of the loss.

    Parameters
    ----------
    form : parametric.Form
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
        for _ in range(80):  # halves: to 1e-13 of the ratio's log
            middle = (low + high) / 2
            short = form.loss(logs, sizes, middle, fid) > target
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        data_ratio = np.where(lost, np.inf, np.exp((low + high) / 2 - log_images))
        return data_ratio, model_ratio * data_ratio - 1
