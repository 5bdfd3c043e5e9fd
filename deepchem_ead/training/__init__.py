"""Training: batches, noise, steps, where data lie, and runs that can be killed and continued."""
