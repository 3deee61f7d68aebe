"""The reader: every pass meets all draws once, from anywhere, in any process, in a memory that does not grow."""

import os
import pickle
import subprocess
import sys
from itertools import accumulate, chain
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from robustlaws.data import shard_reader, shards
from robustlaws.data.sample_order import Order, permutation
from robustlaws.data.shard_reader import Part, Reader, split
from tests.support.training_runs import training_settings

ROOT = Path(__file__).parents[3]


def numbered(start, count):
    """Return images that say in their four bytes which number they have; the label is the number too."""
    labels = np.arange(start, start + count)
    return labels.astype("<u4").view(np.uint8).reshape(count, 2, 2, 1), labels


def stored(folder, sizes, start=0, layout="contiguous"):
    """Return the paths of shards of these sizes, with images numbered through from `start`."""
    paths = []
    for first, size in zip(accumulate([start, *sizes]), sizes, strict=False):
        paths.append(folder / f"{first:06d}.h5")
        shards.write(paths[-1], *numbered(first, size), {}, layout=layout)
    return paths


def met(reading, position, count):
    """Return the numbers of the images at a position; image and label must be of one number."""
    images, labels = reading.at(position, count)
    assert images.dtype == torch.uint8
    assert images.shape == (count, 2, 2, 1)
    assert np.array_equal(images.numpy().reshape(count, 4).view("<u4")[:, 0], labels.numpy())
    return labels.tolist()


@st.composite
def orders(draw):
    length, window = draw(st.integers(1, 400)), draw(st.integers(1, 150))
    return Order(length, draw(st.integers(0, 5)), "x", window=window, block=draw(st.integers(1, 40)))


def whole_pass(order, turn):
    """Return a pass as its windows say it, one after the other."""
    results, key = [], (turn, 0)
    while key[0] == turn:
        kept = np.concatenate([np.arange(*item) for item in order.ranges(key)])
        results += [kept[order.inside(key).numpy()].tolist()]
        key = order.after(key)
    return results


@given(order=orders(), turn=st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_reader_order_permutes_within_windows(order, turn):
    windows = whole_pass(order, turn)
    assert sorted(chain(*windows)) == list(range(order.length))
    assert len(windows) == order.windows
    place = 0
    for number, window in enumerate(windows):
        for within in range(len(window)):
            assert order.locate(turn * order.length + place) == ((turn, number), within)
            place += 1


@given(length=st.integers(1, 100), spare=st.integers(0, 50), seed=st.integers(0, 9), turn=st.integers(0, 3))
@settings(max_examples=50, deadline=None)
def test_in_one_window_the_order_is_the_plain_permutation(length, spare, seed, turn):
    order = Order(length, seed, "synthetic order", window=length + spare, block=7)
    assert whole_pass(order, turn) == [permutation(length, seed, "synthetic order", turn).tolist()]


def test_windows_mix_images_from_everywhere():
    order = Order(100_000, 1, "x", window=10_000, block=100)
    first, *rest = (np.array(window) for window in whole_pass(order, 0))
    # 100 of 1000 blocks: the mean of their places has a standard deviation of 2,740
    assert abs(first.mean() - 50_000) < 4 * 2740
    assert len(set(first.tolist()) & set(whole_pass(order, 1)[0])) == pytest.approx(1000, abs=4 * 290)
    # neighbours are as far apart as in a permutation of the 10,000 places of the window
    ranks = first.argsort().argsort()
    assert np.abs(np.diff(ranks)).mean() == pytest.approx(10_000 / 3, rel=0.05)
    assert len(rest) == 9


@pytest.mark.parametrize("window", [5_000, 50_000])
def test_reader_with_replacement_matches_independent_draws(window):
    order = Order(50_000, 3, "x", replacement=True, window=window, block=50)
    drawn = np.array(list(chain(*whole_pass(order, 0))))
    times = np.bincount(np.bincount(drawn, minlength=50_000), minlength=4) / 50_000
    # Poisson(1): e^-1 of the images never and as many once, half as many twice, a sixth of that thrice
    assert len(drawn) == 50_000
    assert times[:4] == pytest.approx(np.exp(-1) / np.array([1, 1, 2, 6]), abs=0.008)


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="training.replacement: true goes with training.shuffle: true"):
        Order(10, 1, shuffle=False, replacement=True)
    with pytest.raises(ValueError, match="windows of 0"):
        Order(10, 1, window=0)


