"""What the pair operation of the attention denoiser reads of a batch, whoever computes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from deepchem_ead.diffusion.layout import AtomLayout

#: Attributes with a row for each atom.
_OF_ATOMS = ("q", "k", "v", "own", "other", "x", "x0")


@dataclass(frozen=True, eq=False)
class PairInputs:
    """Arrays of the atoms and pairs of a batch.

    Attributes
    ----------
    q, k, v : Tensor, (A, F)
        Queries, keys and values; heads are consecutive blocks of F / H columns.
    own, other : Tensor, (A, P)
        What atoms i and j give to the pair features.
    x, x0 : Tensor, (A, 3)
        Current and input coordinates.
    layout : AtomLayout
    told : Tensor, (E, W), optional
        Columns of each ordered pair, in the order of `AtomLayout.pairs`.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    own: Tensor
    other: Tensor
    x: Tensor
    x0: Tensor
    layout: AtomLayout
    told: Tensor | None = None

    def map(self, of_atoms: Callable[[Tensor], Tensor], told: Tensor | None) -> PairInputs:
        """With a function applied to every array of atoms, and other columns of pairs."""
        changes: dict[str, Any] = {name: of_atoms(getattr(self, name)) for name in _OF_ATOMS}
        return replace(self, told=told, **changes)
