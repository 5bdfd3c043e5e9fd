"""Where fragments that stand apart are linked, and how many atoms that takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from deepchem_ead.chem.overlap import find_overlaps
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generation.kept_part import Whole

#: What a bond of a zigzag chain of carbon adds to its length, Angstrom.
PER_BOND = 1.265


class Links(NamedTuple):
    """How the fragments of a molecule can be joined to one.

    Attributes
    ----------
    freed : list of int
        Hydrogens that give way.
    gaps : list of float
        Distances in Angstrom between the atoms to be linked.
    """

    freed: list[int]
    gaps: list[float]


def find_links(whole: Whole, fragments: np.ndarray) -> Links:
    """Links between fragments: the shortest between two open valences or, without, hydrogens.

    A fragment with open valences is linked at these, another one where the hydrogen is that is
    nearest to the other fragment, and which gives way. Several fragments are linked by their
    shortest tree.

    Parameters
    ----------
    whole : Whole
    fragments : ndarray, (n,)
        Number of the fragment of each atom.

    Raises
    ------
    ValueError
        If a fragment has neither open valences nor hydrogens.
    """
    lacking = whole.open_valences() > 0
    sites = []  # (fragment, atom, hydrogen or -1)
    for k in range(int(fragments.max()) + 1):
        own = np.flatnonzero(fragments == k)
        open_atoms = own[lacking[own]].tolist()
        mine = [(k, atom, -1) for atom in open_atoms] or [
            (k, atom, h)
            for atom in own[whole.numbers[own] > 1].tolist()
            for h in whole.hydrogens(atom)
        ]
        if not mine:
            raise ValueError(
                f"fragment {k} has neither an open valence nor a hydrogen that could give way; "
                "leave it out, or give it with one"
            )
        sites += mine
    spots = np.array([whole.positions[atom if h < 0 else h] for _, atom, h in sites])
    lengths = np.linalg.norm(spots[:, None] - spots[None], axis=2)
    group = list(range(int(fragments.max()) + 1))
    freed: list[int] = []
    gaps: list[float] = []
    for pair in np.argsort(lengths, axis=None, kind="stable").tolist():
        (k, a, h), (m, b, g) = (sites[i] for i in divmod(pair, len(sites)))
        if group[k] == group[m] or (h >= 0 and h in freed) or (g >= 0 and g in freed):
            continue
        freed += [atom for atom in (h, g) if atom >= 0]
        gaps.append(float(np.linalg.norm(whole.positions[a] - whole.positions[b])))
        group = [group[k] if own == group[m] else own for own in group]
    return Links(freed, gaps)


def check_apart(whole: Whole, fragments: np.ndarray, atoms: np.ndarray) -> None:
    """Refuse fragments of which ``atoms`` (k,) lie on top of each other.

    Raises
    ------
    MoleculeError
    """
    positions = np.full(whole.positions.shape, np.nan)  # which overlaps nothing
    positions[atoms] = whole.positions[atoms]
    for overlap in find_overlaps(whole.numbers, positions):
        k, m = (int(fragments[atom]) for atom in overlap.atoms)
        i, j = (whole.label(atom) for atom in overlap.atoms)
        raise MoleculeError(
            f"fragments {k} and {m} stand in each other: the atoms {i} and {j}, counted through "
            f"all fragments, are {overlap.distance:.2f} Angstrom apart; move the fragments to "
            "where they are to be linked"
        )


def linker_sizes(gaps: list[float], n: int, seed: int) -> np.ndarray:
    """Atoms that n molecules get to link fragments, (n,) int64.

    A gap of d Angstrom is bridged by the round(d / 1.265) - 1 heavy atoms of a stretched chain of
    carbon, at least one; in half of the molecules, at random, by one more. Each brings none, one or
    two hydrogens at random. Molecule i depends on the seed and i.
    """
    straight = [max(1, round(gap / PER_BOND) - 1) for gap in gaps]
    sizes = np.zeros(n, np.int64)
    for i in range(n):
        random = np.random.default_rng([seed, i, 2])
        heavy = sum(straight) + int(random.integers(0, 2, len(straight)).sum())
        sizes[i] = heavy + int(random.integers(0, 3, heavy).sum())
    return sizes


def grown_sizes(grow: int | tuple[int, int], n: int, seed: int) -> np.ndarray:
    """Atoms that join in n molecules, (n,) int64: a number, or drawn from a range.

    Raises
    ------
    ValueError
        If it is neither a number from 1 nor a range of such.
    """
    bounds = np.atleast_1d(np.asarray(grow))
    whole_numbers = bounds.dtype.kind in "iu" and bounds.shape in ((1,), (2,))
    if not whole_numbers or bounds[0] < 1 or bounds[-1] < bounds[0]:
        raise ValueError(
            f"grow={grow!r}: give the number of atoms that join, hydrogens included, 8 for "
            "example, or a range of it, (4, 10)"
        )
    low, high = int(bounds[0]), int(bounds[-1])
    return np.array([np.random.default_rng([seed, i, 2]).integers(low, high + 1) for i in range(n)])
