"""Shared parts of the figures: style, labels, inputs, panels and the data behind a plot."""
