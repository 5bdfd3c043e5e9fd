"""The 2,000 QM9 molecules shipped inside the package, for work without the full set.

The molecules are a random subset of QM9 (CC0; Ramakrishnan et al., "Quantum chemistry structures
and properties of 134 kilo molecules", Scientific Data 1, 140022, 2014) as packed by qm9pack 1.0.3
(MIT). Positions are centred and rounded to multiples of 1/2048 Angstrom, an error below
0.0005 Angstrom a coordinate. Properties are not rounded. Each molecule keeps its gdb9 index and
its part of EDM's split.

``python -m deepchem_ead.molnet.sample`` builds the file anew from the full set.
"""

from __future__ import annotations

from importlib import resources

import numpy as np

from deepchem_ead.molnet.qm9pack import load_qm9pack
from deepchem_ead.molnet.splits import edm_parts
from deepchem_ead.molnet.table import MoleculeTable

SAMPLE_VERSION = "1"
N_SAMPLE = 2_000
STEPS_PER_ANGSTROM = 2_048


def load_sample() -> tuple[MoleculeTable, np.ndarray]:
    """The shipped sample.

    Returns
    -------
    table : MoleculeTable
        2,000 molecules in gdb9 order; coordinates in Angstrom, properties in native units.
    parts : ndarray (2000,) int8
        Part of EDM's split: 0 train, 1 valid, 2 test.
    """
    with resources.files("deepchem_ead.molnet").joinpath("data/qm9_sample.npz").open("rb") as file:
        with np.load(file, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
    parts = arrays.pop("edm_part")
    steps = arrays.pop("coordinate_steps")
    return (
        MoleculeTable(
            atomic_numbers=arrays.pop("atomic_numbers"),
            coordinates=steps.astype(np.float32) / STEPS_PER_ANGSTROM,
            n_atoms=arrays.pop("n_atoms"),
            index=arrays.pop("index"),
            smiles=np.char.decode(arrays.pop("smiles"), "ascii"),
            properties=arrays,
        ),
        parts,
    )


def write_sample(path: str, table: MoleculeTable, seed: int = 0) -> None:
    """Choose 2,000 molecules of the full QM9 `table` at random and write them to `path`."""
    rows = np.sort(np.random.RandomState(seed).permutation(len(table))[:N_SAMPLE])
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
    write_sample("deepchem_ead/molnet/data/qm9_sample.npz", load_qm9pack())
