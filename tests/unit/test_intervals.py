"""Percentile intervals of bootstrap samples, against order statistics and scipy."""

import numpy as np
import pytest
from scipy import stats

from robustlaws.intervals import percentile_interval


def test_percentile_interval_returns_order_statistics():
    rising = np.arange(101.0)
    assert percentile_interval(np.random.default_rng(0).permutation(rising), 0.9) == (5.0, 95.0)
    assert percentile_interval(rising, 0.5) == (25.0, 75.0)


def test_percentile_interval_agrees_with_scipy_bootstrap():
    data = np.random.default_rng(1).normal(size=40)
    peer = stats.bootstrap((data,), np.mean, confidence_level=0.8, method="percentile", rng=2)
    ends = percentile_interval(peer.bootstrap_distribution, 0.8)
    # scipy interpolates between neighbours of 9,999 samples
    assert ends == pytest.approx(tuple(peer.confidence_interval), abs=1e-3)


def test_percentile_interval_keeps_infinite_samples():
    samples = np.array([-np.inf, *np.arange(9.0), np.inf])
    assert percentile_interval(samples, 0.99) == (-np.inf, np.inf)
    assert percentile_interval(samples, 0.8) == (0.0, 8.0)


def test_percentile_interval_is_nan_in_columns_with_nan():
    samples = np.stack([np.arange(11.0), np.where(np.arange(11) == 3, np.nan, 1.0)], axis=1)
    low, high = percentile_interval(samples, 0.8)
    assert (low[0], high[0]) == (1.0, 9.0)
    assert np.isnan([low[1], high[1]]).all()