@given(data=st.data(), layout=st.sampled_from(["contiguous", "chunked", "gzip"]), verify=st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_reader_meets_what_the_order_says_from_any_position(data, layout, verify, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    parts, virtual = [], []
    for start in range(0, data.draw(st.integers(1, 3)) * 1000, 1000):
        sizes = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))
        images = data.draw(st.integers(1, sum(sizes)))
        draws = data.draw(st.integers(1, 3 * images))
        parts.append(Part(tuple(stored(folder, sizes, start, layout)), images, draws))
        virtual += [start + draw % images for draw in range(draws)]
    shape = {"window": data.draw(st.integers(1, 200)), "block": data.draw(st.integers(1, 30))}
    reading = Reader(parts, (1, "x"), **shape, verify=verify)
    assert reading.length == len(virtual)
    order = Order(len(virtual), 1, "x", **shape)
    expected = [virtual[i] for turn in range(2) for window in whole_pass(order, turn) for i in window]
    step = data.draw(st.integers(1, 90))
    results = [met(reading, at, min(step, len(expected) - at)) for at in range(0, len(expected), step)]
    assert list(chain(*results)) == expected
    assert sorted(chain(*results)) == sorted(2 * virtual)
    for _ in range(3):
        position = data.draw(st.integers(0, len(expected)))
        count = data.draw(st.integers(0, len(expected) - position))
        assert met(Reader(parts, (1, "x"), **shape), position, count) == expected[position : position + count]
        assert met(reading, position, count) == expected[position : position + count]


def test_unshuffled_images_come_as_stored_again_and_again(tmp_path):
    paths = stored(tmp_path, [30, 20])
    reading = Reader([Part(paths, 45, 100)], (1, "x"), shuffle=False, window=16, block=4)
    assert met(reading, 0, 120) == [*range(45), *range(45), *range(10), *range(20)]


def test_more_files_than_are_kept_open(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_reader, "_KEPT_OPEN", 3)
    for layout in ("contiguous", "chunked"):
        (tmp_path / layout).mkdir()
        paths = stored(tmp_path / layout, [5] * 20, layout=layout)
        before = len(os.listdir("/proc/self/fd"))
        reading = Reader([Part(paths, 100, 100)], (1, "x"), window=30, block=2)
        assert sorted(met(reading, 0, 100)) == list(range(100))
        met(reading, 170, 10)  # waits for what was read ahead
        assert len(os.listdir("/proc/self/fd")) <= before + 3


class Steps(Dataset):
    """Batches of ten for a DataLoader."""

    def __init__(self, reading, steps):
        self.reading, self.steps = reading, steps

    def __len__(self):
        return self.steps

    def __getitem__(self, step):
        return self.reading.at(10 * step, 10)


@pytest.mark.parametrize(
    ("method", "layout"), [("fork", "contiguous"), ("fork", "chunked"), ("spawn", "chunked")]
)  # a spawned worker takes seconds to import torch
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_of_a_loader_read_what_one_process_reads(tmp_path, layout, method):
    reading = Reader([Part(stored(tmp_path, [60, 60], layout=layout), 120, 120)], (1, "x"), window=40, block=4)
    expected = met(reading, 0, 300)  # and files are open, a window is held, another is being read
    loader = DataLoader(Steps(reading, 30), None, num_workers=2, multiprocessing_context=method)
    for _ in range(2 if method == "fork" else 1):
        assert torch.cat([labels for _, labels in loader]).tolist() == expected
    assert met(reading, 0, 300) == expected


