"""RobustBench's side, written from its rules alone: the layout of its DMWideResNet and what its loader does.

Source: spec/interop.md 4a; spec/training.md 1. Shares no code with `robustlaws.networks`.
"""

import torch
from torch import nn


class ZooBlock(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.batchnorm_0, self.batchnorm_1 = nn.BatchNorm2d(n_in), nn.BatchNorm2d(n_out)
        self.conv_0 = nn.Conv2d(n_in, n_out, 3, stride, 0, bias=False)
        self.conv_1 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        if n_in != n_out:
            self.shortcut = nn.Conv2d(n_in, n_out, 1, stride, 0, bias=False)
        self.pad = nn.ZeroPad2d((1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1))
        self.act = nn.SiLU()

    def forward(self, x):
        out = self.act(self.batchnorm_0(x))
        kept = self.shortcut(out) if hasattr(self, "shortcut") else x
        out = self.conv_1(self.act(self.batchnorm_1(self.conv_0(self.pad(out)))))
        return kept + out


class ZooNet(nn.Module):
    def __init__(self, depth, width, num_classes=10, num_input_channels=3, mean=(0.0,), std=(1.0,)):
        super().__init__()
        n = (depth - 4) // 6
        sizes = [16, 16 * width, 32 * width, 64 * width]
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).reshape(-1, 1, 1), persistent=False)
        self.init_conv = nn.Conv2d(num_input_channels, 16, 3, 1, 1, bias=False)
        self.layer = nn.Sequential()
        for g in range(3):
            group = nn.Module()
            group.block = nn.Sequential(
                *(
                    ZooBlock(sizes[g] if i == 0 else sizes[g + 1], sizes[g + 1], 2 if g and i == 0 else 1)
                    for i in range(n)
                )
            )
            self.layer.append(group)
        self.batchnorm = nn.BatchNorm2d(sizes[3])
        self.logits = nn.Linear(sizes[3], num_classes)

    def forward(self, x):
        out = self.init_conv((x - self.mean) / self.std)
        for group in self.layer:
            out = group.block(out)
        out = nn.functional.silu(self.batchnorm(out))
        return self.logits(nn.functional.adaptive_avg_pool2d(out, 1).flatten(1))


def load(path, network):
    """Load as the zoo does: `state_dict` or bare, strip `module.` and `model.`, strictly."""
    content = torch.load(path, map_location=torch.device("cpu"))
    state = content.get("state_dict", content)
    for part in ("module.", "model."):
        # as there: the part may stand anywhere in the key, but the front is cut
        state = {key[len(part) :] if part in key else key: tensor for key, tensor in state.items()}
    network.load_state_dict(state, strict=True)
    return network.eval()
