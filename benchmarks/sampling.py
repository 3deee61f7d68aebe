"""Our EDM sampler side by side with a straightforward loop: same network, draws, steps and batch, paired ratios.

    python benchmarks/sampling.py                                      # CPU, one thread, a small DDPM++, batch 8
    python benchmarks/sampling.py --device cuda --full --batch 512 --compile

The plain loop does what a first implementation does: NCHW, the network in eager float32 called twice a step,
noise levels that are Python floats, the state in float64 as published. Ours is what a sampling job calls,
`Sampler.batch`, in either memory layout, and compiled with --compile; both are timed from the draws to uint8 on
the CPU, in full float32. Each round runs all variants one after the other; a ratio is taken within a round, so a
machine whose speed drifts does not spoil it. The first batch of each is not timed: its pixel values are compared
with those of the plain loop. The network is untrained, with random weights in its last layers too, so that its
output matters: it amplifies rounding as it likes, and a trained one is calmer.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from machine import processor
from torch.nn.functional import one_hot

from robustlaws.generators import edm, network_files
from robustlaws.generators.latents import Draws
from robustlaws.networks import ddpmpp
from robustlaws.runtime import device
from robustlaws.settings import Compute, Network, Sampling

SIGMA_MIN, SIGMA_MAX, RHO, CLASSES, SIZE = 0.002, 80.0, 7.0, 10, 32
# The shape of the published conditional CIFAR-10 network, and a small one of the same kind.
FULL = {"model_channels": 128, "num_blocks": 4, "augment_dim": 9}
SMALL = {"model_channels": 32, "num_blocks": 2, "augment_dim": 0}
PLAIN = "plain loop"
# name -> (memory layout, compiled)
OURS = {
    "ours, NCHW": (torch.contiguous_format, False),
    "ours, NHWC": (torch.channels_last, False),
    "ours, NCHW, compiled": (torch.contiguous_format, True),
    "ours, NHWC, compiled": (torch.channels_last, True),
}


def untrained(shape):
    """Return a network of random weights, those of the last layers too."""
    settings = Network(
        img_resolution=SIZE, in_channels=3, out_channels=3, label_dim=CLASSES, channel_mult=(2, 2, 2),
        channel_mult_emb=4, attn_resolutions=(16,), dropout=0.13, label_dropout=0, embedding_type="positional",
        channel_mult_noise=1, encoder_type="standard", decoder_type="standard", resample_filter=(1, 1), **shape,
    )  # fmt: skip
    torch.manual_seed(0)
    network = ddpmpp.Preconditioned(ddpmpp.build(settings), 0.5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    return network


def plain_batch(network, indices, settings, where):
    """Return the images of `indices`, uint8 (batch, height, width, channels), as a first implementation makes them."""
    draws, steps = Draws(indices, settings), settings.steps
    x = draws.normal().to(where).double() * SIGMA_MAX
    onehot = one_hot(draws.labels().to(where), CLASSES).float()
    low, high = SIGMA_MIN ** (1 / RHO), SIGMA_MAX ** (1 / RHO)
    levels = [*((high + i / (steps - 1) * (low - high)) ** RHO for i in range(steps)), 0.0]

    def slope(x, level):
        denoised = network(x, torch.full((len(x),), level, device=where), onehot)
        return (x - denoised.double()) / level

    with torch.no_grad():
        for here, there in pairwise(levels):
            first = slope(x, here)
            ahead = x + (there - here) * first
            if there > 0:
                ahead = x + (there - here) * (first + slope(ahead, there)) / 2
            x = ahead
        return (x * 127.5 + 128).clip(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


class Variants:
    """All ways to make a batch, of the same weights; `names` in the order of the table."""

    def __init__(self, shape, steps, batch, compiled, where):
        self.settings = Sampling(
            dataset="benchmark", generator="benchmark", sampler="edm", steps=steps, sigma_min=SIGMA_MIN,
            sigma_max=SIGMA_MAX, rho=RHO, seed=0, labels="balanced", classes=CLASSES, image_size=SIZE, channels=3,
            first=0, count=batch, batch=batch,
        )  # fmt: skip
        self.where, self._network = where, untrained(shape).to(where).eval().requires_grad_(False)
        self._samplers = {}
        with tempfile.TemporaryDirectory() as folder:
            files = {"network": Path(folder) / "network.json", "weights": Path(folder) / "network.safetensors"}
            network_files.save(*files.values(), self._network, {"kind": "edm"})
            for name, (layout, compile_it) in OURS.items():
                if compile_it and not compiled:
                    continue
                sampler = self._samplers[name] = edm.Sampler(files, self.settings, where)
                sampler.layout, sampler.network = layout, sampler.network.to(memory_format=layout)
                if compile_it:
                    sampler.compile()
        self.names = [PLAIN, *self._samplers]
        self.parameters = sum(parameter.numel() for parameter in self._network.parameters())

    def made(self, name, indices):
        """Return the images of `indices` by one variant, and the seconds that it took."""
        begun = time.perf_counter()
        if name == PLAIN:
            images = plain_batch(self._network, indices, self.settings, self.where)
        else:
            images, _ = self._samplers[name].batch(indices)
        return images, time.perf_counter() - begun  # images are on the CPU: nothing is left to wait for


def compare(variants, rounds):
    """Return a row for each variant: seconds, images per second, ratio to the plain loop, pixel values that differ."""
    batch = variants.settings.batch
    first = {name: variants.made(name, range(batch))[0].astype(int) for name in variants.names}
    times = {name: [] for name in variants.names}
    for number in range(1, rounds + 1):
        for name in variants.names:
            times[name].append(variants.made(name, range(number * batch, (number + 1) * batch))[1])
    rows = []
    for name in variants.names:
        off = np.abs(first[name] - first[PLAIN])
        pairs = [plain / ours for plain, ours in zip(times[PLAIN], times[name], strict=True)]
        rows.append(
            {
                "sampler": name,
                "seconds": _spread(times[name]),
                "images_per_second": _spread([batch / seconds for seconds in times[name]]),
                "times_plain": _spread(pairs),
                "differ": float((off > 0).mean()),
                "largest_difference": int(off.max()),
            }
        )
    return rows


def _spread(values):
    return [statistics.median(values), min(values), max(values)]


def show(result, about):
    """Print the comparison as a table."""
    print(
        f"\nDDPM++, {result['parameters'] / 1e6:.1f} million parameters, 3x{SIZE}x{SIZE}, {result['steps']} steps"
        f" ({2 * result['steps'] - 1} evaluations), batch {result['batch']}, n = {result['rounds']} rounds; {about}"
    )
    print("| sampler | s a batch | images/s | x plain loop | pixel values that differ | by at most |")
    print("|---|---|---|---|---|---|")
    for row in result["rows"]:
        shown = ("{:.3g} ({:.3g} to {:.3g})".format(*row[key]) for key in ("seconds", "images_per_second"))
        ratio = "{:.2f} ({:.2f} to {:.2f})".format(*row["times_plain"])
        print(
            f"| {row['sampler']} | {' | '.join(shown)} | {ratio} | {100 * row['differ']:.4f} % |"
            f" {row['largest_difference']} |"
        )


def main():
    """Run the comparison that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--full", action="store_true", help="the shape of the published conditional network")
    parser.add_argument("--steps", type=int, default=18)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="also the compiled network")
    parser.add_argument("--out", help="JSON file to write")
    settings = parser.parse_args()
    where = device.prepare_generating(Compute(gpus=int(settings.device == "cuda"), threads=settings.threads))
    hardware = device.name(where) if where.type == "cuda" else f"{processor()}, {settings.threads} thread(s)"
    about = f"{hardware}, Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}"
    variants = Variants(FULL if settings.full else SMALL, settings.steps, settings.batch, settings.compile, where)
    result = {
        "parameters": variants.parameters,
        "steps": settings.steps,
        "batch": settings.batch,
        "rounds": settings.rounds,
    }
    result["rows"] = compare(variants, settings.rounds)
    show(result, about)
    if settings.out:
        Path(settings.out).write_text(json.dumps({"about": about, **result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