def test_a_pickled_reader_goes_on(tmp_path):
    reading = Reader([Part(stored(tmp_path, [100]), 100, 100)], (1, "x"), window=40, block=4)
    expected = met(reading, 33, 120)
    assert met(pickle.loads(pickle.dumps(reading)), 33, 120) == expected


@pytest.mark.parametrize("layout", ["contiguous", "chunked"])
@pytest.mark.parametrize("offset", [0, 3])
def test_one_damaged_byte_is_named_when_it_is_read(tmp_path, layout, offset):
    good, bad = stored(tmp_path, [50, 50], layout=layout)
    content = bytearray(bad.read_bytes())
    content[content.find(numbered(73, 1)[0].tobytes()) + offset] ^= 1
    bad.write_bytes(content)
    reading = Reader([Part((good, bad), 100, 100)], (1, "x"), window=40, block=4)
    with pytest.raises(ValueError, match=f"{bad}: damaged, image 23 does not match its digest; robustlaws remake"):
        [reading.at(position, 10) for position in range(0, 100, 10)]
    trusting = Reader([Part((good, bad), 100, 100)], (1, "x"), window=40, block=4, verify=False)
    assert len(trusting.at(0, 100)[1]) == 100


def test_a_shard_cut_off_while_it_is_read_is_one_line(tmp_path):
    paths = stored(tmp_path, [50, 50])
    reading = Reader([Part(paths, 100, 100)], (1, "x"), shuffle=False)
    os.truncate(paths[1], 1000)
    with pytest.raises(
        ValueError,
        match=f"^{paths[1]}: ends before its last image; robustlaws remake {paths[1]} makes it again; then run again$",
    ):
        reading.at(0, 10)
    paths[1].unlink()
    with pytest.raises(ValueError, match=f"^{paths[1]}: cannot be opened .No such file or directory.$"):
        pickle.loads(pickle.dumps(reading)).at(0, 10)


def test_reader_refuses_wrong_shards_in_one_line(tmp_path):
    paths = stored(tmp_path, [50, 30])
    with pytest.raises(ValueError, match=f"^{paths[1]}: the 2 shards up to this one hold 80 images, 81 wanted"):
        Reader([Part(paths, 81, 81)], (1,))
    with pytest.raises(ValueError, match="no shards: 0 images, 10 wanted"):
        Reader([Part((), 10, 10)], (1,))
    with pytest.raises(ValueError, match=f"^{tmp_path / 'gone.h5'}: no such file"):
        Reader([Part((tmp_path / "gone.h5",), 10, 10)], (1,))
    with pytest.raises(ValueError, match="0 draws from 0 images of a dataset; give its share 1 or more"):
        Reader([Part(paths, 80, 80), Part((), 0, 0)], (1,))
    other = tmp_path / "other.h5"
    shards.write(other, np.zeros((5, 2, 2, 3), np.uint8), np.zeros(5, int), {})
    with pytest.raises(
        ValueError, match=rf"^{other}: images of shape \(2, 2, 3\), those of {paths[0]} are \(2, 2, 1\)"
    ):
        Reader([Part(paths, 80, 80), Part((other,), 5, 5)], (1,))


def test_a_flat_list_of_shards_is_split_among_the_datasets(tmp_path):
    paths = stored(tmp_path, [50, 30, 20, 40, 10])
    parts = split(paths, [(60, 90), (20, 20), (41, 41)])
    assert [part.paths for part in parts] == [tuple(paths[:2]), (paths[2],), tuple(paths[3:])]
    assert [(part.images, part.draws) for part in parts] == [(60, 90), (20, 20), (41, 41)]
    with pytest.raises(ValueError, match=f"^{paths[4]}: the shards before it hold all 100 images; leave it out"):
        split(paths, [(60, 90), (20, 20), (20, 20)])
    with pytest.raises(ValueError, match="hold 10 images, 11 wanted"):
        [Reader([part], (1,)) for part in split(paths, [(140, 140), (11, 11)])]


