"""Fits of a law's parameters: Newton's method, many starts, and the published recipe."""
