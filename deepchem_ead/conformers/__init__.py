"""Conformers of a molecule: drawn, checked, relaxed, ranked and pruned, whoever draws them."""
