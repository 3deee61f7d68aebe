"""The paper's recipe as a table: what a run of D images is trained with. Imports no torch.

Source: spec/training.md 2, 4 and 7. The paper's code counts in accounting epochs of 50,000 images
whatever the data; a run on D images has D / 50,000 of them.
"""

EPOCH_IMAGES = 50_000
# images of a run up to which the row holds: batch, peak learning rate
TABLE = ((10_000_000, 1024, 0.3), (200_000_000, 2048, 0.2))
LARGE = (300_000_000, 2048, 0.1)  # from here on; the paper has no run in between


def batch_and_rate(images):
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


def metric_epochs(epochs):
    """Return the epochs after which the paper measures a run of `epochs` epochs, ascending, without 0."""
    regular = {epochs * k // 40 for k in range(1, 41)}
    ends = {1, 4, 8, 16, epochs - 16, epochs - 8, epochs - 4, epochs - 1, epochs}
    return sorted(epoch for epoch in regular | ends if 0 < epoch <= epochs)


def epochs(images, epoch_images):
    """Return the accounting epochs of a run; ValueError if `images` are not whole ones."""
    if images % epoch_images:
        raise ValueError(f"{images:,} images are not whole epochs of {epoch_images:,}")
    return images // epoch_images
