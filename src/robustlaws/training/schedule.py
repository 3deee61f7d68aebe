"""Learning rate and momentum of a run, one pair a step.

Source: spec/training.md 4, 11 (items 1 and 10) and 12.3. One cycle, cosine in both phases. The paper's code advances it
once per accounting epoch with c = 0.025 E - 1 warm-up epochs. Its momentum cycles with it, although the paper says 0.9.
(Equal `momentum_low` and `momentum_high` give a constant one.) At E = 40 c is 0, and below there is no warm-up. So a
run of 40 epochs or fewer has no schedule of the paper. Without accounting epochs the cycle advances once per step, with
c = max(1, round(warmup_fraction * steps)) warm-up steps. That is a rule of this project, not of the paper.
"""

import math

from robustlaws.settings import Training


def anneal(start: float, end: float, position: float) -> float:
    """Return the value of a cosine from `start` at position 0 to `end` at position 1."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * position))


def one_cycle(
    position: float, last: float, warmup: float, peak: float, momentum_low: float, momentum_high: float
) -> tuple[float, float]:
    """Return (learning rate, momentum) at `position` of 0..`last`.

    The rate rises from peak/25 to `peak` at `warmup` and falls to peak/250000 at `last`; the momentum
    mirrors it between `momentum_high` and `momentum_low`.
    """
    if position <= warmup:
        tau = position / warmup
        return anneal(peak / 25, peak, tau), anneal(momentum_high, momentum_low, tau)
    tau = (position - warmup) / (last - warmup)
    return anneal(peak, peak / 250_000, tau), anneal(momentum_low, momentum_high, tau)


def at(step: int, settings: Training) -> tuple[float, float]:
    """Return (learning rate, momentum) of optimiser step `step` = 0, 1, ... of a run.

    Parameters
    ----------
    step : int
    settings : Training
    """
    s = settings
    if s.epoch_images:
        place = step // s.steps_per_epoch, s.epochs - 1, s.warmup_fraction * s.epochs - 1
    else:
        place = step, max(s.steps - 1, 1), max(1, round(s.warmup_fraction * s.steps))
    return one_cycle(*place, s.learning_rate, s.momentum_low, s.momentum_high)
