"""Who computes the networks fast: compiled for the CPU, Triton on a GPU, PyTorch elsewhere."""
