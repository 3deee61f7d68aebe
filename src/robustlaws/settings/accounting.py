"""The paper's training recipe by size, and its accounting of images. Imports no torch.

Source: spec/training.md 2, 4 and 7. The paper's code counts in accounting epochs of 50,000 images
whatever the data; a run on D images has D / 50,000 of them.
"""

import math

EPOCH_IMAGES = 50_000
# images of a run up to which the row holds: batch, peak learning rate
TABLE = ((10_000_000, 1024, 0.3), (200_000_000, 2048, 0.2))
LARGE = (300_000_000, 2048, 0.1)  # from here on; the paper has no run in between


def batch_and_rate(images: int) -> tuple[int, float]:
    """Return (images of a batch, peak learning rate) of a run on `images` images.

    Raises
    ------
    ValueError
        Between 200 and 300 million images, where the paper has no run.
    """
    for limit, batch, rate in TABLE:
        if images <= limit:
            return batch, rate
    if images < LARGE[0]:
        raise ValueError(
            f"{images:,} images: the paper has no run between 200 and 300 million images;"
            " give training.batch and training.learning_rate as numbers"
        )
    return LARGE[1:]


def metric_epochs(epochs: int) -> list[int]:
    """Return the epochs after which the paper measures a run of `epochs` epochs, ascending, without 0."""
    regular = {epochs * k // 40 for k in range(1, 41)}
    ends = {1, 4, 8, 16, epochs - 16, epochs - 8, epochs - 4, epochs - 1, epochs}
    return sorted(epoch for epoch in regular | ends if 0 < epoch <= epochs)


def epochs(images: int, epoch_images: int) -> int:
    """Return the accounting epochs of a run; ValueError if `images` are not whole ones."""
    if images % epoch_images:
        raise ValueError(f"{images:,} images are not whole epochs of {epoch_images:,}")
    return images // epoch_images


class Accounting:
    """The accounting of a run's images, from its settings (settings.Training is one)."""

    run: str
    images: int
    real_fraction: float
    batch: int
    warmup_fraction: float
    epoch_images: int | None
    accumulate: int
    pool: str
    shares: tuple[int, ...]
    unique_images: int | None

    @property
    def synthetic_per_batch(self) -> int:
        """Synthetic images of a full batch: ceil((1 - real_fraction) batch)."""
        # rounded first, so that 0.875 * 64 from a decimal fraction is not pushed up by its last bit
        return math.ceil(round((1 - self.real_fraction) * self.batch, 6))

    @property
    def synthetic_images(self) -> int:
        """Synthetic images that the run draws from: the first ones of its dataset."""
        full, rest = divmod(self.draws if self.pool == "draws" else self.images, self.batch)
        return full * self.synthetic_per_batch + min(self.synthetic_per_batch, rest)

    @property
    def parts(self) -> list[tuple[int, int]]:
        """Draws of the run from each dataset of its mixture: a list of (first images of it, draws from them).

        The draws are as the shares say, to the image nearest by largest remainders, and add up to synthetic_images.
        """
        shares, total = self.shares or (1,), self.synthetic_images
        draws = [total * share // sum(shares) for share in shares]
        by_remainder = sorted(range(len(shares)), key=lambda i: -(total * shares[i] % sum(shares)))
        for index in by_remainder[: total - sum(draws)]:
            draws[index] += 1
        return [(min(count, self.unique_images or count), count) for count in draws]

    @property
    def epochs(self) -> int:
        """Accounting epochs of the run; one if its settings name none."""
        return epochs(self.images, self.epoch_images or self.images)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an accounting epoch, all of full batches."""
        return -(-(self.epoch_images or self.images) // self.batch)

    @property
    def steps(self) -> int:
        """Optimiser steps of the run; without accounting epochs the last batch may be smaller."""
        return self.epochs * self.steps_per_epoch if self.epoch_images else -(-self.images // self.batch)

    @property
    def draws(self) -> int:
        """Images that the run draws, real ones included: a little more than D in accounting epochs."""
        return self.seen(self.steps)

    @property
    def average_warmup(self) -> float:
        """Steps during which the weight average just follows (Source: spec/training.md 5)."""
        if self.epoch_images:
            return self.warmup_fraction * self.epochs * (self.epoch_images // self.batch + 1)
        return self.warmup_fraction * self.steps

    def check_parts(self, ranks: int) -> None:
        """Raise ValueError if the smallest batch cannot be split among `ranks` processes in each of its parts."""
        last = self.seen(self.steps) - self.seen(self.steps - 1)
        if last < self.accumulate * ranks:
            raise ValueError(
                f"{self.run}: a batch of {last} images cannot be split into {self.accumulate} parts"
                f" for {ranks} processes"
            )

    def seen(self, step: int) -> int:
        """Return the number of images drawn before optimiser step `step`."""
        return step * self.batch if self.epoch_images else min(step * self.batch, self.images)
