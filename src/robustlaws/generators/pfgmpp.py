"""PFGM++: the sampler of EDM, started from the prior of augmented electric fields.

Source: spec/generators.md 8 (Xu et al. 2023).
"""

import torch

from robustlaws.generators import edm


def draw_prior(seed, pixels, augmented):
    """Return the random numbers of one image's prior, as the published code draws them from `seed`.

    Returns
    -------
    beta : float32 tensor, 0-d
        Of Beta(pixels / 2, augmented / 2).
    gauss : float32 tensor (pixels,)
        Standard normal.
    """
    generator = torch.Generator().manual_seed(seed)
    # torch.distributions.Beta draws just this, but from the global generator only
    both = torch._sample_dirichlet(torch.tensor([pixels / 2, augmented / 2]), generator)
    return both[0], torch.randn(pixels, generator=generator)


def prior(beta, gauss, augmented, sigma):
    """Return samples of the prior: uniform directions, radii of a beta-prime law.

    Parameters
    ----------
    beta : float32 tensor (batch,)
    gauss : float32 tensor (batch, pixels)
    augmented : int
        D, the augmented dimension.
    sigma : float
        Noise level at which the sampler starts; the radius in the augmented space is sigma * sqrt(D).

    Returns
    -------
    float64 tensor (batch, pixels)
    """
    beta = beta.double()
    radius = sigma * augmented**0.5 * (beta / (1 - beta)).sqrt()
    return (gauss / gauss.norm(dim=1, keepdim=True)).double() * radius[:, None]


class Sampler(edm.Sampler):
    """Images of a PFGM++ generator; see :class:`robustlaws.generators.edm.Sampler`."""

    kind = "pfgmpp"

    def start(self, draws):
        """Return x_0, float64 (batch, channels, height, width), and the classes, int64 (batch,).

        The prior has a generator of its own with the seed of the image, so that the class is the first
        draw of the image's. The published code starts at noise level 80 even where the schedule does not;
        here it is the first of the schedule.
        """
        pixels, augmented = draws.shape[0] * draws.shape[1] * draws.shape[2], self.about["augmented_dimension"]
        drawn = [draw_prior(seed, pixels, augmented) for seed in draws.seeds]
        beta, gauss = (torch.stack(part) for part in zip(*drawn, strict=True))
        start = prior(beta, gauss, augmented, float(self.levels[0]))
        return start.reshape(-1, *draws.shape), draws.labels()
