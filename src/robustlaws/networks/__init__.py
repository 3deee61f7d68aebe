"""Classifiers and generator networks, with their parameter and FLOP counts."""
