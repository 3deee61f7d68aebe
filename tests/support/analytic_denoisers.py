"""The analytic denoisers and the analytic discriminator of the generator fixtures (spec/generators.md 3)."""

import torch


def mixture_denoiser(arrays, labelled=True):
    """Return the exact denoiser of the fixtures' Gaussian mixture; sigma 0-d or (batch,)."""
    means, stds = torch.from_numpy(arrays["gmm_means"]), torch.from_numpy(arrays["gmm_stds"])
    weights = _weights(arrays, labelled)

    def denoise(x, sigma):
        v = stds**2 + sigma.expand(len(x))[:, None] ** 2
        square = ((x[:, None] - means) ** 2).flatten(2).sum(2)
        r = torch.softmax(weights - x[0].numel() / 2 * v.log() - square / (2 * v), 1)
        r, v = (part[:, :, None, None, None] for part in (r, v))
        s, sigma = stds[:, None, None, None], sigma.expand(len(x))[:, None, None, None, None]
        return (r * (s**2 * x[:, None] + sigma**2 * means) / v).sum(1)

    return denoise


def points_denoiser(arrays, augmented):
    """Return the exact denoiser of the fixtures' point set under the kernel of PFGM++."""
    means, weights = torch.from_numpy(arrays["gmm_means"]), _weights(arrays, True)

    def denoise(x, sigma):
        square = ((x[:, None] - means) ** 2).flatten(2).sum(2)
        far = (square + sigma**2 * augmented).log()
        w = torch.softmax(weights - (x[0].numel() + augmented) / 2 * far, 1)
        return (w[:, :, None, None, None] * means).sum(1)

    return denoise


def discriminator(arrays):
    """Return the log ratio of the fixtures' discriminator, float32: (z, t) -> (batch,)."""
    v, u, kappa = (torch.from_numpy(arrays[f"disc_{name}"]) for name in ("V", "U", "kappa"))
    v = v[torch.from_numpy(arrays["labels"])]

    def log_ratio(z, t):
        linear, wave = (v * z).flatten(1).sum(1), (u * z).flatten(1).sum(1).sin()
        square = (z**2).flatten(1).mean(1)
        logit = kappa[0] + kappa[1] * t.float() + linear + kappa[2] / 2 * square + kappa[3] * wave
        p = torch.sigmoid(logit).clip(1e-5, 1 - 1e-5)
        return (p / (1 - p)).log()

    return log_ratio


def _weights(arrays, labelled):
    weights = torch.from_numpy(arrays["gmm_logw"])[torch.from_numpy(arrays["labels"])]
    return weights if labelled else torch.zeros_like(weights)
