"""Real molecules for the chem and viz tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepchem_ead.chem import MoleculeBatch

DATA = Path(__file__).parent / "data"


def qm9() -> tuple[MoleculeBatch, list[str | None]]:
    """60 molecules of QM9 and the SMILES that EDM's reference code gives them (None: invalid)."""
    with np.load(DATA / "qm9_60.npz") as stored:
        cuts = np.cumsum(stored["counts"])[:-1]
        batch = MoleculeBatch.from_arrays(
            np.split(stored["numbers"], cuts),
            np.split(stored["positions"], cuts),
            ids=[f"gdb_{i}" for i in stored["gdb9"]],
        )
        return batch, [text or None for text in stored["edm_smiles"].tolist()]
