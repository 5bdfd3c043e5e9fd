"""Builds the shipped QM9 sample anew: ``python -m deepchem_ead.molnet.build_sample``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepchem_ead.molnet.qm9pack import load_qm9pack
from deepchem_ead.molnet.sample import STEPS_PER_ANGSTROM
from deepchem_ead.molnet.splits import edm_parts
from deepchem_ead.molnet.table import MoleculeTable

N_SAMPLE = 2_000
SAMPLE_FILE = Path(__file__).parent / "data" / "qm9_sample.npz"


def write_sample(path: str | Path, table: MoleculeTable, seed: int = 0) -> None:
    """Choose 2,000 molecules of the full QM9 `table` at random and write them to `path`.

    Positions are centred and stored as int16 multiples of 1/2048 Angstrom.
    """
    # Not RandomState(0).permutation, whose first 2,000 rows all lie in EDM's training part.
    rows = np.sort(np.random.default_rng(seed).choice(len(table), N_SAMPLE, replace=False))
    parts = edm_parts()[rows]
    sample = table.select(rows)
    padded = sample.to_padded()
    centred = padded[padded[..., 3] > 0][:, :3]
    steps = np.rint(centred * STEPS_PER_ANGSTROM).astype(np.int16)
    np.savez_compressed(
        path,
        atomic_numbers=sample.atomic_numbers,
        coordinate_steps=steps,
        n_atoms=sample.n_atoms,
        index=sample.index,
        smiles=np.char.encode(sample.smiles, "ascii"),
        edm_part=parts,
        **sample.properties,
    )


if __name__ == "__main__":
    write_sample(SAMPLE_FILE, load_qm9pack())
