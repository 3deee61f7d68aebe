"""The two networks of discriminator guidance: ADM's encoder U-Net as feature extractor and as discriminator.

Source: spec/generators.md 9.1 and 9.2 (Kim et al. 2023; Dhariwal and Nichol 2021). State-dict keys are those of the
published files. The order of the channels of q, k and v differs: head first in the blocks, (q, k, v) first in the
pooling at the end.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

BETA_MIN, BETA_MAX = 0.1, 20.0  # of the variance-preserving process
GROUPS = 32
CLIP = 1e-5  # of the probability of being real


def _integral(t):
    """Return the integral of beta from 0 to t."""
    return (BETA_MAX - BETA_MIN) / 2 * t**2 + BETA_MIN * t


def tau(sigma):
    """Return the time of the variance-preserving process at noise level `sigma` (tensor, any shape)."""
    slope = BETA_MAX - BETA_MIN
    return ((BETA_MIN**2 + 2 * slope * torch.log1p(sigma**2)).sqrt() - BETA_MIN) / slope


def m(t):
    """Return the factor on the clean image at time `t` (tensor, any shape): 1/sqrt(1 + sigma^2) at tau(sigma)."""
    return torch.exp(-_integral(t) / 2)


def std(t):
    """Return the standard deviation of the noise at time `t` (tensor, any shape)."""
    return (-torch.expm1(-_integral(t))).sqrt()


def group_norm(channels):
    """Return the GroupNorm of a layer.

    Raises
    ------
    ValueError
        If the channels do not divide into its 32 groups.
    """
    if channels % GROUPS:
        raise ValueError(
            f"encoder: a layer of {channels} channels does not divide into {GROUPS} groups; let model_channels times "
            f"each entry of channel_mult be a multiple of {GROUPS}"
        )
    return nn.GroupNorm(GROUPS, channels)


def _heads(channels, head_channels):
    """Return the number of attention heads over `channels`; a head has at most as many channels as there are."""
    width = min(head_channels, channels)
    if width < 1 or channels % width:
        raise ValueError(f"encoder.head_channels: {head_channels} does not divide the {channels} channels of a layer")
    return channels // width


class Res(nn.Module):
    """Two 3x3 convolutions, the embedding as scale and shift between them, and 2x2 mean pooling if `pooled`."""

    def __init__(self, channels_in, channels_out, embedding, pooled=False):
        super().__init__()
        self.pooled = pooled
        first = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        last = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        # the activations have no weights; they stand here for the numbers in the published names
        self.in_layers = nn.Sequential(group_norm(channels_in), nn.SiLU(), first)
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, 2 * channels_out))
        self.out_layers = nn.Sequential(group_norm(channels_out), nn.SiLU(), nn.Identity(), _zero(last))
        self.skip_connection = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x, e):
        """Return the output for `x`, float (batch, channels, ...)."""
        h = self.in_layers[:2](x)
        if self.pooled:
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        scale, shift = self.emb_layers(e)[:, :, None, None].chunk(2, dim=1)
        h = self.out_layers[0](self.in_layers[2](h)) * (1 + scale) + shift
        return self.skip_connection(x) + self.out_layers[1:](h)


def _zero(layer):
    """Return `layer` with all weights 0: a residual branch that starts as nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Attention(nn.Module):
    """Attention over the positions of an image, added to it."""

    def __init__(self, channels, head_channels):
        super().__init__()
        self.heads = _heads(channels, head_channels)
        self.norm = group_norm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = _zero(nn.Conv1d(channels, channels, 1))

    def forward(self, x):
        """Return the output for `x`, float (batch, channels, ...)."""
        batch, channels = x.shape[:2]
        # channels of one projection: head, then q|k|v, then those of the head
        qkv = self.qkv(self.norm(x).flatten(2)).reshape(batch, self.heads, 3, -1, x[0, 0].numel())
        q, k, v = qkv.permute(2, 0, 1, 4, 3)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(batch, channels, -1)
        return x + self.proj_out(seen).view_as(x)


class AttentionPool(nn.Module):
    """Attention pooling: the mean over the positions attends to all positions."""

    def __init__(self, positions, channels, head_channels, outputs):
        super().__init__()
        self.heads = _heads(channels, head_channels)
        self.positional_embedding = nn.Parameter(torch.randn(channels, positions + 1) / channels**0.5)
        self.qkv_proj = nn.Conv1d(channels, 3 * channels, 1)
        self.c_proj = nn.Conv1d(channels, outputs, 1)

    def forward(self, x):
        """Return the output for `x`, float (batch, channels, ...)."""
        x = x.flatten(2)
        x = torch.cat([x.mean(2, keepdim=True), x], dim=2) + self.positional_embedding
        # channels of one projection: q|k|v, then head, then those of the head
        qkv = self.qkv_proj(x).reshape(len(x), 3, self.heads, -1, x.shape[2])
        q, k, v = qkv.permute(1, 0, 2, 4, 3)
        seen = F.scaled_dot_product_attention(q[:, :, :1], k, v)
        return self.c_proj(seen.reshape(len(x), -1, 1))[:, :, 0]


