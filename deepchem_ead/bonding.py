"""Kinds of bonds and how a data set numbers them: the words `chem` and `diffusion` share."""

#: Names of the kinds by number.
BOND_KINDS = ("none", "single", "double", "triple", "aromatic")

#: A bond of an atom is written as the one number ``BOND_STRIDE * partner + kind``.
BOND_STRIDE = 8
