"""The noise schedule, and the one second-order sampler that EDM, PFGM++ and discriminator guidance share.

Source: spec/generators.md 3 and 9.4 (Karras et al. 2022, algorithm 2).
"""

import math

import numpy as np
import torch

_MOST_CHURN = math.sqrt(2) - 1  # of the noise level, in one step


def noise_levels(steps, sigma_min=0.002, sigma_max=80.0, rho=7.0, limits=(0.0, math.inf)):
    """Return t_0..t_n, float64 (steps + 1,) on the CPU: from sigma_max to sigma_min, then 0.

    Parameters
    ----------
    steps : int
    sigma_min, sigma_max : float
        First and last noise level but 0; the unit is that of the images, in [-1, 1].
    rho : float
        7 spends most steps at low noise; 1 spaces the levels evenly.
    limits : pair of float
        Noise levels that the network knows; those beyond are not asked of it.

    Raises
    ------
    ValueError
        For fewer than 2 steps, where the schedule is undefined, or if no two levels are left.
    """
    if steps < 2:
        raise ValueError(f"steps: {steps}; the sampler needs at least 2, its schedule is undefined at 1")
    lowest, highest = max(sigma_min, limits[0]), min(sigma_max, limits[1])
    if not 0 < lowest < highest < math.inf:
        raise ValueError(f"sigma_min {lowest}, sigma_max {highest}: needs 0 < sigma_min < sigma_max, both finite")
    ramp = torch.arange(steps, dtype=torch.float64) / (steps - 1)
    low, high = lowest ** (1 / rho), highest ** (1 / rho)
    return torch.cat([(high + ramp * (low - high)) ** rho, torch.zeros(1, dtype=torch.float64)])


def integrate(denoiser, start, levels, *, churn=None, noise=None, guidance=None, record=None):
    """Return the second-order sampler's images from `start`; 2n - 1 evaluations of the denoiser.

    Parameters
    ----------
    denoiser : callable (float64 (batch, c, h, w), float64 0-d or (batch,)) -> float (batch, c, h, w)
        D(x; sigma); sigma differs between images only where boosting adds noise to some of them.
    start : float tensor (batch, channels, height, width)
        x_0, noise included: a standard normal latent times `levels[0]`, or a sample of another prior.
    levels : float64 tensor (n + 1,)
        Of :func:`noise_levels`.
    churn : settings.Churn, optional
        Noise to put back at each step; none if left out.
    noise : callable (int) -> float64 tensor like start, optional
        Standard normal, one call for each step, in order, at which noise may be added: all of them under
        churn, else those before which the guidance may boost.
    guidance : robustlaws.generators.dg.Guidance, optional
        Of this batch.
    record : callable (str, tensor), optional
        Told, in order, each state ("x": n + 1 of them), the input of each first evaluation ("x_hat") and of
        each second one ("x_pred"), the noise level of every evaluation ("sigma"), and of the guidance the
        "guidance" field and the "log_ratio".

    Returns
    -------
    float64 tensor like start
        In [-1, 1] up to the error of the network.
    """
    record = record if record is not None else lambda name, value: None
    x = start.to(torch.float64)
    steps = len(levels) - 1
    values, levels = levels.tolist(), levels.to(x.device)  # floats decide: asking a GPU would wait for it
    record("x", x)
    for step in range(steps):
        here, there = levels[step], levels[step + 1]
        x_hat, hat = _churned(x, step, values[step], here, steps, churn, noise, guidance)
        record("x_hat", x_hat)
        slope = _slope(denoiser, x_hat, hat, record)
        if guidance:
            slope = slope + guidance.first(step, x_hat, hat, record)
        x = x_hat + _wide(there - hat) * slope
        if values[step + 1] > 0:  # no correction on the last step, which goes to noise level 0
            record("x_pred", x)
            second = _slope(denoiser, x, there, record)
            if guidance:
                second = second + guidance.second(x, there)
            x = x_hat + _wide(there - hat) * ((slope + second) / 2)
        record("x", x)
    return x


def _churned(x, step, value, here, steps, churn, noise, guidance):
    """Return the state with noise put back and its level: one for all images, or one for each if some are boosted."""
    inside = churn is None or churn.s_min <= value <= (math.inf if churn.s_max is None else churn.s_max)
    gamma = min(churn.s_churn / steps, _MOST_CHURN) if churn and inside else 0.0
    scale = churn.s_noise if churn else 1.0
    boosts = guidance is not None and guidance.may_boost(step)
    # Under churn a draw at every step, even where S_min and S_max silence it: the official stream. Otherwise
    # only where images may be boosted: without a boost the factor of the noise is exactly 0, and nothing
    # else is drawn later from an image's stream, so drawing would only cost time.
    drawn = noise(step) if boosts or (churn and churn.s_churn > 0) else None
    if boosts and inside:
        boosted = guidance.boosted()
        raised = min(float(np.float32(guidance.churn / steps)), _MOST_CHURN)  # the published code divides in float32
        gamma, scale = _where(boosted, raised, gamma), _where(boosted, 1.0, scale)
    elif gamma == 0:
        return x, here
    hat = here * (1 + gamma)
    return x + _wide((hat**2 - here**2).sqrt() * scale) * drawn, hat


def _where(chosen, value, other):
    """Return float64 `value` where `chosen` (bool (batch,)) and `other` elsewhere."""
    return torch.full_like(chosen, value, dtype=torch.float64).masked_fill(~chosen, other)


def _slope(denoiser, x, sigma, record):
    record("sigma", sigma)
    return (x - denoiser(x, sigma).to(torch.float64)) / _wide(sigma)


def _wide(sigma):
    """Return `sigma`, 0-d or (batch,), in a shape that spreads over images."""
    return sigma[:, None, None, None] if sigma.ndim else sigma
