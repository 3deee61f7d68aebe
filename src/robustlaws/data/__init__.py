"""Images in and out: sources of real images, HDF5 shards, batches."""

SOURCES = {
    "digits": "robustlaws.data.sources:digits",
    "hub_parquet": "robustlaws.data.sources:hub_parquet",
    "cifar10": "robustlaws.data.cifar10:cifar10",
    "folder": "robustlaws.data.folders:folder",
    "npz": "robustlaws.data.folders:npz",
}