class EncoderUnet(nn.Module):
    """ADM's encoder U-Net.

    Parameters
    ----------
    settings : settings.Encoder

    Raises
    ------
    ValueError
        If no such network exists.
    """

    def __init__(self, settings):
        super().__init__()
        s = self.settings = _checked(settings)
        channels, embedding = s.model_channels * s.channel_mult[0], 4 * s.model_channels
        waves = nn.Linear(s.model_channels, embedding)
        self.time_embed = nn.Sequential(waves, nn.SiLU(), nn.Linear(embedding, embedding))
        self.label_emb = nn.Embedding(s.label_table, embedding) if s.label_table else None
        blocks = [nn.Sequential(nn.Conv2d(s.in_channels, channels, 3, padding=1))]
        for level, factor in enumerate(s.channel_mult):
            for _ in range(s.depth):
                layers = [Res(channels, s.model_channels * factor, embedding)]
                channels = s.model_channels * factor
                if 2**level in s.attention:
                    layers.append(Attention(channels, s.head_channels))
                blocks.append(nn.Sequential(*layers))
            if level < len(s.channel_mult) - 1:
                blocks.append(nn.Sequential(Res(channels, channels, embedding, pooled=True)))
        self.input_blocks = nn.ModuleList(blocks)
        attention = Attention(channels, s.head_channels)
        self.middle_block = nn.Sequential(
            Res(channels, channels, embedding), attention, Res(channels, channels, embedding)
        )
        positions = (s.img_resolution >> (len(s.channel_mult) - 1)) ** 2
        self.out = nn.Sequential(
            group_norm(channels), nn.SiLU(), AttentionPool(positions, channels, s.head_channels, s.outputs)
        )

    def _embed(self, t, labels):
        half = self.settings.model_channels // 2
        # by exp, as published: the float32 rounding of a power is another, and phases of 999 show it
        ramp = torch.arange(half, dtype=torch.float32, device=t.device)
        frequencies = torch.exp(-math.log(10000) * ramp / half)
        phases = torch.outer((999 * t).to(torch.float32), frequencies)
        e = self.time_embed(torch.cat([phases.cos(), phases.sin()], dim=1))
        if labels is None and self.label_emb is not None:
            raise ValueError("no labels; this network is conditional (label_table)")
        if labels is not None and self.label_emb is None:
            raise ValueError("labels given; this network is unconditional (label_table 0)")
        return e if labels is None else e + self.label_emb(labels)

    def features(self, x, t, labels=None):
        """Return the output of the middle block.

        Parameters
        ----------
        x : float32 tensor (batch, in_channels, img_resolution, img_resolution)
        t : float tensor (batch,)
            Time of the variance-preserving process, in [0, 1].
        labels : int64 tensor (batch,), for a network with a table of labels only

        Returns
        -------
        float32 tensor (batch, channels, height, width)
            At the lowest resolution.

        Raises
        ------
        ValueError
            If the images have another shape than the network was made for, or labels lack or abound.
        """
        s = self.settings
        if x.shape[1:] != (s.in_channels, s.img_resolution, s.img_resolution):
            wanted = f"{s.in_channels}x{s.img_resolution}x{s.img_resolution}"
            raise ValueError(f"images of {'x'.join(map(str, x.shape[1:]))}; this network takes {wanted}")
        e = self._embed(t, labels)
        for block in (*self.input_blocks, self.middle_block):
            for layer in block:
                x = layer(x, e) if isinstance(layer, Res) else layer(x)
        return x

    def forward(self, x, t, labels=None):
        """Return logits, float32 (batch, outputs); arguments and errors as of :meth:`features`."""
        return self.out(self.features(x, t, labels))


def _checked(settings):
    """Return `settings`; raise ValueError if no network here has them."""
    s = settings
    for name in ("img_resolution", "in_channels", "model_channels", "depth", "outputs"):
        if getattr(s, name) < 1:
            raise ValueError(f"encoder.{name}: {getattr(s, name)}; at least 1")
    if not s.channel_mult or min(s.channel_mult) < 1:
        raise ValueError(f"encoder.channel_mult: {list(s.channel_mult)}; a factor of at least 1 for each resolution")
    if s.img_resolution % 2 ** (len(s.channel_mult) - 1):
        raise ValueError(
            f"encoder.img_resolution: {s.img_resolution} does not halve {len(s.channel_mult) - 1} times, once for each "
            f"entry of channel_mult but the first; {2 ** (len(s.channel_mult) - 1)} pixels or a multiple would do"
        )
    known = [2**level for level in range(len(s.channel_mult))]
    if not set(s.attention) <= set(known):
        raise ValueError(f"encoder.attention: {list(s.attention)}; the network downsamples by {known}")
    return s


def build(settings):
    """Return the network of a `settings.Encoder` with fresh weights: torch's own, residual branches starting at 0.

    Raises
    ------
    ValueError
        If no network here has these settings.
    """
    return EncoderUnet(settings)


def log_ratio(extractor, discriminator, x, t, labels):
    """Return ln p(real)/p(made) of noisy images, as the discriminator sees it.

    Parameters
    ----------
    extractor, discriminator : EncoderUnet
    x : float32 tensor (batch, channels, height, width)
        Images of the variance-preserving process: m(t) x + noise of std(t).
    t : float tensor (batch,)
        In [0, 1].
    labels : int64 tensor (batch,)
        Not looked at by a discriminator without a table of labels.

    Returns
    -------
    float32 tensor (batch,)
        The probability is clipped at 1e-5 from 0 and 1; there it has no gradient.
    """
    labels = labels if discriminator.settings.label_table else None
    real = torch.sigmoid(discriminator(extractor.features(x, t), t, labels)[:, 0]).clip(CLIP, 1 - CLIP)
    return (real / (1 - real)).log()
