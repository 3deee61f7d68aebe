"""Already sampled images, read from npz, HDF5, Parquet or a folder as a generator."""
