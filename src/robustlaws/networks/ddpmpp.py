"""The EDM family's U-Net in its two configurations, DDPM++ and NCSN++, and EDM's preconditioning around it.

Source: spec/generators.md 2, 5 and 6 (Karras et al. 2022; Song et al. 2021). State-dict keys are those of the
official checkpoints. Three rules that change every output and are easily missed: the channels of `qkv` are
interleaved (q_0, k_0, v_0, q_1, ...), a block scales by sqrt(1/2) once after its residual sum and once more after its
attention, and the first block at the lowest resolution has attention whatever `attn_resolutions` says.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

HALF = math.sqrt(0.5)  # keeps the variance of a sum of two equals


def group_norm(channels):
    """Return the GroupNorm of a layer.

    Raises
    ------
    ValueError
        If the channels do not divide into the min(32, channels // 4) groups that the network is made of.
    """
    groups = min(32, channels // 4)
    if groups < 1 or channels % groups:
        raise ValueError(
            f"network: a layer of {channels} channels does not divide into min(32, {channels} // 4) groups; let "
            "model_channels be a multiple of 32, or of 4 if no layer has 128 channels or more"
        )
    return nn.GroupNorm(groups, channels, eps=1e-6)


class Resampled(nn.Conv2d):
    """A convolution of images that are halved ("down") or doubled ("up") first.

    `taps` is the filter along one axis; the (1, 1, k, k) product of two is a buffer, as in the official files.
    """

    def __init__(self, channels_in, channels_out, kernel, mode, taps):
        super().__init__(channels_in, channels_out, kernel, padding=kernel // 2)
        self.mode = mode
        self.boxes = len(taps) == 2 and taps[0] == taps[1]  # means of 2x2 pixels, and copies of one
        self.register_buffer("resample_filter", resample_filter(taps))

    def _filtered(self, x, operation, gain, padding):
        channels = x.shape[1]
        kernel = (self.resample_filter * gain).to(x.dtype).expand(channels, -1, -1, -1)
        return operation(x, kernel, stride=2, padding=padding, groups=channels)

    def forward(self, x):
        """Return the output for `x`, float (batch, channels, height, width)."""
        padding = (self.resample_filter.shape[-1] - 1) // 2
        if self.mode == "down":
            small = F.avg_pool2d(x, 2) if self.boxes else self._filtered(x, F.conv2d, 1, padding)
            return super().forward(small)
        if not self.boxes:
            return super().forward(self._filtered(x, F.conv_transpose2d, 4, padding))
        if self.kernel_size == (1, 1):  # commutes with copying pixels, and costs a quarter before it
            return F.interpolate(super().forward(x), scale_factor=2, mode="nearest")
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))


class Residual(Resampled):
    """The side branch of the residual encoder: convolve, then halve, then add the bias."""

    def __init__(self, channels_in, channels_out, taps):
        super().__init__(channels_in, channels_out, 3, "down", taps)

    def forward(self, x):
        """Return the output for `x`, float (batch, channels, height, width)."""
        if self.boxes:
            return F.avg_pool2d(F.conv2d(x, self.weight, self.bias, padding=1), 2)
        # the border that the filter needs is convolved too, not filled with zeros after it
        wide = F.conv2d(x, self.weight, padding=1 + (self.resample_filter.shape[-1] - 1) // 2)
        return self._filtered(wide, F.conv2d, 1, 0) + self.bias[:, None, None]


def resample_filter(taps):
    """Return the float32 (1, 1, k, k) filter of `taps`, of sum 1."""
    line = torch.tensor(taps, dtype=torch.float32)
    return (torch.outer(line, line) / line.sum() ** 2)[None, None]


class Block(nn.Module):
    """Two 3x3 convolutions around an embedding, a shortcut, and attention if asked for."""

    def __init__(self, channels_in, channels_out, embedding, taps, dropout, mode="same", attention=False):
        super().__init__()
        self.dropout = dropout

        def convolution(kernel):
            if mode == "same":
                return nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)
            return Resampled(channels_in, channels_out, kernel, mode, taps)

        self.norm0 = group_norm(channels_in)
        self.conv0 = convolution(3)
        self.affine = nn.Linear(embedding, channels_out)
        self.norm1 = group_norm(channels_out)
        self.conv1 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.skip = convolution(1) if channels_in != channels_out or mode != "same" else None
        self.norm2 = group_norm(channels_out) if attention else None
        self.qkv = nn.Conv2d(channels_out, 3 * channels_out, 1) if attention else None
        self.proj = nn.Conv2d(channels_out, channels_out, 1) if attention else None

    def forward(self, x, e):
        """Return the output for `x`, float (batch, channels, height, width)."""
        h = self.conv0(F.silu(self.norm0(x))) + self.affine(e)[:, :, None, None]
        h = self.conv1(F.dropout(F.silu(self.norm1(h)), self.dropout, self.training))
        x = (h + (x if self.skip is None else self.skip(x))) * HALF
        return x if self.qkv is None else (self._attended(x) + x) * HALF

    def _attended(self, x):
        batch, channels, height, width = x.shape
        # (batch, channels, q|k|v, positions), one head; the default scale is 1/sqrt(channels)
        q, k, v = self.qkv(self.norm2(x)).reshape(batch, channels, 3, -1).permute(2, 0, 3, 1)[:, :, None]
        seen = F.scaled_dot_product_attention(q, k, v)[:, 0].transpose(1, 2)
        return self.proj(seen.reshape(batch, channels, height, width))


class Positional(nn.Module):
    """Sines and cosines of fixed frequencies, the last exactly 1/10000."""

    def __init__(self, channels):
        super().__init__()
        self.half = channels // 2

    def forward(self, c_noise):
        """Return the embedding of noise levels, float (batch,) to (batch, channels)."""
        ramp = torch.arange(self.half, dtype=torch.float32, device=c_noise.device) / (self.half - 1)
        return _waves(c_noise, (1 / 10000) ** ramp)


class Fourier(nn.Module):
    """Sines and cosines of random frequencies, kept with the weights."""

    def __init__(self, channels):
        super().__init__()
        self.register_buffer("freqs", 16 * torch.randn(channels // 2))

    def forward(self, c_noise):
        """Return the embedding of noise levels, float (batch,) to (batch, channels)."""
        return _waves(c_noise, 2 * math.pi * self.freqs)


def _waves(c_noise, frequencies):
    phases = torch.outer(c_noise, frequencies)
    return torch.cat([phases.sin(), phases.cos()], dim=1)


class Unet(nn.Module):
    """F of the spec.

    Parameters
    ----------
    settings : settings.Network

    Raises
    ------
    ValueError
        If these settings are of no network that this module knows.
    """

    def __init__(self, settings):
        super().__init__()
        s = self.settings = _checked(settings)
        waves = s.model_channels * s.channel_mult_noise
        self.embedding = s.model_channels * s.channel_mult_emb
        self.map_noise = Positional(waves) if s.embedding_type == "positional" else Fourier(waves)
        self.map_label = nn.Linear(s.label_dim, waves) if s.label_dim else None
        self.map_augment = nn.Linear(s.augment_dim, waves, bias=False) if s.augment_dim else None
        self.map_layer0 = nn.Linear(waves, self.embedding)
        self.map_layer1 = nn.Linear(self.embedding, self.embedding)
        self.enc, widths = self._encoder()
        self.dec = self._decoder(widths)
        self._initialise()

    def _block(self, channels_in, channels_out, mode="same", attention=False):
        s = self.settings
        return Block(channels_in, channels_out, self.embedding, s.resample_filter, s.dropout, mode, attention)

    def _encoder(self):
        """Return the encoder and the channels of each of its outputs, in order."""
        s, blocks, widths = self.settings, nn.ModuleDict(), []
        channels, side = s.model_channels, s.in_channels
        for level, factor in enumerate(s.channel_mult):
            size = s.img_resolution >> level
            if level == 0:
                blocks[f"{size}x{size}_conv"] = nn.Conv2d(s.in_channels, channels, 3, padding=1)
            else:
                blocks[f"{size}x{size}_down"] = self._block(channels, channels, "down")
                if s.encoder_type == "residual":
                    blocks[f"{size}x{size}_aux_residual"] = Residual(side, channels, s.resample_filter)
                    side = channels
            widths.append(channels)
            for index in range(s.num_blocks):
                width = s.model_channels * factor
                attention = size in s.attn_resolutions
                blocks[f"{size}x{size}_block{index}"] = self._block(channels, width, attention=attention)
                channels = width
                widths.append(channels)
        return blocks, widths

    def _decoder(self, widths):
        """Return the decoder of an encoder whose outputs have `widths` channels."""
        s, blocks, widths = self.settings, nn.ModuleDict(), list(widths)
        channels = widths[-1]
        for level, factor in reversed(list(enumerate(s.channel_mult))):
            size = s.img_resolution >> level
            if level == len(s.channel_mult) - 1:
                blocks[f"{size}x{size}_in0"] = self._block(channels, channels, attention=True)
                blocks[f"{size}x{size}_in1"] = self._block(channels, channels)
            else:
                blocks[f"{size}x{size}_up"] = self._block(channels, channels, "up")
            for index in range(s.num_blocks + 1):
                width = s.model_channels * factor
                attention = index == s.num_blocks and size in s.attn_resolutions
                blocks[f"{size}x{size}_block{index}"] = self._block(channels + widths.pop(), width, attention=attention)
                channels = width
        blocks[f"{size}x{size}_aux_norm"] = group_norm(channels)
        blocks[f"{size}x{size}_aux_conv"] = nn.Conv2d(channels, s.out_channels, 3, padding=1)
        return blocks

    def _initialise(self):
        gains = {"conv1": 1e-5, "proj": 1e-5, "aux_conv": 1e-5, "qkv": math.sqrt(0.2)}  # 5.4
        for name, module in self.named_modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                kind = next((kind for kind in gains if name.endswith(kind)), None)
                nn.init.xavier_uniform_(module.weight, gains.get(kind, 1.0))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def _embed(self, c_noise, onehot, augment_labels):
        s, e = self.settings, self.map_noise(c_noise)
        if self.map_label is not None:
            onehot = e.new_zeros(1, s.label_dim) if onehot is None else onehot
            if self.training and s.label_dropout:
                kept = torch.rand(len(onehot), 1, device=onehot.device) >= s.label_dropout
                onehot = onehot * kept.to(onehot.dtype)
            e = e + self.map_label(onehot * math.sqrt(s.label_dim))
        if self.map_augment is not None and augment_labels is not None:
            e = e + self.map_augment(augment_labels)
        return F.silu(self.map_layer1(F.silu(self.map_layer0(e))))

    def forward(self, x, c_noise, onehot=None, augment_labels=None):
        """Return F(x; c_noise, onehot).

        Parameters
        ----------
        x : float tensor (batch, in_channels, img_resolution, img_resolution)
        c_noise : float32 tensor (batch or 1,)
        onehot : float32 tensor (batch or 1, label_dim), optional
            None: the zero vector.
        augment_labels : float32 tensor (batch or 1, augment_dim), optional
            None: as zeros.

        Returns
        -------
        float tensor (batch, out_channels, img_resolution, img_resolution)

        Raises
        ------
        ValueError
            If the images have another shape than the network was made for.
        """
        s = self.settings
        if x.shape[1:] != (s.in_channels, s.img_resolution, s.img_resolution):
            wanted = f"{s.in_channels}x{s.img_resolution}x{s.img_resolution}"
            raise ValueError(f"images of {'x'.join(map(str, x.shape[1:]))}; this network takes {wanted}")
        e = self._embed(c_noise, onehot, augment_labels)
        side, outputs = x, []
        for module in self.enc.values():
            if isinstance(module, Block):
                x = module(x, e)
            elif isinstance(module, Residual):
                x = side = outputs.pop() * HALF + module(side) * HALF
            else:
                x = module(x)
            outputs.append(x)
        for name, module in self.dec.items():
            if isinstance(module, Block):
                x = module(torch.cat([x, outputs.pop()], dim=1) if "_block" in name else x, e)
            else:
                x = F.silu(module(x)) if name.endswith("_aux_norm") else module(x)
        return x


def _checked(settings):
    """Return `settings`; raise ValueError if no network here has them."""
    s = settings
    known = {
        "embedding_type": ("positional", "fourier"),
        "encoder_type": ("standard", "residual"),
        "decoder_type": ("standard",),
    }
    for name, choices in known.items():
        if getattr(s, name) not in choices:
            raise ValueError(f"network.{name}: {getattr(s, name)!r}; known: {', '.join(choices)}")
    positive = ("in_channels", "out_channels", "model_channels", "channel_mult_emb", "num_blocks", "channel_mult_noise")
    for name in positive:
        if getattr(s, name) < 1:
            raise ValueError(f"network.{name}: {getattr(s, name)}; at least 1")
    if not s.channel_mult or min(s.channel_mult) < 1:
        raise ValueError(f"network.channel_mult: {list(s.channel_mult)}; a factor of at least 1 for each resolution")
    steps = 2 ** (len(s.channel_mult) - 1)
    if s.img_resolution < steps or s.img_resolution % steps:
        raise ValueError(
            f"network.img_resolution: {s.img_resolution} does not halve {len(s.channel_mult) - 1} times, once for each "
            f"entry of channel_mult but the first; {steps} pixels or a multiple of that would do"
        )
    if s.model_channels * s.channel_mult_noise % 2 or s.model_channels * s.channel_mult_noise < 4:
        raise ValueError(f"network.model_channels: {s.model_channels}; an even number of at least 4")
    if len(s.resample_filter) % 2 or sum(s.resample_filter) == 0:
        raise ValueError(f"network.resample_filter: {list(s.resample_filter)}; an even number of taps, such as [1, 1]")
    return s


class Preconditioned(nn.Module):
    """D of the spec: EDM's preconditioning around a network; `model` is the network.

    Parameters
    ----------
    unet : Unet
    sigma_data : float
        Standard deviation of the clean images, these being in [-1, 1].
    """

    def __init__(self, unet, sigma_data):
        super().__init__()
        self.model = unet
        self.sigma_data = float(sigma_data)

    def raw(self, x, c_noise, onehot=None, augment_labels=None):
        """Return F(x; c_noise, onehot), float32; see :meth:`Unet.forward`."""
        return self.model(x, c_noise, onehot, augment_labels).to(torch.float32)

    def forward(self, x, sigma, onehot=None, augment_labels=None):
        """Return the denoised images D(x; sigma, onehot).

        Parameters
        ----------
        x : float tensor (batch, channels, height, width)
            Noisy images, clean ones being in [-1, 1].
        sigma : float tensor (batch,) or 0-d
            Noise level, same unit as x.
        onehot : float32 tensor (batch or 1, label_dim), optional
        augment_labels : float32 tensor (batch or 1, augment_dim), optional

        Returns
        -------
        float32 tensor like x
            Computed in float32 whatever came in: sigma is rounded before anything is made of it.
        """
        x, sigma = x.to(torch.float32), sigma.to(torch.float32).reshape(-1)
        onehot = None if onehot is None else onehot.to(torch.float32)
        s = sigma[:, None, None, None]
        total = s**2 + self.sigma_data**2
        output = self.raw(x / total.sqrt(), sigma.log() / 4, onehot, augment_labels)
        return self.sigma_data**2 / total * x + s * self.sigma_data / total.sqrt() * output


def build(settings):
    """Return the network of a `settings.Network` with fresh weights (spec/generators.md 5.4).

    Raises
    ------
    ValueError
        If no network here has these settings.
    """
    return Unet(settings)
