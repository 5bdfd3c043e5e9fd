"""Files of conformers beside a file of reference conformers."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from rdkit import Chem

from deepchem_ead.chem.files import read_records
from deepchem_ead.chem.rdkit_io import molecule_of
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics.conformers import ConformersReport, evaluate_conformers


class ConformersJudged(NamedTuple):
    """Conformers of a file beside a reference.

    Attributes
    ----------
    report : ConformersReport
    smiles : list of str
        Molecules of the reference, in the report's order.
    without_reference : dict of str to int
        Molecules that the reference lacks, and how many records they have: they are not judged.
    """

    report: ConformersReport
    smiles: list[str]
    without_reference: dict[str, int]


def judge_conformers(
    path: str | os.PathLike,
    reference: str | os.PathLike,
    thresholds: Sequence[float] = (0.5, 0.75),
    workers: int | None = None,
) -> ConformersJudged:
    """Coverage and matching of the conformers in a file, by molecule.

    Each record is one conformer; those of one molecule need not stand together, nor number their
    atoms alike. Molecules are told apart by their constitution, and by their stereo where the
    reference has several stereoisomers of one constitution; else another stereo is a conformer that
    has not kept it.

    Parameters
    ----------
    path, reference : path
        SDF or MOL files with bonds and all hydrogens; see `evaluate_conformers`. A molecule of the
        reference that ``path`` lacks is a failure.
    thresholds : sequence of float
        Angstrom.
    workers : int, optional
        Processes.

    Raises
    ------
    MoleculeError
        If a record cannot be read, or a file has no molecule of the reference.
    """
    wanted = _ensembles(_molecules(reference), None)
    shown = _ensembles(_molecules(path), set(wanted))
    unknown = {name: mol.GetNumConformers() for name, mol in shown.items() if name not in wanted}
    if len(unknown) == len(shown):
        raise MoleculeError(f"{path} has no molecule of {reference}")
    found = [shown.get(name) for name in wanted]
    report = evaluate_conformers(list(wanted.values()), found, thresholds, workers=workers)
    return ConformersJudged(report, list(wanted), unknown)


def _molecules(path: str | os.PathLike) -> Iterable[Chem.Mol]:
    for number, record in enumerate(read_records(path), 1):
        graph = record.graph
        mol = None
        if graph is not None and graph.bonds is not None:
            mol = molecule_of(record.numbers, record.positions, graph=graph)
        if mol is None:
            raise MoleculeError(
                f"{path}, record {number}: conformers are of a graph; give files with the bonds"
            )
        yield mol


def _ensembles(mols: Iterable[Chem.Mol], known: set[str] | None) -> dict[str, Chem.Mol]:
    """Molecules with all their conformers by SMILES, where it is clear those that are known."""
    isomers: dict[str, list[str]] = defaultdict(list)
    for smiles in known or ():
        isomers[_flat(Chem.MolFromSmiles(smiles))].append(smiles)
    found: dict[str, Chem.Mol] = {}
    for mol in mols:
        bare = Chem.RemoveHs(mol)
        name = Chem.MolToSmiles(bare)
        own = isomers.get(_flat(bare), [])
        name = own[0] if len(own) == 1 else name
        first = found.setdefault(name, mol)
        if first is not mol:
            order = mol.GetSubstructMatch(first)
            conformer = Chem.Conformer(mol.GetNumAtoms())
            x = np.asarray(mol.GetConformer().GetPositions())[list(order)]
            conformer.SetPositions(np.ascontiguousarray(x))
            first.AddConformer(conformer, assignId=True)
    return found


def _flat(mol: Chem.Mol) -> str:
    return Chem.MolToSmiles(mol, isomericSmiles=False)
