"""Random noise in the ball: of several draws, the one with the largest cross-entropy."""

import numpy as np
import torch
from torch.nn import functional as F

from robustlaws.attacks import record, threat_model
from robustlaws.attacks.pgd import unit_noise
from robustlaws.data import shards
from robustlaws.data.tensors import to_network
from robustlaws.networks import checkpoint
from robustlaws.runtime import device
from robustlaws.seeds import derive
from robustlaws.storage.embedded import content_digest


def random_noise(*, weights_path, test_path, outcome_path, settings, compute):
    """Attack one run by `options.draws` draws of uniform noise an image, and write its record."""
    where = device.prepare(compute.threads, compute.gpus)
    network = checkpoint.load(weights_path, settings.architecture, where)
    images, labels = (array[: settings.images] for array in shards.read(test_path))
    parts = []
    for start in range(0, len(labels), settings.batch):
        x = to_network(torch.from_numpy(images[start : start + settings.batch]), where)
        y = torch.from_numpy(labels[start : start + settings.batch]).to(where)
        parts.append(_attacked(network, x, y, start, settings))
    clean, attacked, adversarial = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    right = attacked == labels
    columns = {"clean_prediction": clean, "adversarial_prediction": attacked, "adversarial": adversarial}
    about = {"attacks": ["random_noise"], "weights_sha256": content_digest(weights_path)}
    record.write(outcome_path, labels, right, columns, settings, about)


@torch.no_grad()
def _attacked(network, x, y, start, settings):
    """Return the classes of clean and attacked images and the attacked images, of one batch."""
    clean, worst = network(x), x
    highest = F.cross_entropy(clean, y, reduction="none")
    for draw in range(settings.options["draws"]):
        seed = derive(settings.seed, "draw", draw)
        noise = torch.stack([unit_noise(x.shape[1:], seed, start + i) for i in range(len(x))]).to(x)
        tried = threat_model.start(x, noise, settings.threat.epsilon)
        loss = F.cross_entropy(network(tried), y, reduction="none")
        higher = loss > highest
        worst, highest = torch.where(higher[:, None, None, None], tried, worst), torch.where(higher, loss, highest)
    outcome = clean.argmax(1), network(worst).argmax(1), worst.permute(0, 2, 3, 1)
    return tuple(tensor.cpu().numpy() for tensor in outcome)
