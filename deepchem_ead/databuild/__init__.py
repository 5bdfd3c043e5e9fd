"""Data sets that are computed from SMILES on the user's own machine, in resumable shards."""
