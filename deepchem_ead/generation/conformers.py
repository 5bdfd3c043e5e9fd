"""Conformers of a given graph, with the configuration that it specifies."""

from __future__ import annotations

from collections.abc import Callable
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
from deepchem_ead.generation.editing import seeded
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

    Raises
    ------
    MoleculeError
        If the model does not know such molecules.
    ValueError
        If it was not trained for conformers.
    """

    method, rough = "model", False

    def __init__(
        self, model: _Model, molecule: Chem.Mol, name: str, options: SamplingOptions, progress: bool
    ) -> None:
        _check_asked(model, options)
        batch = graph_batch(molecule, name)
        size = int(batch.counts[0])
        if size > model.config.max_atoms:
            raise MoleculeError(
                f"{name} has {size} atoms with hydrogens, and the model knows at most "
                f"{model.config.max_atoms}; take weights of larger molecules"
            )
        start = Given(batch, "conformer", stereo=graph_stereo(molecule))
        start.check(np.array([size]), model.encoding)
        self._model, self._progress = model, progress
        self._options = replace(seeded(options), start=start, n_atoms=size)

    def draw(self, n: int, attempt: int) -> list[np.ndarray]:
        """Positions of n samples."""
        options = self._options
        if attempt:
            options = replace(options, seed=_next_seed(options, attempt))
        return list(self._model.generate(n, progress=self._progress, options=options).positions)


def find_conformers(
    model: _Model,
    mol: str | Chem.Mol,
    wanted: ConformerOptions,
    start: Chem.Mol | None,
    progress: bool,
    options: SamplingOptions,
) -> Chem.Mol:
    """What `EADModel.conformers` returns; arguments and errors are described there."""
    _check_asked(model, options)
    molecule, name = read_graph(mol)
    if start is None and isinstance(mol, Chem.Mol) and any(c.Is3D() for c in mol.GetConformers()):
        warn_caller(f"{name}: its own conformers are not used; start=mol lets them take part")

    def source(molecule: Chem.Mol, name: str) -> ModelSource:
        return ModelSource(model, molecule, name, options, progress)

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
