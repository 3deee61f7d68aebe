"""Candidate runs, the compute-optimal next run, and the page about it."""
