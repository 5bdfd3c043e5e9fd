"""What a protocol says about one molecule."""

from __future__ import annotations

from typing import NamedTuple


class MoleculeScore(NamedTuple):
    """Judgement of one molecule by one protocol.

    Attributes
    ----------
    stable : bool
        Every atom has an allowed valence (and the protocol's further conditions hold).
    n_stable : int
        Atoms with an allowed valence.
    n_atoms : int
    smiles : str or None
        Canonical SMILES of the largest fragment with explicit [H]; None where invalid.
    valid : bool
    n_fragments : int
        Connected components of the bond graph; 0 for an empty molecule.
    connected : bool
        One fragment, all coordinates finite.
    """

    stable: bool
    n_stable: int
    n_atoms: int
    smiles: str | None
    valid: bool
    n_fragments: int
    connected: bool


EMPTY = MoleculeScore(False, 0, 0, None, False, 0, False)
