"""A tiny model that knows bonds, charges and every task, and molecules of QM9 with bonds."""

from __future__ import annotations

from functools import cache

import deepchem as dc
import numpy as np

from deepchem_ead import EADModel, MoleculeBatch
from deepchem_ead.molnet.sample import load_sample

TINY_JOINT = {
    "n_layers": 1, "n_features": 32, "n_heads": 4, "batch_size": 8,
    "tasks": "free,edit,shape,conformer,perceive",
}  # fmt: skip
#: Few steps: what is kept does not depend on how well the rest is made.
QUICK = {"steps": 2, "schedule": "synchronous", "seed": 0, "progress": False}


@cache
def sample_molecules() -> MoleculeBatch:
    """The molecules of the sample that have a closed-shell structure, with bonds."""
    table, _ = load_sample()
    mols = MoleculeBatch.from_padded(table.to_padded(29)).to_rdkit()
    return MoleculeBatch.from_rdkit([mol for mol in mols if mol is not None])


@cache
def joint_model() -> EADModel:
    """It has seen forty molecules."""
    model = EADModel("qm9-joint", **TINY_JOINT)
    X = sample_molecules()[np.arange(0, 2000, 50)].to_padded(29, with_bonds=True)
    model.fit(dc.data.NumpyDataset(X), nb_epoch=1)
    return model


def bonds_among(batch: MoleculeBatch, i: int, atoms) -> set[tuple[int, int, int]]:
    """Bonds between some atoms of a molecule, numbered by their place among these."""
    place = {int(atom): k for k, atom in enumerate(atoms)}
    return {
        (*sorted((place[a], place[b])), order)
        for a, b, order in batch.graph(i).bonds.tolist()
        if a in place and b in place
    }
