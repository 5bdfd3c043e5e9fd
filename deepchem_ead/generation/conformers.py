"""Conformers of a given graph, with the configuration that it specifies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from rdkit import Chem, rdBase

from deepchem_ead.chem.bond_columns import without_columns
from deepchem_ead.chem.graphs import MolecularGraph
from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.rdkit_io import atoms_of, kekulised_bonds
from deepchem_ead.conformers.configuration import Configuration
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generation.editing import seeded
from deepchem_ead.generation.given import Given
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.trained_tasks import check_task
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding

#: Rounds in which conformers are drawn.
TRIES = 10
#: Conformers drawn in a round for each that is missing, at most.
_MOST = 8


class _Model(Protocol):
    config: EADConfig
    encoding: AtomEncoding
    generate: Callable[..., MoleculeBatch]


def find_conformers(
    model: _Model,
    mol: str | Chem.Mol,
    n: int,
    tries: int,
    check_bonds: bool,
    progress: bool,
    options: SamplingOptions,
) -> Chem.Mol:
    """What `EADModel.conformers` returns; arguments and errors are described there."""
    for name, value in (("n", n), ("tries", tries)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be a whole number from 1, not {value!r}")
    if options.n_atoms is not None:
        raise ValueError("the molecule says how many atoms there are: leave n_atoms out")
    check_task(model.config, "conformer", bonds=True)
    molecule, name = read_graph(mol)
    batch = graph_batch(molecule, name)
    size = int(batch.counts[0])
    if size > model.config.max_atoms:
        raise MoleculeError(
            f"{name} has {size} atoms with hydrogens, and the model knows at most "
            f"{model.config.max_atoms}; take weights of larger molecules"
        )
    start = Given(batch, "conformer")
    start.check(np.array([size]), model.encoding)
    options = replace(seeded(options), start=start, n_atoms=size)
    configuration = Configuration(molecule)
    found: list[np.ndarray] = []
    problems: Counter[str] = Counter()
    drawn = 0
    for attempt in range(tries):
        missing = n - len(found)
        share = len(found) / drawn if drawn else 1.0
        wanted = int(np.ceil(missing / max(share, 1 / _MOST)))
        draw = options if not attempt else replace(options, seed=_next_seed(options, attempt))
        new = model.generate(wanted, progress=progress, options=draw)
        drawn += wanted
        for positions in new.positions:
            right, problem = configuration.righted(positions, check_bonds)
            if problem is None:
                found.append(right)
            else:
                problems[problem] += 1
        if len(found) >= n:
            return _with_conformers(molecule, found[:n])
    why = ", ".join(f"{what} ({count})" for what, count in problems.most_common(5))
    raise MoleculeError(
        f"{name}: {len(found)} of {n} conformers are right after {tries} rounds, {drawn} drawn; "
        f"of the others: {why}; ask for fewer, or allow more tries"
    )


def _next_seed(options: SamplingOptions, attempt: int) -> int:
    assert options.seed is not None
    return int(np.random.SeedSequence([options.seed, attempt]).generate_state(1)[0])


def read_graph(mol: str | Chem.Mol) -> tuple[Chem.Mol, str]:
    """A molecule with all hydrogens and without conformers, and what to call it.

    Raises
    ------
    MoleculeError
        If it is no SMILES, or RDKit refuses the molecule.
    """
    if isinstance(mol, str):
        with rdBase.BlockLogs():
            read = Chem.MolFromSmiles(mol)
        if read is None:
            raise MoleculeError(f"{mol!r} is not a SMILES that RDKit can read")
        name = repr(mol)
    elif isinstance(mol, Chem.Mol):
        read = Chem.Mol(mol)
        with rdBase.BlockLogs():
            try:
                Chem.SanitizeMol(read)
            except ValueError as error:
                raise MoleculeError(f"the molecule is none for RDKit: {error}") from None
        name = repr(Chem.MolToSmiles(Chem.RemoveHs(read)))
    else:
        raise ValueError(f"mol is a {type(mol).__name__}; give a SMILES or an RDKit molecule")
    read.RemoveAllConformers()
    return Chem.AddHs(read), name


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

    atoms = atoms_of(molecule)
    refuse(not atoms, "has no atoms")
    numbers = [atom.GetAtomicNum() for atom in atoms]
    refuse(0 in numbers, "holds a dummy atom (*); give it an element")
    parts = len(Chem.GetMolFrags(molecule))
    refuse(
        parts > 1,
        f"consists of {parts} parts, whose places to each other a conformer does not say; give "
        "one of them",
    )
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


def _with_conformers(molecule: Chem.Mol, positions: list[np.ndarray]) -> Chem.Mol:
    for k, x in enumerate(positions):
        conformer = Chem.Conformer(len(x))
        conformer.SetPositions(np.ascontiguousarray(x, dtype=np.float64))
        conformer.SetId(k)
        molecule.AddConformer(conformer)
    return molecule
