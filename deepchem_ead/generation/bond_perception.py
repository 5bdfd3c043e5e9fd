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


class _Model(Protocol):
    config: EADConfig
    encoding: AtomEncoding
    generate: Callable[..., MoleculeBatch]


def find_bonds(
    model: _Model, mols: MoleculeBatch, charges: Any, steps: int, progress: bool
) -> MoleculeBatch:
    """What `deepchem_ead.perceive_bonds` returns; arguments and errors are described there.

    The model is told elements, charges and positions. The charges are those of the best
    closed-shell structure at first, then those of the likeliest structure by its own bonds, until
    these are what it was told.
    """
    check_task(model.config, "perceive", bonds=True)
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    if not len(mols):
        return mols
    empty = np.flatnonzero(mols.counts == 0)
    if len(empty):
        raise MoleculeError(f"molecule {empty[0]} has no atoms; leave it out")
    wanted = None
    if charges is not None:
        each = np.full(len(mols), charges) if np.ndim(charges) == 0 else charges
        wanted = ragged.as_charges(each, len(mols))
    graphs = _find_graphs(model, mols, wanted, steps, progress)
    failed = np.array([i for i, graph in enumerate(graphs) if not _bonded(graph)], np.int64)
    if len(failed):
        _warn(model, mols, wanted, failed, steps)
    total = mols.charges.copy() if wanted is None else wanted
    for i, graph in enumerate(graphs):
        if graph is not None and _bonded(graph):
            total[i] = graph.formal_charges.sum()
        else:
            graphs[i] = None
    return replace(
        mols, charges=total, graphs=MolecularGraphs.join(graphs, mols.counts.tolist()),
        _smiles=None, _reasons=None,
    )  # fmt: skip


def _find_graphs(
    model: _Model, mols: MoleculeBatch, wanted: np.ndarray | None, steps: int, progress: bool
) -> list[MolecularGraph | None]:
    bare = replace(mols, graphs=None, charges=mols.charges if wanted is None else wanted,
                   _smiles=None, _reasons=None)  # fmt: skip
    totals = [None] * len(mols) if wanted is None else wanted.tolist()
    told = np.split(_first_guess(bare, model.encoding), mols.offsets[1:-1])
    graphs: list[MolecularGraph | None] = [None] * len(mols)
    asked = np.arange(len(mols))
    for _ in range(steps):
        found = _ask(model, bare[asked], told, totals, asked, progress)
        again = []
        for k, i in enumerate(asked.tolist()):
            graph = graphs[i] = found.graph(k)
            if graph is None or not _bonded(graph):
                continue
            own = graph.formal_charges.astype(np.int64)
            if np.array_equal(own, told[i]) or not _known(model.encoding, mols.numbers[i], own):
                continue
            told[i] = own
            again.append(i)
        asked = np.array(again, np.int64)
        if not len(asked):
            break
    return graphs


def _bonded(graph: MolecularGraph | None) -> bool:
    return graph is not None and graph.bonds is not None


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
    model: _Model,
    bare: MoleculeBatch,
    told: list[np.ndarray],
    totals: list[int | None],
    asked: np.ndarray,
    progress: bool,
) -> MoleculeBatch:
    """One evaluation of the model, of the molecules ``asked``, which are ``bare``."""
    given = MoleculeBatch.from_arrays(
        bare.numbers, bare.positions, bonds=[[]] * len(bare),
        formal_charges=[told[i] for i in asked],
    )  # fmt: skip
    start = Given(given, "perceive", total_charges=[totals[i] for i in asked])
    return model.generate(
        len(bare), start=start, n_atoms=bare.counts.tolist(), seed=0, steps=1, progress=progress
    )


def _warn(
    model: _Model, mols: MoleculeBatch, wanted: np.ndarray | None, failed: np.ndarray, steps: int
) -> None:
    """Say how many molecules get no bonds, and why one of them."""
    i = int(failed[0])
    why = "its aromatic bonds have no Kekule structure"
    if wanted is not None:
        why = f"no likely bonds give its atoms valences with the charge {wanted[i]:+d}"
        free = _find_graphs(model, mols[failed[:1]], None, steps, False)[0]
        if (mols.numbers[i].sum() - wanted[i]) % 2:
            why = f"with the charge {wanted[i]:+d} it has an odd number of electrons"
        if free is not None and _bonded(free):
            why += f"; by its bonds alone the charge is {free.formal_charges.sum():+d}"
    warn_caller(
        f"{len(failed)} of {len(mols)} molecules get no bonds, molecule {i} for example: {why}"
    )
