"""Inception-v3 of the FID: the port of TensorFlow's graph of 2015-12-05, weights from a local file.

Not torchvision's Inception: 1008 classes, average pools without the padding in the mean, a max pool in the last block.
Images are scaled to 299x299 by TensorFlow 1's bilinear rule. State-dict keys are those of torch-fidelity's file;
pytorch-fid's file of the same suffix is byte for byte the same one.

Source: spec/interop.md 4h; Szegedy et al. 2016 (the blocks).
"""

import os

import torch
from torch import nn
from torch.nn import functional as F

from robustlaws.storage.atomic import digest

NAME = "weights-inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{NAME}"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
DIMENSIONS = 2048  # of the features
SIDE = 299  # pixels that the network sees


class Convolution(nn.Module):
    """Convolution without bias, BatchNorm (epsilon 0.001) and ReLU; keeps the size unless it has a stride."""

    def __init__(self, channels_in, channels_out, kernel=1, stride=1, padding=None):
        super().__init__()
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        if padding is None:
            padding = (0, 0) if stride > 1 else tuple(side // 2 for side in kernel)
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels_out, eps=1e-3)

    def forward(self, x):
        """Return the output for `x`, float (batch, channels, height, width)."""
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Branches over one input, side by side in the output.

    Parameters
    ----------
    channels_in : int
    branches : sequence of sequences of (name, channels_out, kernel, stride)
        Each a chain of :class:`Convolution`; a tuple of several such entries at the end of a chain is a
        fork: all of them read the chain's output.
    pool : "mean", "max" (both 3x3, stride 1) or "half" (3x3 max, stride 2)
        The last branch; a convolution `branch_pool` follows unless it halves.
    pool_channels : int
        Of that convolution.
    """

    def __init__(self, channels_in, branches, pool, pool_channels=0):
        super().__init__()
        self.pool, self.chains = pool, []
        for branch in branches:
            channels, chain = channels_in, []
            for links in branch:
                links = links if isinstance(links[0], tuple) else (links,)
                for name, channels_out, *shape in links:
                    self.add_module(name, Convolution(channels, channels_out, *shape))
                chain.append([name for name, *_ in links])
                channels = sum(channels_out for _, channels_out, *_ in links)
            self.chains.append(chain)
        if pool_channels:
            self.branch_pool = Convolution(channels_in, pool_channels)

    def forward(self, x):
        """Return the output for `x`, float (batch, channels, height, width)."""
        outputs = []
        for chain in self.chains:
            h = x
            for names in chain:
                h = torch.cat([self.get_submodule(name)(h) for name in names], 1)
            outputs.append(h)
        if self.pool == "half":
            return torch.cat([*outputs, F.max_pool2d(x, 3, 2)], 1)
        # TensorFlow leaves the padding out of a mean
        mean = self.pool == "mean"
        pooled = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False) if mean else F.max_pool2d(x, 3, 1, 1)
        return torch.cat([*outputs, self.branch_pool(pooled)], 1)


def _five(channels_in, pool_channels):
    """Return a block of the 35x35 grid."""
    branches = (
        [("branch1x1", 64)],
        [("branch5x5_1", 48), ("branch5x5_2", 64, 5)],
        [("branch3x3dbl_1", 64), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)],
    )
    return Mixed(channels_in, branches, "mean", pool_channels)


def _six(inner):
    """Return a block of the 17x17 grid, `inner` channels between its 7x1 and 1x7 convolutions."""
    wide, high = (1, 7), (7, 1)
    branches = (
        [("branch1x1", 192)],
        [("branch7x7_1", inner), ("branch7x7_2", inner, wide), ("branch7x7_3", 192, high)],
        [
            ("branch7x7dbl_1", inner),
            ("branch7x7dbl_2", inner, high),
            ("branch7x7dbl_3", inner, wide),
            ("branch7x7dbl_4", inner, high),
            ("branch7x7dbl_5", 192, wide),
        ],
    )
    return Mixed(768, branches, "mean", 192)


def _seven(channels_in, pool):
    """Return a block of the 8x8 grid."""
    wide, high = (1, 3), (3, 1)
    branches = (
        [("branch1x1", 320)],
        [("branch3x3_1", 384), (("branch3x3_2a", 384, wide), ("branch3x3_2b", 384, high))],
        [
            ("branch3x3dbl_1", 448),
            ("branch3x3dbl_2", 384, 3),
            (("branch3x3dbl_3a", 384, wide), ("branch3x3dbl_3b", 384, high)),
        ],
    )
    return Mixed(channels_in, branches, pool, 192)


def _halving(channels_in, *branches):
    """Return a block that halves its grid."""
    return Mixed(channels_in, branches, "half")


class Inception(nn.Module):
    """The network; :meth:`features` is what the FID compares."""

    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3, padding=0)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3)
        self.Conv2d_3b_1x1 = Convolution(64, 80)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3, padding=0)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _five(192, 32), _five(256, 64), _five(288, 64)
        self.Mixed_6a = _halving(
            288,
            [("branch3x3", 384, 3, 2)],
            [("branch3x3dbl_1", 64), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3, 2)],
        )
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = _six(128), _six(160), _six(160), _six(192)
        self.Mixed_7a = _halving(
            768,
            [("branch3x3_1", 192), ("branch3x3_2", 320, 3, 2)],
            [
                ("branch7x7x3_1", 192),
                ("branch7x7x3_2", 192, (1, 7)),
                ("branch7x7x3_3", 192, (7, 1)),
                ("branch7x7x3_4", 192, 3, 2),
            ],
        )
        self.Mixed_7b, self.Mixed_7c = _seven(1280, "mean"), _seven(2048, "max")
        self.fc = nn.Linear(DIMENSIONS, 1008)

    def features(self, images):
        """Return float32 features (batch, 2048) of uint8 images (batch, height, width, 1 or 3); grey becomes RGB."""
        x = images.permute(0, 3, 1, 2).to(self.fc.weight.dtype)
        x = (resize(x.expand(-1, 3, -1, -1), SIDE) - 128) / 128
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3))


def resize(images, side):
    """Return float images (batch, channels, height, width) scaled to `side` x `side` as TensorFlow 1 does.

    Bilinear with corners not aligned and no half-pixel shift: output pixel i lies at i * in / out of the input. Beyond
    the last pixel the last pixel repeats.
    """
    for axis in (3, 2):
        length = images.shape[axis]
        place = torch.arange(side, device=images.device, dtype=torch.float32) * (length / side)
        below = place.long()
        above = (below + 1).clamp_max(length - 1)
        share = (place - below).to(images.dtype).view((-1,) + (1,) * (3 - axis))
        low, high = images.index_select(axis, below), images.index_select(axis, above)
        images = low + (high - low) * share
    return images


def check(path, sha256=SHA256):
    """Raise ValueError unless the file at `path` has this SHA-256 (hex)."""
    if not os.path.isfile(path):
        raise ValueError(f"{path}: no such file; download {URL} and put it there")
    actual = digest(path)
    if actual != sha256:
        raise ValueError(f"{path}: SHA-256 {actual}, not {sha256}; download {URL} and put it there")


def load(path, where, sha256=SHA256):
    """Return the network with the weights at `path`, in eval mode, its parameters frozen, on device `where`.

    Nothing in the file is executed.

    Raises
    ------
    ValueError
        If the file has another SHA-256 or does not hold these weights.
    """
    check(path, sha256)
    network = Inception()
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch has no one error for files that are not its own
        raise ValueError(f"{path}: not the weights of Inception ({str(error).splitlines()[0]})") from None
    if torch.device(where).type == "cpu":
        network = network.to(memory_format=torch.channels_last)  # a third faster there
    return network.to(where).eval().requires_grad_(False)
