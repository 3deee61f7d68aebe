"""How fast training images are read in random order and in how much memory, beside np.load and webdataset.

    python benchmarks/reading.py                    # 200,000 CIFAR-sized images, 5 rounds, and a 50 GB sparse file
    python benchmarks/reading.py --folder DIR       # keep the data there for the next time

All variants give the same images as uint8 tensors in batches of 1024, shuffled: np.load holds all and permutes them,
the reader and webdataset (tar files of raw arrays) shuffle within 65,536. Each is measured in a process of its own, in
torch one thread: from its start to the first batch, then, after all images were met once, images per second. The files
are in the page cache by then, so this is what the programs cost and not what a disk gives. Each round runs all
variants and a training step one after the other; ratios are taken within a round. Memory is the peak of the process,
worker processes included. 50 GB are shards whose pixels are holes in the file: they cost memory like any others.
webdataset and zstd are left out where the packages are missing: pip install webdataset hdf5plugin.
"""

import argparse
import io
import json
import os
import platform
import statistics
import tarfile
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata, util
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import psutil
import torch
from machine import processor
from torch.nn import functional as F

from robustlaws.data import shards
from robustlaws.data.sample_order import WINDOW, permutation
from robustlaws.data.shard_reader import Part, Reader
from robustlaws.networks import wrn, wrn_flops
from robustlaws.settings import Architecture
from robustlaws.training import trades

SHARDS, SPARSE_IMAGES = 4, 1_020_000  # files of each layout; images of a sparse file
SHAPE, PIXELS = (32, 32, 3), 32 * 32 * 3
PAPER_FLOPS, PAPER_SMALLEST = 200e12, (28, 4)  # a GPU's FLOP/s and the smallest model (spec/interop.md 4b)
PEERS = "np.load, whole npz", "webdataset"


