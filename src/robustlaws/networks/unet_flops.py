"""Parameters and FLOPs of the networks that make and judge images, by arithmetic; imports no torch.

Counted as in :mod:`robustlaws.networks.wrn_flops`: 2 for a multiply-add, 2 for each element of a norm, 1 for each
activation (attention weights included). Each element that is added or averaged counts 1. Copying pixels and largest
values cost nothing. Source: spec/generators.md 5 (the EDM family's U-Net) and 9.2 (ADM's encoder).
"""

from dataclasses import dataclass
from functools import cache

# Inception-v3 up to its features, always the same network: convolutions, and norms and activations (26,902,464).
# Its pools and the scaling to 299 x 299 pixels are left out.
INCEPTION_FLOPS = 11_422_336_192 + 26_902_464
INCEPTION_FEATURES = 2048


@dataclass
class Tally:
    """The cost of one forward pass of one image.

    Attributes
    ----------
    products : int
        FLOPs of convolutions, linear layers and attention: what a profiler counts.
    rest : int
        FLOPs of all else.
    parameters : int
        Trainable ones.
    """

    products: int = 0
    rest: int = 0
    parameters: int = 0

    @property
    def flops(self):
        """All FLOPs."""
        return self.products + self.rest

    def copy(self):
        """Return a tally that goes on from here on its own."""
        return Tally(self.products, self.rest, self.parameters)

    def convolve(self, channels_in, channels_out, kernel, side, bias=True):
        """Count a convolution whose output has `side` x `side` pixels."""
        weights = channels_in * channels_out * kernel**2
        self.products += 2 * weights * side**2
        self.parameters += weights + bias * channels_out

    def connect(self, values_in, values_out, bias=True, positions=1):
        """Count a linear layer, at each of some positions."""
        self.products += 2 * values_in * values_out * positions
        self.parameters += values_in * values_out + bias * values_out

    def norm(self, channels, side):
        """Count a normalisation with factor and offset."""
        self.rest += 2 * channels * side**2
        self.parameters += 2 * channels

    def touch(self, values):
        """Count an activation, a sum or a mean over so many values."""
        self.rest += values

    def attend(self, channels, queries, keys, heads=1):
        """Count attention of `queries` positions to `keys` positions: logits, softmax, weighted sum."""
        self.products += 2 * 2 * queries * keys * channels
        self.rest += heads * queries * keys


@cache
def unet(network, augmented=False):
    """Return the :class:`Tally` of a denoiser of the EDM family, the same one each time.

    Parameters
    ----------
    network : settings.Network
    augmented : bool
        Whether the network is told of an augmentation, as in its training.
    """
    n, tally = network, Tally()
    waves, embedding = n.model_channels * n.channel_mult_noise, n.model_channels * n.channel_mult_emb
    tally.touch(waves)
    if n.label_dim:
        tally.connect(n.label_dim, waves)
        tally.touch(waves)
    if n.augment_dim and augmented:
        tally.connect(n.augment_dim, waves, bias=False)
        tally.touch(waves)
    elif n.augment_dim:
        tally.parameters += n.augment_dim * waves
    tally.connect(waves, embedding)
    tally.connect(embedding, embedding)
    tally.touch(2 * embedding)
    unet = _Unet(n, tally, embedding)
    unet.decode(unet.encode())
    return tally


