"""Learning rate and momentum of a run, one value a step.

Source: spec/training.md 4 and 12.3. The paper's runs advance this cycle once per accounting epoch
with c = 0.025 E - 1 warm-up epochs, which is undefined at E = 40 and has no warm-up below. Runs of
any length here advance it once per step with c = max(1, round(warmup_fraction * steps)) warm-up
steps: a rule of this project, not of the paper.
"""

import math


def anneal(start, end, position):
    """Return the value of a cosine from `start` at position 0 to `end` at position 1."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * position))


def one_cycle(position, last, warmup, peak, momentum_low, momentum_high):
    """Return (learning rate, momentum) at `position` of 0..`last`.

    The rate rises from peak/25 to `peak` at `warmup` and falls to peak/250000 at `last`; the momentum
    mirrors it between `momentum_high` and `momentum_low`.
    """
    if position <= warmup:
        tau = position / warmup
        return anneal(peak / 25, peak, tau), anneal(momentum_high, momentum_low, tau)
    tau = (position - warmup) / (last - warmup)
    return anneal(peak, peak / 250_000, tau), anneal(momentum_low, momentum_high, tau)


def warmup_steps(steps, warmup_fraction):
    """Return the warm-up of a run of `steps` steps, at least 1."""
    return max(1, round(warmup_fraction * steps))
