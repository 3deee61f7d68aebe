"""Provenance of a study's files as a table, an RO-Crate or text, and runs exported to RobustBench."""
