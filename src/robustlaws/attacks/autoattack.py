"""AutoAttack, through the `pyautoattack` package.

Source: Croce and Hein 2020; spec/training.md 9. The package runs its attacks one after the other, each
on the images that are still right; here they are called one at a time, so that the record says
which attack broke which image.
"""

import numpy as np
import torch
from pyautoattack import AutoAttack

from robustlaws import device
from robustlaws.attacks import record
from robustlaws.data import shards
from robustlaws.data.batches import to_network
from robustlaws.joblog import log
from robustlaws.networks import checkpoint

ATTACKS = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
}


def autoattack(*, weights_path, test_path, outcome_path, settings, n_threads, n_gpus):
    """Attack one run and write which attack broke which image, and the images.

    Parameters
    ----------
    weights_path, test_path, outcome_path : path
        Weights of the run, test images, HDF5 to write (:mod:`robustlaws.attacks.record`).
    settings : settings.AutoAttack
    """
    s = settings
    where = device.prepare(n_threads, n_gpus)
    network = checkpoint.load(weights_path, s.architecture, where)
    images, labels = shards.read(test_path)
    images, labels = images[: s.images], labels[: s.images]
    x, y = to_network(torch.from_numpy(images), where).contiguous(), torch.from_numpy(labels).to(where)
    with torch.no_grad():
        clean_prediction = network(x).argmax(1).cpu().numpy()
    adversarial, broken_by = break_images(network, x, y, s, where)
    with torch.no_grad():
        adversarial_prediction = network(adversarial).argmax(1).cpu().numpy()
    columns = {
        "clean_prediction": clean_prediction,
        "adversarial_prediction": adversarial_prediction,
        "broken_by": broken_by,
        "adversarial": adversarial.permute(0, 2, 3, 1).cpu().numpy(),
    }
    robust = (clean_prediction == labels) & (broken_by < 0)
    summary = {
        "attacks": list(ATTACKS[s.version]),
        "clean_acc": float((clean_prediction == labels).mean()),
        "robust_acc": float(robust.mean()),
    }
    record.write(outcome_path, labels, robust, columns, s, summary)


def break_images(network, images, labels, settings, where):
    """Return the attacked images and, per image, the index of the attack that broke it.

    Parameters
    ----------
    network : nn.Module in eval mode
    images : float tensor (count, channels, height, width)
        Pixels in [0, 1].
    labels : int64 tensor (count,)
    settings : settings.AutoAttack
    where : torch.device

    Returns
    -------
    adversarial : float tensor like images
        The clean image where nothing broke it.
    broken_by : int64 array (count,)
        Index into the attacks of the version; -1 where the image was wrong from the start or held.
    """
    suite = AutoAttack(
        network,
        device=where,
        eps=settings.threat.epsilon,
        norm=settings.threat.norm,
        seed=settings.seed,
        version=settings.version,
    )
    suite.logger.setLevel("DEBUG")
    with torch.no_grad():
        standing = network(images).argmax(1) == labels
    adversarial = images.clone()
    broken_by = np.full(len(labels), -1)
    for index, attack in enumerate(ATTACKS[settings.version]):
        suite.attacks_to_run = [attack]
        chosen = torch.nonzero(standing).squeeze(1)
        if len(chosen) == 0:
            break
        made, predicted = suite.run_standard_evaluation(images[chosen], labels[chosen], batch_size=settings.batch)
        wrong = predicted != labels[chosen]
        adversarial[chosen[wrong]] = made[wrong]
        broken_by[chosen[wrong].cpu().numpy()] = index
        standing[chosen[wrong]] = False
        log.info("%s: %s leaves %d of %d standing", settings.run, attack, int(standing.sum()), len(labels))
    return adversarial, broken_by
