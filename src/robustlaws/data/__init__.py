"""Images: sources of real images, HDF5 shards, batches."""

from dataclasses import dataclass

from robustlaws.registry import Entry


@dataclass(frozen=True)
class Source(Entry):
    """A source of real images: function(train_files, test_files, settings) -> two `sources.Split`.

    Attributes
    ----------
    keys : tuple of str
        Keys of the config's `source:` that it needs; a source without `train_files` reads no files.
    images : pair of int, optional
        Images for training and for testing, where every copy of the source has so many.
    """

    keys: tuple[str, ...] = ()
    images: tuple[int, int] | None = None


SOURCES = {
    "digits": Source("robustlaws.data.sources:digits", images=(1797, 0)),
    "hub_parquet": Source(
        "robustlaws.data.sources:hub_parquet", ("train_files", "test_files", "image_column", "label_column")
    ),
    "cifar10": Source("robustlaws.data.cifar10:cifar10", ("train_files",), images=(50_000, 10_000)),
    "folder": Source("robustlaws.data.sources:folder", ("train_files",)),
    "npz": Source("robustlaws.data.sources:npz", ("train_files", "test_files")),
}
