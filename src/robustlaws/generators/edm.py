"""EDM: preconditioning, noise schedule, deterministic Heun sampler, and one shard of samples.

Source: spec/generators.md 2 to 4 (Karras et al. 2022).
"""

import numpy as np
import torch

from robustlaws import device
from robustlaws.data import shards
from robustlaws.files import digest
from robustlaws.generators import storage
from robustlaws.joblog import Progress
from robustlaws.seeds import derive


def denoise(network, x, sigma, labels, sigma_data):
    """Return the denoised images D(x; sigma, labels).

    Parameters
    ----------
    network : callable (float32 (batch, c, h, w), float32 (batch,), int64 (batch,)) -> float32 (batch, c, h, w)
        F of the spec: takes the scaled image, c_noise and the class.
    x : float tensor (batch, channels, height, width)
        Noisy images, clean ones being in [-1, 1].
    sigma : float tensor (batch,) or 0-d
        Noise level, same unit as x.
    labels : int64 tensor (batch,)
    sigma_data : float
        Standard deviation of the clean images.

    Returns
    -------
    float32 tensor like x
    """
    x = x.to(torch.float32)
    s = sigma.to(torch.float32).expand(len(x))[:, None, None, None]
    total = s**2 + sigma_data**2
    output = network(x / total.sqrt(), s.flatten().log() / 4, labels)
    return sigma_data**2 / total * x + s * sigma_data / total.sqrt() * output


def noise_levels(steps, sigma_min=0.002, sigma_max=80.0, rho=7.0):
    """Return t_0..t_n, float64 (steps + 1,): from sigma_max to sigma_min, then 0.

    Raises
    ------
    ValueError
        For fewer than 2 steps, where the schedule is undefined.
    """
    if steps < 2:
        raise ValueError(f"steps: {steps}; the sampler needs at least 2, its schedule is undefined at 1")
    ramp = torch.arange(steps, dtype=torch.float64) / (steps - 1)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return torch.cat([(high + ramp * (low - high)) ** rho, torch.zeros(1, dtype=torch.float64)])


def heun(denoiser, latents, levels):
    """Return the images that the deterministic second-order sampler makes of `latents`.

    Parameters
    ----------
    denoiser : callable (float64 (batch, c, h, w), float64 0-d) -> float (batch, c, h, w)
    latents : float tensor (batch, channels, height, width)
        Standard normal.
    levels : float64 tensor (n + 1,)
        Of :func:`noise_levels`.

    Returns
    -------
    float64 tensor like latents
        In [-1, 1] up to the error of the network; 2n - 1 evaluations were spent.
    """
    x = latents.to(torch.float64) * levels[0]
    for here, there in zip(levels[:-1], levels[1:], strict=True):
        slope = (x - denoiser(x, here).to(torch.float64)) / here
        guess = x + (there - here) * slope
        if there > 0:  # no correction on the last step, which goes to noise level 0
            slope = (slope + (guess - denoiser(guess, there).to(torch.float64)) / there) / 2
            guess = x + (there - here) * slope
        x = guess
    return x


def to_uint8(x):
    """Return float64 NCHW images in [-1, 1] as uint8 NHWC; truncates after adding 128 (spec/generators.md 4)."""
    return (x * 127.5 + 128).clip(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def latents_and_labels(indices, seed, shape, classes, labels):
    """Return what image i starts from, for each i of `indices`.

    Parameters
    ----------
    indices : iterable of int
        Positions in the dataset.
    seed : int
        Of the generator's images.
    shape : tuple of int
        (channels, height, width).
    classes : int
    labels : str
        "balanced": image i is of class i mod `classes`, so that every prefix is balanced to within one
        image a class; "random": drawn after the latent.

    Returns
    -------
    latents : float32 tensor (batch, channels, height, width)
        Standard normal; a pure function of (seed, i), whatever the batch.
    labels : int64 tensor (batch,)
    """
    drawn, classed = [], []
    for index in indices:
        generator = torch.Generator().manual_seed(derive(seed, "image", index))
        drawn.append(torch.randn(shape, generator=generator))
        random = int(torch.randint(classes, (), generator=generator))
        classed.append(index % classes if labels == "balanced" else random)
    return torch.stack(drawn), torch.tensor(classed)


def sample(*, config_path, weights_path, shard_path, settings, n_threads, n_gpus):
    """Sample one shard of a dataset.

    The network always sees whole batches that start at a multiple of `settings.batch`, so the bytes of
    image i do not depend on where shards begin or end.

    Parameters
    ----------
    config_path, weights_path : path
        The generator, in diffusers' format.
    shard_path : path
        HDF5 to write.
    settings : settings.Sampling
    """
    s = settings
    where = device.prepare(n_threads, n_gpus)
    network, about = storage.load(config_path, weights_path, where)
    levels = noise_levels(s.steps, s.sigma_min, s.sigma_max, s.rho).to(where)
    shape = (network.config.in_channels, network.config.sample_size, network.config.sample_size)
    progress = Progress(f"sampling {s.dataset} from image {s.first}", s.count)
    images, labels = [], []
    for start in range(s.first // s.batch * s.batch, s.first + s.count, s.batch):
        latents, classes = latents_and_labels(range(start, start + s.batch), s.seed, shape, s.classes, s.labels)
        classes_here = classes.to(where)

        def denoiser(x, sigma, classes_here=classes_here):
            return denoise(lambda *given: network(*given).sample, x, sigma, classes_here, about["sigma_data"])

        with torch.inference_mode():
            made = to_uint8(heun(denoiser, latents.to(where), levels)).cpu().numpy()
        inside = slice(max(s.first - start, 0), s.first + s.count - start)
        images.append(made[inside])
        labels.append(classes.numpy()[inside])
        progress.advance(len(images[-1]))
    provenance = {
        "dataset": s.dataset,
        "generator": s.generator,
        "weights_sha256": digest(weights_path),
        "sampler": s.sampler,
        "steps": s.steps,
        "seed": s.seed,
        "first_index": s.first,
    }
    shards.write(shard_path, np.concatenate(images), np.concatenate(labels), provenance)