def generated(images):
    """Yield (images, labels) of each shard: smooth colours with a little grain."""
    generator = torch.Generator().manual_seed(0)
    for part in np.array_split(np.arange(images), SHARDS):
        made = np.empty((len(part), *SHAPE), np.uint8)
        for start in range(0, len(part), 5000):
            some = made[start : start + 5000]
            smooth = F.interpolate(torch.rand(len(some), 3, 4, 4, generator=generator), size=32, mode="bicubic")
            grain = torch.randn(smooth.shape, generator=generator) * 0.02
            some[:] = ((smooth + grain).clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
        yield made, torch.randint(10, (len(part),), generator=generator).numpy()


def prepare(folder, images, gigabytes):
    """Write the same images in every form that `folder` lacks."""
    done = folder / f"{images}-{gigabytes}.json"
    if done.exists():
        return
    everything = list(generated(images))
    for layout in ("contiguous", "chunked", *(["zstd"] if util.find_spec("hdf5plugin") else [])):
        (folder / layout).mkdir(parents=True, exist_ok=True)
        for number, (pixels, labels) in enumerate(everything):
            shards.write(folder / layout / f"{number}.h5", pixels, labels, {}, layout=layout)
    (folder / "tar").mkdir(exist_ok=True)
    for number, (pixels, labels) in enumerate(everything):
        with tarfile.open(folder / "tar" / f"{number}.tar", "w") as tar:
            for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
                for name, content in (("raw", image.tobytes()), ("cls", str(label).encode())):
                    about = tarfile.TarInfo(f"{number}-{index:07d}.{name}")
                    about.size = len(content)
                    tar.addfile(about, io.BytesIO(content))
    pixels, labels = (np.concatenate(part) for part in zip(*everything, strict=True))
    np.savez(folder / "all.npz", image=pixels, label=labels)
    for name, size in (("sparse 1 GB", 1), ("sparse", gigabytes)):
        (folder / name).mkdir(exist_ok=True)
        per_file = min(SPARSE_IMAGES, int(size * 1e9 / PIXELS))
        for number in range(-(-int(size * 1e9) // (PIXELS * per_file))):
            holes(folder / name / f"{number:03d}.h5", per_file)
    done.write_text("{}")


def holes(path, images):
    """Write a shard of `images` black images of class 0, with right digests, whose pixels take no room on the disk."""
    shards.write(path, np.zeros((1, *SHAPE), np.uint8), np.zeros(1, int), {})
    about = shards.attributes(path)
    digest = shards.digests(np.zeros((1, *SHAPE), np.uint8), np.zeros(1, int))
    with h5py.File(path, "w") as file:
        for name, shape, kind in (("image", (images, *SHAPE), "u1"), ("label", (images,), "<i8")):
            file.create_dataset(name, shape, kind, fill_time="never")[-1] = 0  # allocates the whole
        file.create_dataset("digest", data=digest.repeat(images))
        file.attrs.update(about)


def ours(folder, layout, batch, verify=True):
    """Yield batches of our reader."""
    paths = tuple(sorted((folder / layout).glob("*.h5")))
    images = sum(shards.length(path) for path in paths)
    reading = Reader([Part(paths, images, images)], (1, "order"), verify=verify)
    for number in count():
        yield reading.at(number * batch, batch)


def whole_npz(folder, batch):
    """Yield batches of arrays that are held whole."""
    with np.load(folder / "all.npz") as archive:
        images, labels = torch.from_numpy(archive["image"]), torch.from_numpy(archive["label"])
    for turn in count():
        order = permutation(len(labels), 1, turn)
        for start in range(0, len(order) - batch + 1, batch):
            chosen = order[start : start + batch]
            yield images.index_select(0, chosen), labels.index_select(0, chosen)


def tar_files(folder, batch, workers=0):
    """Yield batches of webdataset with a shuffle buffer as large as our window."""
    import webdataset

    dataset = (
        webdataset.WebDataset(
            sorted(str(path) for path in (folder / "tar").glob("*.tar")), shardshuffle=SHARDS, seed=1, empty_check=False
        )
        .repeat()
        .shuffle(WINDOW, initial=WINDOW)
        .to_tuple("raw", "cls")
        .map_tuple(_image, int)
        .batched(batch, collation_fn=_stacked)
    )
    yield from webdataset.WebLoader(dataset, batch_size=None, num_workers=workers) if workers else dataset


def _image(raw):
    return np.frombuffer(raw, np.uint8).reshape(SHAPE)


def _stacked(samples):
    images, labels = zip(*samples, strict=True)
    return torch.from_numpy(np.stack(images)), torch.tensor(labels)


def variants(gigabytes):
    """Return name -> function (folder, batch) that yields batches."""
    results = {
        "reader, contiguous": lambda *a: ours(a[0], "contiguous", a[1]),
        "reader, contiguous, not verified": lambda *a: ours(a[0], "contiguous", a[1], verify=False),
        "reader, chunked": lambda *a: ours(a[0], "chunked", a[1]),
        "reader, zstd": lambda *a: ours(a[0], "zstd", a[1]),
        "reader, 1 GB sparse file": lambda *a: ours(a[0], "sparse 1 GB", a[1]),
        f"reader, {gigabytes} GB sparse file": lambda *a: ours(a[0], "sparse", a[1]),
        PEERS[0]: whole_npz,
        PEERS[1]: tar_files,
        "webdataset, 1 worker process": lambda *a: tar_files(*a, workers=1),
    }
    missing = [
        word for word, package in (("zstd", "hdf5plugin"), ("webdataset", "webdataset")) if not _version(package)
    ]
    return {name: make for name, make in results.items() if not any(word in name for word in missing)}


def measure(name, gigabytes, folder, images, batch, passes):
    """Return what reading costs, in the process that calls this: seconds, images per second, bytes at the peak."""
    torch.set_num_threads(1)
    begun = time.perf_counter()
    batches = variants(gigabytes)[name](folder, batch)
    got, labels = next(batches)
    first = time.perf_counter() - begun
    if (got.shape, got.dtype, labels.shape, labels.dtype) != ((batch, *SHAPE), torch.uint8, (batch,), torch.int64):
        raise RuntimeError(f"{name}: gives {got.dtype} {tuple(got.shape)} and {labels.dtype} {tuple(labels.shape)}")
    for _ in range(images // batch):
        next(batches)
    steps = passes * images // batch
    begun, used = time.perf_counter(), time.process_time()
    for _ in range(steps):
        next(batches)
    took, used = time.perf_counter() - begun, time.process_time() - used
    workers = psutil.Process().children(recursive=True)
    return {
        "first": first,
        "images_per_second": steps * batch / took,
        "cpu_seconds": None if "worker" in name else used / (steps * batch),
        "peak": sum(_peak(process.pid) for process in (psutil.Process(), *workers)),
    }


def _peak(process):
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:  # a helper that has ended
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def consumed(batch=64):
    """Return the images per second that a WRN-10-2 is trained with here, one thread, 10 attack steps."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = wrn.build(Architecture(10, 2, 10, 3, 32, (0.49, 0.48, 0.45), (0.25, 0.24, 0.26))).train()
    network.to(memory_format=torch.channels_last)
    x, noise = torch.rand(batch, 3, 32, 32), torch.rand(batch, 3, 32, 32) * 2 - 1
    x, y = x.contiguous(memory_format=torch.channels_last), torch.randint(10, (batch,))
    times = []
    for _ in range(4):
        begun = time.perf_counter()
        step = trades.step(
            network, x, y, noise, epsilon=8 / 255, step_size=2 / 255, attack_steps=10, beta=5.0, label_smoothing=0.1
        )
        step.loss.backward()
        network.zero_grad()
        times.append(time.perf_counter() - begun)
    return batch / statistics.median(times[1:])


def apart(function, *given):
    """Return what `function` returns in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *given).result()


def compare(folder, images, batch, passes, rounds, gigabytes):
    """Return a row for each variant: medians, and ratios within a round with their spread."""
    names = list(variants(gigabytes))
    results, trained = {name: [] for name in names}, []
    for _ in range(rounds):
        trained.append(apart(consumed))
        for name in names:
            results[name].append(apart(measure, name, gigabytes, folder, images, batch, passes))
    rates = {name: [item["images_per_second"] for item in results[name]] for name in names}
    rows = []
    for name in names:
        row = {"variant": name, "times training": _ratios(rates[name], trained)}
        for key in ("first", "images_per_second", "cpu_seconds"):
            row[key] = statistics.median(item[key] for item in results[name]) if results[name][0][key] else None
        row["peak"] = max(item["peak"] for item in results[name])
        for peer in PEERS:
            row[f"times {peer}"] = _ratios(rates[name], rates[peer]) if peer in rates else None
        rows.append(row)
    return {"images": images, "batch": batch, "rounds": rounds, "trained": statistics.median(trained), "rows": rows}


def _ratios(ours, theirs):
    ratios = [item / other for item, other in zip(ours, theirs, strict=True)]
    return [statistics.median(ratios), min(ratios), max(ratios)]


def show(result, about):
    """Print the comparison as a table."""
    print(f"\n{result['images']:,} images of 32x32x3, batch {result['batch']}, n = {result['rounds']} rounds; {about}")
    print("| | first batch, s | images/s | CPU, us an image | peak, MB | x np.load | x webdataset | x training |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in result["rows"]:
        ratios = []
        for key in (*PEERS, "training"):
            ratio = row[f"times {key}"]
            ratios.append("{} ({} to {})".format(*map(_short, ratio)) if ratio else "-")
        used = f"{1e6 * row['cpu_seconds']:.1f}" if row["cpu_seconds"] else "-"
        print(
            f"| {row['variant']} | {row['first']:.2f} | {row['images_per_second']:,.0f} | {used} |"
            f" {row['peak'] / 1e6:,.0f} | {' | '.join(ratios)} |"
        )
    print(f"\ntraining: WRN-10-2 at 32x32, one CPU thread, 10 attack steps: {result['trained']:.0f} images/s")
    needed = PAPER_FLOPS / (wrn_flops.passes_per_step(10) * wrn_flops.wrn_forward_flops(*PAPER_SMALLEST, 32))
    print(
        f"by arithmetic, not measured: a GPU at {PAPER_FLOPS / 1e12:.0f} TFLOP/s trains the paper's smallest model,"
        f" WRN-{PAPER_SMALLEST[0]}-{PAPER_SMALLEST[1]}, with {needed:,.0f} images/s"
    )


def _short(ratio):
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2g}"


def main():
    """Run the comparison that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--passes", type=int, default=2, help="over the images, timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gigabytes", type=int, default=50, help="size of the sparse file; 0.3 %% of it on the disk")
    parser.add_argument("--folder", type=Path, help="for the data (6 times its size); a temporary one if not given")
    parser.add_argument("--out", help="JSON file to write")
    settings = parser.parse_args()
    packages = ("torch", "numpy", "h5py", "webdataset", "hdf5plugin")
    versions = ", ".join(f"{name} {_version(name) or 'missing'}" for name in packages)
    about = f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"
    with tempfile.TemporaryDirectory() as temporary:
        folder = settings.folder or Path(temporary)
        prepare(folder, settings.images, settings.gigabytes)
        result = compare(folder, settings.images, settings.batch, settings.passes, settings.rounds, settings.gigabytes)
    show(result, about)
    if settings.out:
        Path(settings.out).write_text(json.dumps({"about": about, **result}, indent=2) + "\n")


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
