"""The attack of the training, on finished weights."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustlaws.attacks import kl_attack, pgd, record, sanity_checks
from robustlaws.data import shards
from robustlaws.data.tensors import to_network
from robustlaws.networks import checkpoint
from robustlaws.runtime import device
from robustlaws.runtime.progress import Progress
from robustlaws.settings import Compute, InnerAttack
from robustlaws.storage.embedded import content_digest


def evaluate(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    step_size: float,
    steps: int,
    objective: str,
    seed: int,
    batch: int,
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Return the network's predictions on clean images and under the attack of the training.

    An image that is misclassified when clean stays as it is, as in AutoAttack. The images that fool the network are
    then those whose attacked version it gets wrong.

    Parameters
    ----------
    network : nn.Module in eval mode, parameters frozen
        Training attacks it in train mode; a finished network is judged, and so attacked, in eval mode.
    images : uint8 tensor (count, height, width, channels)
    labels : int64 tensor (count,)
    epsilon, step_size : float
        Linf radius and step, pixels in [0, 1].
    steps : int
    objective : str
        "kl" (divergence from the clean prediction, as TRADES) or "cross_entropy".
    seed : int
        Of the random starts; the start of image i depends on the seed and i only.
    batch : int
        Images attacked at once.
    progress : progress.Progress, optional

    Returns
    -------
    dict of numpy arrays (count,)
        `clean_prediction`, `adversarial_prediction` (int64); and `adversarial`, float32 (count, height, width,
        channels) in [0, 1].
    """

    def outcome(x, y, noise):
        with torch.no_grad():
            logits = network(x)
        target = F.softmax(logits, dim=1) if objective == "kl" else y
        attacked = kl_attack.attack(network, x, target, noise, epsilon, step_size, steps, objective)
        with torch.no_grad():
            attacked_prediction = network(attacked).argmax(1)
        prediction = logits.argmax(1)
        right = prediction == y
        return {
            "clean_prediction": prediction,
            "adversarial_prediction": torch.where(right, attacked_prediction, prediction),
            "adversarial": torch.where(right[:, None, None, None], attacked, x).permute(0, 2, 3, 1),
        }

    return pgd.in_batches(network, images, labels, outcome, seed=seed, batch=batch, progress=progress)


def attack_as_in_training(
    *,
    weights_path: Path | str,
    images_path: Path | str,
    outcome_path: Path | str,
    settings: InnerAttack,
    compute: Compute,
) -> None:
    """Attack the first images of a split as training does, and write what became of each.

    Parameters
    ----------
    weights_path, images_path, outcome_path : path
        Weights, shard of the split, HDF5 to write (:mod:`robustlaws.attacks.record`; `index` counts in the split).
    settings : InnerAttack
    compute : Compute

    Raises
    ------
    ValueError
        If a file does not fit the settings, or the network's logits make no sense.
    """
    where = device.prepare(compute.threads, compute.gpus)
    network = checkpoint.load(weights_path, settings.architecture, where)
    there = shards.length(images_path)
    images, labels = shards.read(images_path, min(settings.images or there, there))
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    few = slice(settings.batch)  # of a whole training split, the float images would fill a GPU
    sanity_checks.check(network, to_network(x[few], where), y[few].to(where))
    outcome = evaluate(
        network,
        x,
        y,
        epsilon=settings.threat.epsilon,
        step_size=settings.step_size,
        steps=settings.steps,
        objective=settings.objective,
        seed=settings.seed,
        batch=settings.batch,
        progress=Progress(f"the attack of the training on {settings.run}", len(images)),
    )
    right = outcome["clean_prediction"] == labels
    robust = right & (outcome["adversarial_prediction"] == labels)
    about = {
        "attacks": ["inner"],
        "clean_acc": float(right.mean()),
        "robust_acc": float(robust.mean()),
        "weights_sha256": content_digest(weights_path),
    }
    record.write(outcome_path, labels, robust, outcome, settings, about)
