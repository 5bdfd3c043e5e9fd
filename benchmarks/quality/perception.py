"""Bonds of bare geometries: how many molecules of QM9's test part a model gets right.

Right is a molecule all of whose bonds and formal charges are those of its own SMILES, as canonical
SMILES without stereo labels. Beside the model: `MoleculeBatch.with_bonds`, which needs none.

Usage: python -m benchmarks.perception --model FOLDER [--n 1000] [--source qm9pack]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from rdkit import Chem

from deepchem_ead import EADModel, MoleculeBatch, perceive_bonds
from deepchem_ead.molnet import load_qm9_3d


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--source", default=None, help="of QM9: as load_qm9_3d takes it")
    arguments = parser.parse_args()
    source = {} if arguments.source is None else {"source": arguments.source}
    _, (_, _, test), _ = load_qm9_3d(bonds=True, **source)
    known = MoleculeBatch.from_padded(test.X[: arguments.n])
    if known.graphs is not None:
        known = known[np.flatnonzero(known.graphs.bonds_given)]
    bare = MoleculeBatch.from_arrays(known.numbers, known.positions)
    model = EADModel.from_pretrained(arguments.model, device="cpu")
    right = plain_smiles(known)
    for name, find in (
        (f"perceive_bonds, {arguments.model}", lambda: perceive_bonds(bare, model=model)),
        ("with the total charge", lambda: perceive_bonds(bare, known.charges, model)),
        ("with_bonds, without a model", bare.with_bonds),
    ):
        began = time.process_time()
        found = plain_smiles(find())
        seconds = time.process_time() - began
        share = np.mean([a == b for a, b in zip(found, right, strict=True)])
        error = np.sqrt(share * (1 - share) / len(right))
        print(
            f"{name}: {share:.2%} +- {error:.2%} of {len(right)} molecules right, "
            f"{1000 * seconds / len(right):.1f} s of processor time for 1,000"
        )


def plain_smiles(molecules: MoleculeBatch) -> list[str | None]:
    """Canonical SMILES without stereo labels, None of what is no molecule."""
    return [
        None if mol is None else Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False)
        for mol in molecules.to_rdkit()
    ]


if __name__ == "__main__":
    main()
