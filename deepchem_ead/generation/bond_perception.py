"""Bonds and formal charges of given geometries, from a model that has learned them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from deepchem_ead.caller import warn_caller
from deepchem_ead.chem import ragged
from deepchem_ead.chem.graphs import MolecularGraph, MolecularGraphs
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generation.given import Given
from deepchem_ead.generation.trained_tasks import check_task
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding

#: Bonds of neutral atoms whose charge is the difference to it: more, or fewer, are positive.
_MORE_IS_POSITIVE = {7: 3, 8: 2, 9: 1}
#: Carbon with three bonds has a lone pair: [C-]#[O+], [C-]#[N+].
_CARBON = 6


class _Model(Protocol):
    config: EADConfig
    encoding: AtomEncoding
    generate: Callable[..., MoleculeBatch]


def find_bonds(
    model: _Model, mols: MoleculeBatch, charges: Any, steps: int, progress: bool
) -> MoleculeBatch:
    """What `deepchem_ead.perceive_bonds` returns; arguments and errors are described there.

    The model is told elements, charges and positions. The charges are those of the best
    closed-shell structure at first, then those that its own bonds ask for, until these are what it
    was told.
    """
    check_task(model.config, "perceive", bonds=True)
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    if not len(mols):
        return mols
    empty = np.flatnonzero(mols.counts == 0)
    if len(empty):
        raise MoleculeError(f"molecule {empty[0]} has no atoms; leave it out")
    wanted = None if charges is None else ragged.as_charges(charges, len(mols))
    bare = replace(mols, graphs=None, charges=mols.charges if wanted is None else wanted,
                   _smiles=None, _reasons=None)  # fmt: skip
    told = np.split(_first_guess(bare, model.encoding), mols.offsets[1:-1])
    graphs: list[MolecularGraph | None] = [None] * len(mols)
    asked = np.arange(len(mols))
    for _ in range(steps):
        found = _ask(model, bare[asked], [told[i] for i in asked], progress)
        again = []
        for k, i in enumerate(asked.tolist()):
            graph = graphs[i] = found.graph(k)
            if graph is None or graph.bonds is None:
                continue
            own = octet_charges(mols.numbers[i], graph.bonds, told[i])
            if np.array_equal(own, told[i]) or not _known(model.encoding, mols.numbers[i], own):
                continue
            told[i] = own
            again.append(i)
        asked = np.array(again, np.int64)
        if not len(asked):
            break
    return _with_graphs(mols, graphs, told, wanted)


def octet_charges(numbers: np.ndarray, bonds: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Formal charges (n,) that closed shells ask for, by the bonds (b, 3) of each atom.

    Of elements other than C, N, O and F, and of carbon with other than three or four bonds, they
    are those that were told; carbon with three bonds that was told to be positive stays so.

    Examples
    --------
    >>> octet_charges(np.array([7, 8]), np.array([[0, 1, 1]]), np.zeros(2, int)).tolist()
    [-2, -1]
    """
    sums = np.zeros(len(numbers), np.int64)
    for end in (0, 1):
        np.add.at(sums, bonds[:, end], bonds[:, 2])
    charges = np.array(told, np.int64)
    for number, usual in _MORE_IS_POSITIVE.items():
        own = numbers == number
        charges[own] = sums[own] - usual
    carbon = numbers == _CARBON
    charges[carbon & (sums == 4)] = 0
    charges[carbon & (sums == 3) & (charges <= 0)] = -1
    return charges


def _first_guess(bare: MoleculeBatch, encoding: AtomEncoding) -> np.ndarray:
    """Formal charges (A,) of the best closed-shell structures, 0 where the model knows none."""
    charges = bare.formal_charges().astype(np.int64)
    unknown = encoding.types_of(bare.atomic_numbers, charges) < 0
    molecule = np.repeat(np.arange(len(bare)), bare.counts)
    spoiled = np.bincount(molecule, unknown, len(bare)) > 0
    return np.where(spoiled[molecule], 0, charges)


def _known(encoding: AtomEncoding, numbers: np.ndarray, charges: np.ndarray) -> bool:
    return bool((encoding.types_of(numbers, charges) >= 0).all())


def _ask(
    model: _Model, bare: MoleculeBatch, told: list[np.ndarray], progress: bool
) -> MoleculeBatch:
    """One evaluation of the model."""
    given = MoleculeBatch.from_arrays(
        bare.numbers, bare.positions, bonds=[[]] * len(bare), formal_charges=told
    )
    return model.generate(
        len(bare), start=Given(given, "perceive"), n_atoms=bare.counts.tolist(), seed=0, steps=1,
        progress=progress,
    )  # fmt: skip


def _with_graphs(
    mols: MoleculeBatch,
    graphs: list[MolecularGraph | None],
    told: list[np.ndarray],
    wanted: np.ndarray | None,
) -> MoleculeBatch:
    without: dict[int, str] = {}
    charges = mols.charges.copy() if wanted is None else wanted.copy()
    for i, graph in enumerate(graphs):
        if graph is None or graph.bonds is None:
            without[i] = "its aromatic bonds have no Kekule structure"
            continue
        total = int(told[i].sum())
        if wanted is not None and total != wanted[i]:
            without[i] = f"its bonds ask for the charge {total:+d}, not {wanted[i]:+d}"
            graphs[i] = None
            continue
        charges[i] = total
        graphs[i] = MolecularGraph(told[i].astype(np.int8), graph.bonds)
    if without:
        first = next(iter(without))
        warn_caller(
            f"{len(without)} of {len(mols)} molecules get no bonds, molecule {first} for example: "
            f"{without[first]}"
        )
    return replace(
        mols, charges=charges, graphs=MolecularGraphs.join(graphs, mols.counts.tolist()),
        _smiles=None, _reasons=None,
    )  # fmt: skip
