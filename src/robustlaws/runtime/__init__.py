"""The runtime of jobs: log, progress, state, locks, signals, device, SLURM."""
