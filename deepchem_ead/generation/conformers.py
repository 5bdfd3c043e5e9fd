"""Conformers of a given graph, with the configuration that it specifies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from rdkit import Chem

from deepchem_ead.caller import warn_caller
from deepchem_ead.chem.bond_columns import without_columns
from deepchem_ead.chem.graph_stereo import graph_stereo
from deepchem_ead.chem.graphs import MolecularGraph
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.rdkit_io import atoms_of, kekulised_bonds
from deepchem_ead.conformers.ensemble import find_ensemble
from deepchem_ead.conformers.graph import check_graph, read_graph
from deepchem_ead.conformers.options import ConformerOptions
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generation.editing import LEVEL, check_level, seeded
from deepchem_ead.generation.given import Given
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.trained_tasks import check_task
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding


class _Model(Protocol):
    config: EADConfig
    encoding: AtomEncoding
    generate: Callable[..., MoleculeBatch]


class ModelSource:
    """A model as a source of conformers of a molecule; see `deepchem_ead.conformers.source`.

    Parameters
    ----------
    model : EADModel
    molecule : rdkit.Chem.Mol
        With all hydrogens.
    name : str
        What messages call it.
    options : SamplingOptions
    progress : bool
    start_level : float
        Level of the noise that given conformers get where sampling begins at them.

    Raises
    ------
    MoleculeError
        If the model does not know such molecules.
    ValueError
        If it was not trained for conformers, or the level is out of range.
    """

    method, rough = "model", False

    def __init__(
        self,
        model: _Model,
        molecule: Chem.Mol,
        name: str,
        options: SamplingOptions,
        progress: bool,
        start_level: float = LEVEL,
    ) -> None:
        _check_asked(model, options)
        check_level(model.config.timesteps, start_level, "start_level")
        batch = graph_batch(molecule, name)
        size = int(batch.counts[0])
        if size > model.config.max_atoms:
            raise MoleculeError(
                f"{name} has {size} atoms with hydrogens, and the model knows at most "
                f"{model.config.max_atoms}; take weights of larger molecules"
            )
        start = Given(batch, "conformer", stereo=graph_stereo(molecule))
        start.check(np.array([size]), model.encoding)
        self._model, self._progress, self._start = model, progress, start
        self._start_level = start_level
        self._begin: Sequence[np.ndarray] = ()
        self._options = replace(seeded(options), n_atoms=size)

    def starting_at(self, conformers: Sequence[np.ndarray]) -> tuple[ModelSource, str]:
        """See `Source`."""
        begun = copy(self)
        begun._begin = list(conformers)
        return begun, (
            f"sampling began at the given coordinates with the noise of level {self._start_level:g}"
        )

    def draw(self, n: int, attempt: int) -> list[np.ndarray]:
        """Positions of n samples."""
        options = replace(self._options, start=self._given(n))
        if attempt:
            options = replace(options, seed=_next_seed(options, attempt))
        return list(self._model.generate(n, progress=self._progress, options=options).positions)

    def _given(self, n: int) -> Given:
        """What each of n samples starts from."""
        if not self._begin:
            return self._start
        one_for_all = len(self._begin) == 1
        rows = [self._begin[k % len(self._begin)] for k in range(1 if one_for_all else n)]
        batch = MoleculeBatch.concatenate([self._start.molecules] * len(rows))
        batch = replace(batch, coordinates=np.concatenate(rows))
        return replace(
            self._start, molecules=batch, task=f"conformer:level={float(self._start_level)}"
        )


def find_conformers(
    model: _Model,
    mol: str | Chem.Mol,
    wanted: ConformerOptions,
    start: Chem.Mol | None,
    progress: bool,
    options: SamplingOptions,
    start_level: float | None = None,
) -> Chem.Mol:
    """What `EADModel.conformers` returns; arguments and errors are described there."""
    _check_asked(model, options)
    if start is None and start_level is not None:
        raise ValueError("start_level says how much is left of start=: give both")
    level = LEVEL if start_level is None else start_level
    molecule, name = read_graph(mol)
    if start is None and isinstance(mol, Chem.Mol) and any(c.Is3D() for c in mol.GetConformers()):
        warn_caller(f"{name}: its own conformers are not used; start=mol begins at them")

    def source(molecule: Chem.Mol, name: str) -> ModelSource:
        return ModelSource(model, molecule, name, options, progress, level)

    found = find_ensemble(molecule, name, source, wanted, start, complete=True)
    for key, text in found.told().items():
        found.mol.SetProp(f"conformers_{key}", text)
    return found.mol


def _check_asked(model: _Model, options: SamplingOptions) -> None:
    if options.n_atoms is not None:
        raise ValueError("the molecule says how many atoms there are: leave n_atoms out")
    check_task(model.config, "conformer", bonds=True)


def _next_seed(options: SamplingOptions, attempt: int) -> int:
    assert options.seed is not None
    return int(np.random.SeedSequence([options.seed, attempt]).generate_state(1)[0])


def graph_batch(molecule: Chem.Mol, name: str) -> MoleculeBatch:
    """The graph of a molecule with explicit hydrogens as a batch, all atoms at the origin.

    Raises
    ------
    MoleculeError
        If it has no atoms, dummy atoms, several parts, unpaired electrons or rare bonds.
    """

    def refuse(bad: Any, why: str) -> None:
        if bad:
            raise MoleculeError(f"{name} {why}")

    check_graph(molecule, name)
    atoms = atoms_of(molecule)
    numbers = [atom.GetAtomicNum() for atom in atoms]
    refuse(
        any(atom.GetNumRadicalElectrons() for atom in atoms),
        "has unpaired electrons, which the model does not know",
    )
    bonds = kekulised_bonds(molecule)
    refuse(bonds is None, "has bonds of a type that the model does not know")
    charges = np.array([atom.GetFormalCharge() for atom in atoms], np.int8)
    graph = MolecularGraph(charges, bonds)
    batch = MoleculeBatch.from_arrays(
        [numbers],
        [np.zeros((len(atoms), 3))],
        bonds=[graph.bonds],
        formal_charges=[graph.formal_charges],
    )
    for reason in without_columns(batch).values():
        raise MoleculeError(f"{name} {reason}")
    return batch
