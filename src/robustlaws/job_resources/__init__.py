"""Costs and resource requests of jobs, and the duration of a study."""
