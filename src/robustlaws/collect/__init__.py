"""Outcomes of runs and attacks, collected in Parquet tables."""
