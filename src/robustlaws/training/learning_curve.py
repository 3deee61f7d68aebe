"""Measurements of a run during training: their steps and rows.

Source: spec/training.md 6 and 7. The averaged network is measured in eval mode and float32, under PGD on the CW
objective. The paper's CE attack and training-set metrics are left out (12.6): 6.7 epochs of work each, and in none of
its fits.
"""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from torch import Tensor, nn

from robustlaws.attacks import pgd
from robustlaws.networks import wrn_flops
from robustlaws.runtime.logger import log
from robustlaws.settings import Training
from robustlaws.training.distributed import SingleProcess


def steps(settings: Training) -> set[int]:
    """Return the steps after which the curve gets a row, 0 (before training) included."""
    return {0, *(round(fraction * settings.steps) for fraction in settings.curve.fractions)}


def validation_steps(settings: Training) -> Collection[int]:
    """Return the steps after which held-out images are looked at: each epoch's last, or the curve's and the last."""
    if settings.epoch_images:
        return range(settings.steps_per_epoch, settings.steps + 1, settings.steps_per_epoch)
    return (steps(settings) - {0}) | {settings.steps}


def measured(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    settings: Training,
    ranks: SingleProcess,
    poll: Callable[[], None],
) -> dict[str, float]:
    """Return the losses and accuracies of a network on some images, shared among the ranks.

    Parameters
    ----------
    network : nn.Module in eval mode, parameters frozen
    images : uint8 tensor (count, height, width, channels)
    labels : int64 tensor (count,)
    settings : Training
    ranks : distributed.SingleProcess
    poll : callable () -> None
        Called after each batch on all ranks alike; may raise.

    Returns
    -------
    dict
        As :func:`robustlaws.attacks.pgd.averages`, and `test_images`, their number.
    """
    c, parts = settings.curve, []
    share = -(-len(labels) // ranks.count)
    batch = min(c.batch, share)
    for start in range(ranks.index * share, (ranks.index + 1) * share, batch):
        inside = slice(start, min(start + batch, (ranks.index + 1) * share, len(labels)))
        if inside.start < inside.stop:
            outcome = pgd.evaluate(
                network,
                images[inside],
                labels[inside],
                epsilon=settings.threat.epsilon,
                step_size=c.attack_step_size,
                steps=c.attack_steps,
                beta=settings.beta,
                seed=c.seed,
                batch=batch,
                first=start,
            )
            parts.append({name: values for name, values in outcome.items() if name != "adversarial"})
        poll()
    parts = [part for theirs in ranks.gathered(parts) for part in theirs]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {**pgd.averages(whole, labels), "test_images": len(labels)}


def row(
    settings: Training, step: int, outcome: dict[str, float], losses: list[float], learning_rate: float | None
) -> dict[str, Any]:
    """Return a row of tables.CURVES.

    Parameters
    ----------
    settings : Training
    step : int
        Optimiser steps done.
    outcome : dict
        Of :func:`measured`.
    losses : list of float
        Of the steps since the last row.
    learning_rate : float, or None before the first step
    """
    model, dataset, size, seed = settings.run.split("/")
    seen = settings.seen(step)
    return {
        "run": settings.run,
        "model": model,
        "dataset": dataset,
        "size": int(size),
        "seed": int(seed),
        "train_fraction": step / settings.steps,
        "images": seen,
        **wrn_flops.training_flops(settings, seen),
        **outcome,
        "train_loss": sum(losses) / len(losses) if losses else None,
        "learning_rate": learning_rate,
    }


def say(settings: Training, row: dict[str, Any]) -> None:
    """Put a row of the curve into the log."""
    log.info(
        "%s at %.0f %%: clean accuracy %.1f %%, adversarial accuracy %.1f %%, adversarial loss %.4f",
        settings.run,
        100 * row["train_fraction"],
        100 * row["clean_acc"],
        100 * row["adv_acc"],
        row["adv_loss"],
    )
