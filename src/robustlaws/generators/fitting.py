"""Train a generator on the study's own training images.

Source: spec/generators.md 7. Scaled to the study: batch, learning rate, ramp and the half-life of the
average are settings; the augmentation is a random shift (and mirror) instead of EDM's.
"""

import copy

import torch
from diffusers import UNet2DModel

from robustlaws import device
from robustlaws.data import shards
from robustlaws.data.batches import augment, to_network
from robustlaws.generators import edm, storage
from robustlaws.joblog import Progress
from robustlaws.seeds import derive


def build(settings):
    """Return a class-conditional diffusers U-Net for `settings` (settings.GeneratorTraining), fresh weights."""
    levels = len(settings.widths)
    kinds = ["Block2D"] * (levels - 1) + ["AttnBlock2D" if settings.attention else "Block2D"]
    return UNet2DModel(
        sample_size=settings.image_size,
        in_channels=settings.channels,
        out_channels=settings.channels,
        block_out_channels=settings.widths,
        layers_per_block=settings.blocks,
        down_block_types=tuple(kind.replace("Block2D", "DownBlock2D") for kind in kinds),
        up_block_types=tuple(kind.replace("Block2D", "UpBlock2D") for kind in reversed(kinds)),
        norm_num_groups=min(8, min(settings.widths) // 4),
        norm_eps=1e-6,
        freq_shift=1,  # EDM's frequencies: the last one is exactly 1/10000
        num_class_embeds=settings.classes,
        dropout=settings.dropout,
        add_attention=settings.attention,
        attention_head_dim=None,
    )


def loss(denoiser, images, log_sigma, noise, sigma_data):
    """Return the EDM loss of a batch, 0-d: summed over pixels, averaged over images.

    Parameters
    ----------
    denoiser : callable (float (batch, c, h, w), float (batch,)) -> float (batch, c, h, w)
    images, noise : float tensors (batch, channels, height, width)
        Clean images in [-1, 1]; standard normal noise.
    log_sigma : float tensor (batch,)
        ln of the noise level of each image.
    sigma_data : float
    """
    sigma = log_sigma.exp()
    weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    error = denoiser(images + sigma[:, None, None, None] * noise, sigma) - images
    return (weight[:, None, None, None] * error**2).sum() / len(images)


def average_weight(images, batch, half_life):
    """Return beta of the moving average after an update that `images` were seen before.

    The half-life is `half_life` images, and at most a twentieth of what was seen.
    """
    return 0.5 ** (batch / max(min(half_life, 0.05 * images), 1e-8))


def train_edm(*, train_path, config_path, weights_path, settings, n_threads, n_gpus):
    """Train an EDM generator and write its moving average in diffusers' format.

    Parameters
    ----------
    train_path : path
        Real training images (never the test images).
    config_path, weights_path : path
        Files to write, see :func:`robustlaws.generators.storage.save`.
    settings : settings.GeneratorTraining

    Raises
    ------
    ValueError
        If the loss is no longer finite.
    """
    s = settings
    where = device.prepare(n_threads, n_gpus)
    torch.manual_seed(derive(s.seed, "weights"))  # also drives dropout
    network = build(s).to(where).to(memory_format=torch.channels_last).train()
    average = copy.deepcopy(network).eval().requires_grad_(False)
    optimiser = torch.optim.Adam(network.parameters(), lr=s.learning_rate)
    images, labels = (torch.from_numpy(part) for part in shards.read(train_path))
    progress = Progress(f"training {s.kind}", s.updates, "updates")
    for update in range(s.updates):
        generator = torch.Generator().manual_seed(derive(s.seed, "update", update))
        seen = update * s.batch
        for group in optimiser.param_groups:
            group["lr"] = s.learning_rate * min(seen / max(s.ramp_images, 1e-8), 1.0)
        chosen = torch.randint(len(images), (s.batch,), generator=generator)
        x = to_network(augment(images[chosen], s.crop_padding, s.mirror, generator), where) * 2 - 1
        classes = labels[chosen].to(where)
        log_sigma = (torch.randn(s.batch, generator=generator) * s.p_std + s.p_mean).to(where)
        noise = torch.randn(x.shape, generator=generator).to(where)

        def denoiser(noisy, sigma, classes=classes):
            return edm.denoise(lambda *given: network(*given).sample, noisy, sigma, classes, s.sigma_data)

        value = loss(denoiser, x, log_sigma, noise, s.sigma_data)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        for parameter in network.parameters():
            torch.nan_to_num_(parameter.grad, nan=0.0, posinf=1e5, neginf=-1e5)
        optimiser.step()
        beta = average_weight(seen, s.batch, s.ema_half_life_images)
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - beta)
        if not torch.isfinite(value):
            raise ValueError(f"the loss of the generator is {float(value)} at update {update}; lower its learning_rate")
        progress.advance(1, f"loss {float(value.detach()):.2f}")
    about = {"kind": s.kind, "sigma_data": s.sigma_data, "updates": s.updates, "batch": s.batch}
    storage.save(config_path, weights_path, average, about)
