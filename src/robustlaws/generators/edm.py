"""EDM: images from a standard normal latent by the deterministic (or churned) second-order sampler.

Source: spec/generators.md 3 and 4 (Karras et al. 2022).
"""

import torch
from torch.nn.functional import one_hot

from robustlaws.generators import heun, network_files
from robustlaws.generators.latents import Draws
from robustlaws.runtime import device
from robustlaws.storage.embedded import content_digest


def to_uint8(x):
    """Return float64 NCHW images in [-1, 1] as uint8 NHWC; truncates after adding 128 (spec/generators.md 4)."""
    return (x * 127.5 + 128).clip(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


class Sampler:
    """Images of a generator of the EDM family.

    Parameters
    ----------
    files : dict of str to path
        `network` and `weights` of the generator, see :func:`robustlaws.generators.network_files.save`.
    settings : settings.Sampling
    where : torch.device

    Attributes
    ----------
    provenance : dict
        Origin of the images beside the settings: the SHA-256 of each file, the version of torch.

    Raises
    ------
    ValueError
        If the files hold no generator of this kind, of the images and classes that the settings name.
    """

    kind = "edm"

    def __init__(self, files, settings, where):
        self.settings, self.where = settings, where
        self.network, self.about = network_files.load(files["network"], files["weights"], where)
        self._check(files["network"])
        # convolutions of a GPU are faster where the channels of a pixel lie side by side
        self.layout = torch.channels_last if where.type == "cuda" else torch.contiguous_format
        self.network = self.network.to(memory_format=self.layout)
        s = settings
        self.levels = heun.noise_levels(s.steps, s.sigma_min, s.sigma_max, s.rho)
        self.provenance = {f"{name}_sha256": content_digest(path) for name, path in files.items()}
        self.provenance["torch"] = str(torch.__version__)

    def _check(self, path):
        s = self.settings
        if self.about["kind"] != self.kind:
            raise ValueError(
                f"{path}: a generator of kind {self.about['kind']!r}; the sampler {s.sampler!r} takes {self.kind!r}"
            )
        network = self.network.model.settings
        theirs = (network.img_resolution, network.out_channels, network.label_dim)
        ours = (s.image_size, s.channels, s.classes)
        if theirs != ours:
            made, wanted = ("{0}x{0} pixels, {1} channels, {2} classes".format(*each) for each in (theirs, ours))
            raise ValueError(f"{path}: makes images of {made}; the study has images of {wanted}")

    def compile(self):
        """Compile the network: worth minutes of waiting only before many images."""
        self.network = device.compiled(self.network, True)

    def batch(self, indices):
        """Return images and classes of the given indices, a pure function of the settings and of them.

        Parameters
        ----------
        indices : range
            Positions in the dataset. The network sees them at once; its rounding may depend on how many there are.

        Returns
        -------
        images : uint8 array (batch, height, width, channels)
        labels : int64 array (batch,)
        """
        draws = Draws(indices, self.settings)
        start, labels = self.start(draws)
        start = start.to(self.where, memory_format=self.layout)
        with torch.no_grad():  # not inference_mode: guidance takes gradients
            made = self.integrate(start, labels.to(self.where), lambda step: draws.noise(step).to(self.where))
            return to_uint8(made).contiguous().cpu().numpy(), labels.numpy()

    def start(self, draws):
        """Return x_0, float64 (batch, channels, height, width), and the classes, int64 (batch,)."""
        latents = draws.normal()
        return latents.double() * self.levels[0], draws.labels()

    def integrate(self, start, labels, noise):
        """Return the images, float64 NCHW in [-1, 1], that grow from `start`; all tensors on the device."""
        return heun.integrate(self.denoiser(labels), start, self.levels, churn=self.settings.churn, noise=noise)

    def denoiser(self, labels):
        """Return D(x, sigma) for these classes."""
        onehot = one_hot(labels, self.settings.classes).to(torch.float32)
        return lambda x, sigma: self.network(x, sigma, onehot)
