"""Networks exported in RobustBench's layout."""

import numpy as np
import torch

from robustlaws.archive import robustbench
from robustlaws.attacks import record
from robustlaws.data import shards
from robustlaws.networks import checkpoint, wrn
from robustlaws.settings import Architecture, Export, PgdCw, Threat
from robustlaws.storage.atomic import digest

DIGITS = Architecture(10, 1, 10, 1, 8, (0.305,), (0.376,))


CIFAR = Architecture(10, 2, 10, 3, 32, (0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616))


RUN = "wrn-10-1/edm-4/256/1"


def trained(architecture, seed=1):
    """Return a network in which nothing is trivial, the statistics of BatchNorm included."""
    torch.manual_seed(seed)
    network = wrn.build(architecture)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("num_batches_tracked"):
                tensor.fill_(12)
            elif "batchnorm" in name:
                tensor.add_(torch.rand_like(tensor) * 0.5)
    return network.eval()


def settings_of(architecture, **changes):
    about = {"name": "A title", "authors": "A, B", "link": "https://arxiv.org/abs/1", "venue": "", "dataset": "cifar10"}
    threat = Threat("Linf", 8 / 255)
    return Export(
        **{"run": RUN, "architecture": architecture, "threat": threat, "autoattack": None, "additional_data": False}
        | about
        | changes
    )


def write_record(path, architecture, predictions, robust, labels, weights):
    settings = PgdCw(RUN, architecture, Threat("Linf", 8 / 255), 1, 5, 0.01, 5.0, None, 10)
    columns = {"clean_prediction": np.array(predictions), "adversarial_prediction": np.array(predictions)}
    record.write(
        path,
        np.array(labels),
        np.array(robust),
        columns,
        settings,
        {"attacks": ["a"], "weights_sha256": digest(weights)},
    )


def exported(architecture, folder, name="robustbench.pt"):
    checkpoint.save(folder / "ours.safetensors", trained(architecture), settings_of(architecture))
    images = np.zeros((4, architecture.image_size, architecture.image_size, architecture.channels), np.uint8)
    shards.write(folder / "test.h5", images, np.array([0, 1, 2, 3]), {})
    write_record(folder / "pgd.h5", architecture, [0, 1, 2, 0], [True] * 4, [0, 1, 2, 3], folder / "ours.safetensors")
    robustbench.export(
        weights_path=folder / "ours.safetensors",
        record_paths=[folder / "pgd.h5"],
        test_path=folder / "test.h5",
        checkpoint_path=folder / name,
        info_path=folder / "model_info.json",
        settings=settings_of(architecture),
    )
    return folder / name
