"""What a running job needs: log, progress, state, locks, signals, device, SLURM."""
