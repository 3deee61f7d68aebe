"""WideResNet-depth-width with SiLU, the paper's classifier.

Source: spec/training.md 1. State-dict keys are those of RobustBench's DMWideResNet. Two deliberate differences change
every logit: the 1x1 shortcut reads the activated input of its block, and a stride-2 convolution pads an even side only
right and bottom (TensorFlow SAME).
"""

import torch
from torch import nn
from torch.nn import functional as F

BATCHNORM_MOMENTUM = 0.01  # new = 0.99 old + 0.01 batch


class Block(nn.Module):
    """Two 3x3 convolutions, each after BatchNorm and SiLU, around a shortcut."""

    def __init__(self, channels_in, channels_out, stride):
        super().__init__()
        self.stride = stride
        self.batchnorm_0 = nn.BatchNorm2d(channels_in, momentum=BATCHNORM_MOMENTUM)
        self.conv_0 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=2 - stride, bias=False)
        self.batchnorm_1 = nn.BatchNorm2d(channels_out, momentum=BATCHNORM_MOMENTUM)
        self.conv_1 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.shortcut = None
        if channels_in != channels_out:
            self.shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)

    def forward(self, h):
        """Return the block's output for `h`, float (batch, channels, height, width)."""
        t = F.silu(self.batchnorm_0(h))
        if self.stride == 1:
            v = self.conv_0(t)
        else:
            # an odd side gets a pixel on both ends, so that it halves as the shortcut does; the paper has none
            height, width = t.shape[2:]
            v = self.conv_0(F.pad(t, (width % 2, 1, height % 2, 1)))
        v = self.conv_1(F.silu(self.batchnorm_1(v)))
        return v + (h if self.shortcut is None else self.shortcut(t))


class WideResNet(nn.Module):
    """WideResNet classifier.

    Parameters
    ----------
    depth : int
        4 + 6 n, with n blocks in each of the three groups.
    width : int
        Factor on the 16, 32, 64 channels of the groups.
    classes, channels : int
        Of the output and of the input.
    mean, std : sequences of float (channels,), or both None or empty
        Input normalisation, done inside the network for pixels in [0, 1]; None for none.

    Raises
    ------
    ValueError
        If no WideResNet has this depth or width, or mean and std do not fit the channels.
    """

    def __init__(self, depth, width, classes=10, channels=3, mean=None, std=None):
        super().__init__()
        check_shape(depth, width)
        # of the convolutions; "bfloat16" leaves normalisation, its statistics and the last layer as they are
        self.precision = "float32"
        for name, values in (("mean", mean), ("std", std)):
            # float32 constants, as published; casting the network to float64 widens these values
            constant = torch.tensor(tuple(values), dtype=torch.float32).view(1, -1, 1, 1) if values else None
            self.register_buffer(name, constant, persistent=False)
        if bool(mean) != bool(std) or (mean and not len(mean) == len(std) == channels):
            raise ValueError(f"mean {mean} and std {std} do not fit {channels} channels")
        self.init_conv = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        groups, channels_in = [], 16
        for group, channels_out in enumerate((16 * width, 32 * width, 64 * width)):
            blocks = []
            for index in range((depth - 4) // 6):
                blocks.append(Block(channels_in, channels_out, 2 if group and not index else 1))
                channels_in = channels_out
            groups.append(nn.ModuleDict({"block": nn.Sequential(*blocks)}))
        self.layer = nn.ModuleList(groups)
        self.batchnorm = nn.BatchNorm2d(channels_in, momentum=BATCHNORM_MOMENTUM)
        self.logits = nn.Linear(channels_in, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, 0.0, (2.0 / fan_out) ** 0.5)
        nn.init.zeros_(self.logits.bias)

    def features(self, x):
        """Return the input of the last layer, float (batch, 64 width), for images (batch, channels, h, w) in [0, 1]."""
        # the padding of the first convolution is of normalised pixels
        h = self.init_conv(x if self.mean is None else (x - self.mean) / self.std)
        for group in self.layer:
            h = group["block"](h)
        # under reduced precision the mean over pixels and the last layer stay in the weights' own type
        return F.silu(self.batchnorm(h)).mean((2, 3), dtype=self.logits.weight.dtype)

    def forward(self, x):
        """Return logits, float (batch, classes), for images (batch, channels, height, width) in [0, 1]."""
        if self.precision == "float32":
            return self.logits(self.features(x))
        with torch.autocast(x.device.type, getattr(torch, self.precision)):
            features = self.features(x)
        return self.logits(features)


def batchnorms(network):
    """Return the BatchNorm modules of `network`, synchronised ones included."""
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def check_shape(depth, width):
    """Raise ValueError unless a WideResNet of this depth and width exists."""
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"depth {depth}: a WideResNet has depth 4 + 6 n: 10, 16, 22, 28, ...")
    if width < 1:
        raise ValueError(f"width {width}: must be at least 1")


def build(architecture):
    """Return the network of a `settings.Architecture`, channels-last, with fresh weights."""
    a = architecture
    network = WideResNet(a.depth, a.width, a.classes, a.channels, a.mean, a.std)
    return network.to(memory_format=torch.channels_last)
