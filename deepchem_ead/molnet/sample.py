"""The 2,000 QM9 molecules shipped inside the package, for work without the full set.

The molecules are a random subset of QM9 (CC0; Ramakrishnan et al., "Quantum chemistry structures
and properties of 134 kilo molecules", Scientific Data 1, 140022, 2014) as packed by qm9pack 1.0.3
(MIT). Positions are centred and rounded to multiples of 1/2048 Angstrom, an error below
0.0005 Angstrom a coordinate. Properties are not rounded. Each molecule keeps its gdb9 index and
its part of EDM's split.

``python -m deepchem_ead.molnet.build_sample`` builds the file anew from the full set.
"""

from __future__ import annotations

from importlib import resources

import numpy as np

from deepchem_ead.molnet.table import MoleculeTable

SAMPLE_VERSION = "1"
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
