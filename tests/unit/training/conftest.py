"""The files of each sampler, for the tests of this folder."""

from tests.support.sampled_shards import files

__all__ = ["files"]
