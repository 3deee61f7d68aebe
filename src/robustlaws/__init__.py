"""Adversarial-robustness scaling-law studies, from training data to the printed laws."""

__version__ = "0.1.0"
