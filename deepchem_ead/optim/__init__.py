"""What steers an optimiser: running averages, clipping, and the learning rate of a run."""
