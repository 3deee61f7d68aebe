"""The layouts of a shard side by side: size, writing, reading in order and at random, checking.

    python benchmarks/layouts.py results/cifar/data/train.h5 --rounds 5

Writes the images of the given shard in every layout and prints a Markdown table: the median of the rounds, in each of
which all layouts take their turn. Files are in the page cache: this is what the formats cost, not what a disk gives.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from robustlaws.data import shards, verify

COLUMNS = ("write", "read whole", "read 1024", "read 1", "verify")  # images per second each


def timed(work, images):
    """Return images per second of `work`, which handles `images`."""
    start = time.perf_counter()
    work()
    return images / (time.perf_counter() - start)


def measure(path, layout, images, labels, random):
    """Write, read and check one file; return images per second by column, the bytes of the file."""
    count, result = len(labels), {}
    result["write"] = timed(lambda: shards.write(path, images, labels, {}, layout), count)
    result["read whole"] = timed(lambda: shards.read(path), count)
    for size, times in ((1024, 20), (1, 100)):
        starts = random.integers(0, count - size, times).tolist()

        def ranges(starts=starts, size=size):
            with shards.opened(path) as file:
                for start in starts:
                    shards.values(file, path, start, start + size)

        result[f"read {size}"] = timed(ranges, size * times)
    result["verify"] = timed(lambda: verify.check(path), count)
    return result, path.stat().st_size


def main():
    parser = argparse.ArgumentParser(description="Compare the layouts of a shard.")
    parser.add_argument("shard", help="whose images to write; 2,000 at least")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    images, labels = shards.read(arguments.shard)
    random, speeds, sizes = np.random.default_rng(0), defaultdict(list), {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            for layout in shards.LAYOUTS:
                result, sizes[layout] = measure(Path(folder) / "shard.h5", layout, images, labels, random)
                speeds[layout].append(result)
    shape = "x".join(map(str, images.shape[1:]))
    print(f"{len(labels):,} images of {shape}, {images.nbytes / 1e6:.0f} MB of pixels; images/s\n")
    print(f"| layout | MB | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 2)}")
    for layout, rounds in speeds.items():
        medians = (statistics.median(item[column] for item in rounds) for column in COLUMNS)
        print(f"| {layout} | {sizes[layout] / 1e6:.1f} | {' | '.join(f'{value:,.0f}' for value in medians)} |")


if __name__ == "__main__":
    main()