@given(
    shares=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    batches=st.integers(1, 50),
    unique=st.none() | st.integers(1, 300),
)
@settings(max_examples=60, deadline=None)
def test_shares_of_a_mixture_add_up_and_are_off_by_less_than_one(shares, batches, unique):
    own = training_settings(images=16 * batches, shares=tuple(shares), unique_images=unique)
    assert sum(draws for _, draws in own.parts) == own.synthetic_images
    for share, (images, draws) in zip(shares, own.parts, strict=True):
        assert abs(draws - own.synthetic_images * share / sum(shares)) < 1
        assert images == min(draws, unique or draws)


def test_the_mixtures_of_the_paper():
    # 500M: EDM-20 x1.5, DG x1.5, PFGM++ x2 of 100M each, 1:7 real; draws are 512M in accounting epochs
    big = training_settings(
        images=500_000_000, epoch_images=50_000, batch=2048, shares=(3, 3, 4), unique_images=100_000_000, pool="draws"
    )
    assert big.parts == [(100_000_000, 134_400_000), (100_000_000, 134_400_000), (100_000_000, 179_200_000)]
    assert training_settings(images=128).parts == [(112, 112)]
    assert training_settings(images=128, unique_images=50).parts == [(50, 112)]


MEMORY = """
import sys
from pathlib import Path
import numpy as np, torch
from robustlaws.data.shard_reader import Part, Reader
torch.set_num_threads(1)
paths = sorted(Path(sys.argv[1]).glob("*.h5"))
images = len(paths) * int(sys.argv[2])
reading = Reader([Part(paths, images, images)], (1, "x"), verify=False)  # the digests are not there
rng = np.random.default_rng(0)
for position in rng.integers(0, 3 * images, 2).tolist():  # windows far apart
    batch, labels = reading.at(position, 1024)
    assert batch.shape == (1024, 32, 32, 3) and not batch.any() and not labels.any()
for position in range(5 * images - 150_000, 5 * images + 10_000, 1024):  # and over the end of a pass
    reading.at(position, 1024)
# not of getrusage: that keeps the peak of the process that started this one
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024, images * 3072)
"""


def peak(folder, count, size):
    """Return peak memory (bytes) of a process that reads `count` shards of `size` images, and the bytes of these."""
    folder.mkdir()
    for number in range(count):
        sparse(folder / f"{number}.h5", size)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(folder), str(size)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return map(int, done.stdout.split())


def sparse(path, size):
    """Make a shard of `size` black CIFAR-sized images of class 0 whose file has room for them and holds nothing."""
    shards.write(path, np.zeros((1, 32, 32, 3), np.uint8), np.zeros(1, int), {})
    about = shards.attributes(path)
    with h5py.File(path, "w") as file:
        for name, shape, kind in (
            ("image", (size, 32, 32, 3), "u1"),
            ("label", (size,), "<i8"),
            ("digest", size, "<u8"),
        ):
            file.create_dataset(name, shape, kind, fill_time="never")[-1] = 0  # allocates the whole
        file.attrs.update(about)


def test_memory_stays_below_a_gigabyte_whatever_the_size(tmp_path):
    small, _ = peak(tmp_path / "small", 2, 170_000)
    large, kept = peak(tmp_path / "large", 16, 1_020_000)
    on_disk = sum(path.stat().st_blocks * 512 for path in (tmp_path / "large").iterdir())
    print(
        f"\n{kept / 1e9:.0f} GB in 16 shards ({on_disk / 1e6:.0f} MB on disk): peak {large / 1e6:.0f} MB;"
        f" 1 GB: {small / 1e6:.0f} MB"
    )
    assert kept > 50e9
    assert large < 1e9
    assert large < small + 100e6