class _Unet:
    """The walk through a denoiser, in its own order; `side` is that of the pixels at the place reached."""

    def __init__(self, network, tally, embedding):
        self.network, self.tally, self.embedding = network, tally, embedding
        self.taps = len(network.resample_filter)
        self.boxes = self.taps == 2 and network.resample_filter[0] == network.resample_filter[1]

    def encode(self):
        """Count the encoder; return the channels of each of its outputs."""
        n, tally, widths = self.network, self.tally, []
        channels, residual_in = n.model_channels, n.in_channels
        for level, factor in enumerate(n.channel_mult):
            side = n.img_resolution >> level
            if level == 0:
                tally.convolve(n.in_channels, channels, 3, side)
            else:
                self.block(channels, channels, 2 * side, side)
                if n.encoder_type == "residual":
                    self.residual(residual_in, channels, side)
                    residual_in = channels
            widths.append(channels)
            for _ in range(n.num_blocks):
                self.block(channels, n.model_channels * factor, side, side, side in n.attn_resolutions)
                channels = n.model_channels * factor
                widths.append(channels)
        return widths

    def decode(self, widths):
        """Count the decoder of an encoder whose outputs have `widths` channels."""
        n, tally, widths = self.network, self.tally, list(widths)
        channels, lowest = widths[-1], len(n.channel_mult) - 1
        for level, factor in reversed(list(enumerate(n.channel_mult))):
            side = n.img_resolution >> level
            if level == lowest:
                self.block(channels, channels, side, side, attention=True)
                self.block(channels, channels, side, side)
            else:
                self.block(channels, channels, side // 2, side)
            for index in range(n.num_blocks + 1):
                attention = index == n.num_blocks and side in n.attn_resolutions
                self.block(channels + widths.pop(), n.model_channels * factor, side, side, attention)
                channels = n.model_channels * factor
        tally.norm(channels, side)
        tally.touch(channels * side**2)
        tally.convolve(channels, n.out_channels, 3, side)

    def block(self, channels_in, channels_out, side_in, side, attention=False):
        """Count a residual block between two sizes."""
        tally, values = self.tally, channels_out * side**2
        tally.norm(channels_in, side_in)
        tally.touch(channels_in * side_in**2)
        self.resample(channels_in, side_in, side)
        tally.convolve(channels_in, channels_out, 3, side)
        tally.connect(self.embedding, channels_out)
        tally.touch(values)
        tally.norm(channels_out, side)
        tally.touch(values)
        tally.convolve(channels_out, channels_out, 3, side)
        if channels_in != channels_out or side_in != side:
            self.resample(channels_in, side_in, side)
            # copies of pixels are made after a 1x1 convolution, not before
            copied = side > side_in and self.boxes
            tally.convolve(channels_in, channels_out, 1, side_in if copied else side)
        tally.touch(values)
        if attention:
            tally.norm(channels_out, side)
            tally.convolve(channels_out, 3 * channels_out, 1, side)
            tally.attend(channels_out, side**2, side**2)
            tally.convolve(channels_out, channels_out, 1, side)
            tally.touch(values)

    def resample(self, channels, side_in, side):
        """Count the filter between two sizes, channel by channel."""
        if side_in == side or (self.boxes and side > side_in):
            return
        if self.boxes:
            self.tally.touch(channels * side_in**2)
        else:
            self.tally.products += 2 * channels * self.taps**2 * min(side, side_in) ** 2

    def residual(self, channels_in, channels_out, side):
        """Count the side branch that ends at `side` x `side` pixels, and adding it."""
        tally, margin = self.tally, 0 if self.boxes else 2 * ((self.taps - 1) // 2)
        tally.convolve(channels_in, channels_out, 3, 2 * side + margin)
        self.resample(channels_out, 2 * side, side)
        tally.touch(channels_out * side**2)


@cache
def encoder(network):
    """Return the :class:`Tally` of ADM's encoder up to its features, and that of the whole network; the same each time.

    Parameters
    ----------
    network : settings.Encoder
    """
    n, tally = network, Tally()
    channels, embedding, side = n.model_channels * n.channel_mult[0], 4 * n.model_channels, n.img_resolution
    tally.touch(2 * (n.model_channels // 2))
    tally.connect(n.model_channels, embedding)
    tally.connect(embedding, embedding)
    tally.touch(embedding)
    if n.label_table:
        tally.parameters += n.label_table * embedding
        tally.touch(embedding)
    tally.convolve(n.in_channels, channels, 3, side)
    for level, factor in enumerate(n.channel_mult):
        for _ in range(n.depth):
            _res(tally, channels, n.model_channels * factor, embedding, side)
            channels = n.model_channels * factor
            if 2**level in n.attention:
                _attention(tally, channels, n.head_channels, side)
        if level < len(n.channel_mult) - 1:
            _res(tally, channels, channels, embedding, side, pooled=True)
            side //= 2
    _res(tally, channels, channels, embedding, side)
    _attention(tally, channels, n.head_channels, side)
    _res(tally, channels, channels, embedding, side)
    features, positions = tally.copy(), side**2
    tally.norm(channels, side)
    tally.touch(2 * channels * positions)  # activation and mean
    tally.touch(channels * (positions + 1))  # places
    tally.parameters += channels * (positions + 1)
    tally.connect(channels, 3 * channels, positions=positions + 1)
    tally.attend(channels, 1, positions + 1, channels // min(n.head_channels, channels))
    tally.connect(channels, n.outputs)
    return features, tally


def _res(tally, channels_in, channels_out, embedding, side, pooled=False):
    tally.norm(channels_in, side)
    tally.touch(channels_in * side**2)
    if pooled:
        tally.touch(2 * channels_in * side**2)
        side //= 2
    values = channels_out * side**2
    tally.touch(embedding)
    tally.connect(embedding, 2 * channels_out)
    tally.convolve(channels_in, channels_out, 3, side)
    tally.norm(channels_out, side)
    tally.touch(2 * values)  # scale and shift
    tally.touch(values)
    tally.convolve(channels_out, channels_out, 3, side)
    if channels_in != channels_out:
        tally.convolve(channels_in, channels_out, 1, side)
    tally.touch(values)


def _attention(tally, channels, head_channels, side):
    tally.norm(channels, side)
    tally.convolve(channels, 3 * channels, 1, side)
    tally.attend(channels, side**2, side**2, channels // min(head_channels, channels))
    tally.convolve(channels, channels, 1, side)
    tally.touch(channels * side**2)
