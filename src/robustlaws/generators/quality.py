"""Quality of a dataset: the Frechet distance of its images to the real ones, in a network's features.

Digits of 8x8 pixels mean nothing to Inception, so a small classifier trained on the study's own
training images gives the features; FIDs of different feature networks cannot be compared, which
is why every number comes with the name of its features.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torchmetrics.image.fid import FrechetInceptionDistance

from robustlaws import device
from robustlaws.data import shards
from robustlaws.data.batches import permutation, to_network
from robustlaws.files import digest, write_json
from robustlaws.joblog import Progress, log
from robustlaws.networks import checkpoint, wrn
from robustlaws.seeds import derive


def train_features(*, train_path, test_path, weights_path, settings, n_threads, n_gpus):
    """Train the classifier whose penultimate layer gives the features.

    Parameters
    ----------
    train_path, test_path : path
        Real images; the test images only tell how good the classifier is.
    weights_path : path
        safetensors to write.
    settings : settings.Features
    """
    s = settings
    where = device.prepare(n_threads, n_gpus)
    torch.manual_seed(derive(s.seed, "weights"))
    network = wrn.build(s.architecture).to(where).train()
    images, labels = (torch.from_numpy(part) for part in shards.read(train_path))
    steps = s.epochs * (len(labels) // s.batch)
    optimiser = torch.optim.SGD(
        network.parameters(), lr=s.learning_rate, momentum=0.9, nesterov=True, weight_decay=s.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=s.learning_rate, total_steps=steps)
    # 100 batches say more about these images than the running average of a short training
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1
    progress = Progress("training the features", steps, "steps")
    for epoch in range(s.epochs):
        order = permutation(len(labels), s.seed, "epoch", epoch)
        for start in range(0, len(labels) - s.batch + 1, s.batch):
            chosen = order[start : start + s.batch]
            value = F.cross_entropy(network(to_network(images[chosen], where)), labels[chosen].to(where))
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            optimiser.step()
            schedule.step()
            progress.advance(1, f"loss {float(value.detach()):.3f}")
    network.eval()
    test_images, test_labels = (torch.from_numpy(part) for part in shards.read(test_path))
    with torch.inference_mode():
        right = network(to_network(test_images, where)).argmax(1).cpu() == test_labels
    log.info("features: %.1f %% of the test images classified right", 100 * float(right.float().mean()))
    checkpoint.save(weights_path, network, settings)


class _Features(nn.Module):
    """The features as torchmetrics wants them: uint8 NCHW in, float (batch, dimensions) out."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.num_features = network.logits.in_features

    def forward(self, images):
        return self.network.features(images.to(torch.float32) / 255)


def frechet_distance(network, real, made, batch=512):
    """Return the Frechet distance between two sets of images in the features of `network`.

    Parameters
    ----------
    network : WideResNet in eval mode
    real, made : uint8 arrays (count, height, width, channels)
        At least as many images as the features have dimensions, or the distance says little.
    batch : int
    """
    metric = FrechetInceptionDistance(feature=_Features(network), normalize=False)
    metric.set_dtype(torch.float64)
    for images, is_real in ((real, True), (made, False)):
        for start in range(0, len(images), batch):
            x = torch.from_numpy(images[start : start + batch]).permute(0, 3, 1, 2)
            with torch.inference_mode():
                metric.update(x, real=is_real)
    return float(metric.compute())


def measure(*, train_path, test_path, shard_paths, features_path, quality_path, settings, n_threads, n_gpus):
    """Write the FID of one dataset against the real training images, and the floor it can be held against.

    Parameters
    ----------
    train_path, test_path : path
        Real images.
    shard_paths : list of path
        The shards that hold the first `settings.images` images of the dataset.
    features_path : path
        Weights of the feature network.
    quality_path : path
        JSON to write: the FID, which features, how many images, and as a floor the FID of the test images.
    settings : settings.Quality
    """
    s = settings
    where = device.prepare(n_threads, n_gpus)
    network = checkpoint.load(features_path, s.architecture, where)
    real, test = shards.read(train_path)[0], shards.read(test_path)[0]
    made, _ = shards.read_prefix(shard_paths, s.images)
    a = s.architecture
    quality = {
        "dataset": s.dataset,
        "generator": s.generator,
        "steps": s.steps,
        "fid": frechet_distance(network, real, made),
        "images": len(made),
        "real_images": len(real),
        "features": {
            "name": f"WRN-{a.depth}-{a.width} classifier trained on the study's own training images",
            "dimensions": network.logits.in_features,
            "sha256": digest(features_path),
        },
        "floor": {
            "fid": frechet_distance(network, real, test),
            "images": len(test),
            "meaning": "FID of the test images against the training images",
        },
    }
    log.info("%s: FID %.3f (floor %.3f)", s.dataset, quality["fid"], quality["floor"]["fid"])
    write_json(quality_path, quality)
