"""A trained generator without DeepChem: configuration, encoding, network, weights, checkpoints."""
