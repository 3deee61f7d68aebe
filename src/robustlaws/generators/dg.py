"""Discriminator guidance: EDM's sampler with the gradient of a discriminator's log ratio.

Source: spec/generators.md 9.1, 9.3 and 9.4 (Kim et al. 2023).
"""

from functools import partial

import torch

from robustlaws.generators import edm, heun, network_files
from robustlaws.networks import discriminator

_OUTSIDE = 1e7  # the log ratio where the discriminator is not asked: nothing is boosted after it
_CHURN_PERIOD, _WEIGHT_PERIOD, _FACTOR = 5, 2, 2.0  # boosting: steps between two, and the factor of the weight


def field(log_ratio, x, sigma, time_min, time_max):
    """Return the guidance field g and the log ratio of images at their noise levels.

    Parameters
    ----------
    log_ratio : callable (float32 (batch, c, h, w), float64 (batch,)) -> float (batch,)
        ln(p / (1 - p)) of the images scaled to the variance-preserving process, at its time.
    x : float64 tensor (batch, channels, height, width)
    sigma : float64 tensor (batch,) or 0-d
    time_min, time_max : float
        The field is 0 for the whole batch unless the earliest time in it lies in between, limits included.

    Returns
    -------
    g : float32 tensor like x
        -sigma^2 times the gradient of the log ratio with respect to x; g / sigma adds to the slope dx/dsigma.
    log_ratio : float tensor (batch,)
        1e7 where the field is 0 because of the time.
    """
    sigma = sigma.expand(len(x))
    tau = discriminator.tau(sigma)
    if not time_min <= float(tau.min()) <= time_max:  # waits for a GPU, which costs less than gradients for nothing
        return torch.zeros_like(x, dtype=torch.float32), torch.full((len(x),), _OUTSIDE, device=x.device)
    m = discriminator.m(tau)[:, None, None, None]
    scaled = (m * x).to(torch.float32).detach().requires_grad_()
    with torch.enable_grad():
        ratio = log_ratio(scaled, tau)
        (gradient,) = torch.autograd.grad(ratio.sum(), scaled)
    return (-(sigma[:, None, None, None] ** 2) * m * gradient).to(torch.float32), ratio.detach()


class Guidance:
    """The guidance of one batch; keeps the log ratios of the step before, which decide what is boosted.

    Parameters
    ----------
    field : callable (x, sigma) -> (g, log ratio)
        See :func:`field`.
    settings : settings.Guidance
        Its second-order weight acts on the second evaluation of a step; the published code fails where it
        is not 0, so nothing tells whether that is what its authors meant.
    """

    churn = 4.0  # S_churn of boosted images

    def __init__(self, field, settings):
        self._field, self._settings = field, settings
        self._last = None  # no log ratio yet: +inf in the formulas

    def may_boost(self, step):
        """Return whether images may get noise before this step."""
        return self._settings.boosting and step % _CHURN_PERIOD == 0 and self._last is not None

    def boosted(self):
        """Return which images get noise, bool (batch,): those that the discriminator last took for made."""
        return self._last < 0

    def first(self, step, x, sigma, record):
        """Return the term added to the slope of the first evaluation."""
        s = self._settings
        if s.weight == 0:
            return torch.zeros((), dtype=torch.float64, device=x.device)
        g, ratio = self._field(x, sigma)
        record("guidance", g)
        record("log_ratio", ratio)
        if s.boosting and step % _WEIGHT_PERIOD == 0:
            g = torch.where((ratio < 0)[:, None, None, None], _FACTOR * g, g)
        self._last = ratio
        return s.weight * (g / sigma.expand(len(x))[:, None, None, None])

    def second(self, x, sigma):
        """Return the term added to the slope of the second evaluation."""
        weight = self._settings.weight_second_order
        if weight == 0:
            return torch.zeros((), dtype=torch.float64, device=x.device)
        return weight * (self._field(x, sigma)[0] / sigma)


class Sampler(edm.Sampler):
    """Images of an EDM generator under discriminator guidance; see :class:`robustlaws.generators.edm.Sampler`.

    Parameters
    ----------
    files : dict of str to path
        Those of the EDM generator, and `extractor`, `extractor_weights`, `discriminator`,
        `discriminator_weights`.
    settings : settings.Sampling
    where : torch.device

    Raises
    ------
    ValueError
        As there, or if the pair is none, or its discriminator knows fewer classes than the settings name.

    Images of a batch do not depend on one another except through the window test of :func:`field`.
    """

    def __init__(self, files, settings, where):
        super().__init__(files, settings, where)
        if settings.guidance is None:
            raise ValueError(f"datasets.{settings.dataset}: the sampler 'dg' needs a block 'guidance'")
        self.networks = []
        for name in ("extractor", "discriminator"):
            network, about = network_files.load(files[name], files[f"{name}_weights"], where)
            if about["kind"] != name:
                raise ValueError(f"{files[name]}: a network of kind {about['kind']!r}; {name!r} is wanted here")
            self.networks.append(network.to(memory_format=self.layout))
        rows = self.networks[1].settings.label_table
        if 0 < rows < settings.classes:  # 0: it does not look at classes
            ours = f"the study has {settings.classes} classes; take a pair trained on these, or on none"
            raise ValueError(f"{files['discriminator']} network.label_table: {rows} classes; {ours}")

    def integrate(self, start, labels, noise):
        """Return the images, float64 NCHW in [-1, 1], that grow from `start`; all tensors on the device."""
        s = self.settings
        log_ratio = partial(self._log_ratio, labels)
        guide = Guidance(
            partial(field, log_ratio, time_min=s.guidance.time_min, time_max=s.guidance.time_max), s.guidance
        )
        return heun.integrate(self.denoiser(labels), start, self.levels, churn=s.churn, noise=noise, guidance=guide)

    def _log_ratio(self, labels, x, time):
        return discriminator.log_ratio(*self.networks, x, time, labels)
