"""Our TRADES step side by side with a straightforward one: same network, batch and threads, paired ratios.

    python benchmarks/training.py                                   # CPU, one thread, WRN-28-4, batch 16
    python benchmarks/training.py --device cuda --model 28-4 28-12 82-12 --batch 1024

The reference does what a first implementation does: NCHW, float32 (TF32 on a GPU), no compilation, and an
inner attack that calls backward() with the parameters' gradients on. `reference, input gradient only` is the
same with autograd.grad on the input, as the paper's code has it. Each round runs all variants one after the
other; a ratio is taken within a round, so a machine whose speed drifts does not spoil it. The share of the
peak is of a plain matrix product of the same precision, measured here too. Attacked pixels are compared with
the reference in either layout: the network timed is untrained, its gradients are small, and another order of
sums (NCHW against NHWC) turns the sign of some. The last line compares them on the recorded trained network.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from machine import processor
from torch.nn import functional as F

from robustlaws.networks import wrn, wrn_flops
from robustlaws.runtime import device
from robustlaws.settings import Architecture
from robustlaws.training import trades

EPSILON, STEP_SIZE, STEPS, BETA, SMOOTHING = 8 / 255, 2 / 255, 10, 5.0, 0.1
RECORDED = Path(__file__).parents[1] / "tests/reference/data"
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)


def reference_step(network, x, y, noise, through_parameters):
    """One TRADES step as a first implementation has it; return (loss, attacked images)."""
    norms = wrn.batchnorms(network)
    for module in norms:
        module.track_running_stats = False
    with torch.no_grad():
        p = F.softmax(network(x), 1)
    attacked = (x + EPSILON * noise).clamp(0, 1)
    for _ in range(STEPS):
        attacked = attacked.detach().requires_grad_(True)
        kl = F.kl_div(F.log_softmax(network(attacked), 1), p, reduction="batchmean")
        if through_parameters:
            kl.backward()
            gradient = attacked.grad
        else:
            (gradient,) = torch.autograd.grad(kl, attacked)
        attacked = attacked.detach() + STEP_SIZE * gradient.sign()
        attacked = torch.min(torch.max(attacked, x - EPSILON), x + EPSILON).clamp(0, 1)
    for module in norms:
        module.track_running_stats = True
    network.zero_grad()
    z, z_attacked = network(x), network(attacked)
    kl = F.kl_div(F.log_softmax(z_attacked, 1), F.softmax(z, 1), reduction="batchmean")
    return F.cross_entropy(z, y, label_smoothing=SMOOTHING) + BETA * kl, attacked


def our_step(network, x, y, noise, reuse):
    """One step of ours; return (loss, attacked images)."""
    step = trades.step(
        network, x, y, noise, epsilon=EPSILON, step_size=STEP_SIZE, attack_steps=STEPS, beta=BETA,
        label_smoothing=SMOOTHING, reuse_clean_pass=reuse,
    )  # fmt: skip
    return step.loss, step.attacked


# name -> (step, channels-last, precision, compiled)
VARIANTS = {
    "reference": (lambda *a: reference_step(*a, True), False, "float32", False),
    "reference, input gradient only": (lambda *a: reference_step(*a, False), False, "float32", False),
    "reference, input gradient only, NHWC": (lambda *a: reference_step(*a, False), True, "float32", False),
    "ours, clean pass twice": (lambda *a: our_step(*a, False), True, "float32", False),
    "ours": (lambda *a: our_step(*a, True), True, "float32", False),
    "ours, bfloat16": (lambda *a: our_step(*a, True), True, "bfloat16", False),
    "ours, compiled": (lambda *a: our_step(*a, True), True, "float32", True),
    "ours, bfloat16, compiled": (lambda *a: our_step(*a, True), True, "bfloat16", True),
}


class Variant:
    """One way to make the step, with a network and a batch of its own layout."""

    def __init__(self, name, depth, width, batch, where):
        self.step, channels_last, precision, compiled = VARIANTS[name]
        torch.manual_seed(0)
        network = wrn.build(Architecture(depth, width, 10, 3, 32, MEAN, STD)).to(where).train()
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(memory_format=layout)
        self.network.precision = precision
        self.forward = device.compiled(self.network, compiled)
        generator = torch.Generator().manual_seed(1)
        smooth = F.interpolate(torch.rand(batch, 3, 4, 4, generator=generator), size=32, mode="bicubic").clamp(0, 1)
        self.x = smooth.to(where).contiguous(memory_format=layout)
        self.y = torch.randint(10, (batch,), generator=generator).to(where)
        self.noise = (torch.rand(batch, 3, 32, 32, generator=generator) * 2 - 1).to(where)
        self.where = where

    def seconds(self):
        """Make one step; return how long it took. Keeps the attacked images of the last one."""
        _wait(self.where)
        begun = time.perf_counter()
        loss, attacked = self.step(self.forward, self.x, self.y, self.noise)
        loss.backward()
        _wait(self.where)
        took = time.perf_counter() - begun
        self.network.zero_grad()
        self.attacked = attacked.detach().cpu().contiguous()
        return took


def _wait(where):
    if where.type == "cuda":
        torch.cuda.synchronize()


def peak(where, precision):
    """Return the FLOP/s of a plain square matrix product in `precision`."""
    size = 8192 if where.type == "cuda" else 2048
    a, b = (torch.randn(size, size, device=where, dtype=getattr(torch, precision)) for _ in range(2))
    times = []
    for _ in range(8):
        _wait(where)
        begun = time.perf_counter()
        a @ b
        _wait(where)
        times.append(time.perf_counter() - begun)
    return 2 * size**3 / min(times)


def compare(model, batch, names, rounds, where):
    """Return a row for each variant: seconds, ratio to each reference, share of the peak, pixels equal."""
    depth, width = map(int, model.split("-"))
    variants = {name: Variant(name, depth, width, batch, where) for name in names}
    for variant in variants.values():
        for _ in range(2):  # the second: a compiled step has a graph for the first one's BatchNorm momentum too
            variant.seconds()
    # after one step the statistics have moved alike; the pixels of one more step are compared
    first = {name: variant.attacked for name, variant in variants.items()}
    times = {name: [] for name in names}
    for _ in range(rounds):
        for name, variant in variants.items():
            times[name].append(variant.seconds())
    forward = wrn_flops.wrn_forward_flops(depth, width, 32)
    peaks = {precision: peak(where, precision) for precision in ("float32", "bfloat16")}
    rows = []
    for name in names:
        passes = wrn_flops.passes_per_step(STEPS, target_pass=not name.startswith("ours") or "twice" in name)
        median = statistics.median(times[name])
        row = {"variant": name, "seconds": median, "fastest": min(times[name]), "images_per_second": batch / median}
        for reference in names[:2]:
            pairs = [slow / fast for slow, fast in zip(times[reference], times[name], strict=True)]
            row[f"times {reference}"] = statistics.median(pairs)
            row[f"times {reference}, spread"] = [min(pairs), max(pairs)]
        row["share_of_peak"] = passes * forward * batch / median / peaks[VARIANTS[name][2]]
        for key, other in (("pixels_equal", names[0]), ("pixels_equal_nhwc", names[2])):
            row[key] = float(((first[name] - first[other]).abs() < 1e-6).double().mean())
        rows.append(row)
    return {"model": model, "batch": batch, "rounds": rounds, "peak_flops": peaks, "rows": rows}


def agreement():
    """Return the share of attacked pixels on which ours and the reference (NCHW) agree on a trained network."""
    archive = np.load(RECORDED / "wrn_tiny.npz", allow_pickle=False)
    weights = {key[2:]: torch.from_numpy(archive[key]) for key in archive.files if key.startswith("w.")}
    step = np.load(RECORDED / "trades_step.npz", allow_pickle=False)
    x, y, noise = (torch.from_numpy(step[key]) for key in ("x", "y", "noise"))
    made = []
    for name in ("reference", "ours"):
        network = wrn.WideResNet(10, 2, 10, 3, MEAN, STD)
        network.load_state_dict(weights)
        layout = torch.channels_last if VARIANTS[name][1] else torch.contiguous_format
        network.to(memory_format=layout).train()
        made.append(VARIANTS[name][0](network, x.contiguous(memory_format=layout), y.long(), noise / EPSILON)[1])
    return float(((made[0] - made[1]).abs() < 1e-6).double().mean())


def show(result, about):
    """Print one comparison as a table."""
    print(f"\nWRN-{result['model']}, batch {result['batch']}, n = {result['rounds']} rounds; {about}")
    peaks = ", ".join(f"{name} {value / 1e12:.3g} TFLOP/s" for name, value in result["peak_flops"].items())
    print(f"matrix product: {peaks}")
    print("| step | s (median) | images/s | x reference | x input gradient only | of peak | pixels as NCHW | as NHWC |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in result["rows"]:
        ratios = []
        for name in list(VARIANTS)[:2]:
            low, high = row[f"times {name}, spread"]
            ratios.append(f"{row[f'times {name}']:.2f} ({low:.2f} to {high:.2f})")
        print(
            f"| {row['variant']} | {row['seconds']:.4g} | {row['images_per_second']:.4g} | {ratios[0]} | {ratios[1]} |"
            f" {100 * row['share_of_peak']:.0f} % | {100 * row['pixels_equal']:.3f} % |"
            f" {100 * row['pixels_equal_nhwc']:.3f} % |"
        )


def main():
    """Run the comparison that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--model", nargs="+", default=["28-4"], help="WideResNet depth-width")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="also the compiled steps (always with cuda)")
    parser.add_argument("--out", help="JSON file to write")
    settings = parser.parse_args()
    where = device.prepare(settings.threads, settings.device == "cuda")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    compiled = settings.compile or settings.device == "cuda"
    names = [name for name in VARIANTS if compiled or "compiled" not in name]
    if where.type == "cuda":
        about = f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    else:
        about = f"{processor()}, {settings.threads} thread(s), torch {torch.__version__}"
    results = []
    for model in settings.model:
        results.append(_at_most(settings.batch, model, names, settings.rounds, where))
        show(results[-1], about)
    if RECORDED.exists():
        print(
            f"\nattacked pixels equal on the recorded trained WRN-10-2, NCHW reference against ours: {agreement():.4%}"
        )
    if settings.out:
        Path(settings.out).write_text(json.dumps({"about": about, "results": results}, indent=2) + "\n")


def _at_most(batch, model, names, rounds, where):
    """Return the comparison at the largest batch, halved from `batch`, that every variant can hold."""
    try:
        return compare(model, batch, names, rounds, where)
    except torch.OutOfMemoryError:
        print(f"WRN-{model}: batch {batch} does not fit; halving it")
    torch.cuda.empty_cache()  # outside: the error keeps the variants alive
    return _at_most(batch // 2, model, names, rounds, where)


if __name__ == "__main__":
    main()
