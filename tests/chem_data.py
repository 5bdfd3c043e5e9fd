"""Real molecules for the chem and viz tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepchem_ead.chem import MoleculeBatch

DATA = Path(__file__).parent / "data"


def qm9() -> tuple[MoleculeBatch, list[str]]:
    """60 molecules of QM9 without bonds, and their SMILES in QM9, without stereo."""
    with np.load(DATA / "qm9_60.npz") as stored:
        cuts = np.cumsum(stored["counts"])[:-1]
        batch = MoleculeBatch.from_arrays(
            np.split(stored["numbers"], cuts),
            np.split(stored["positions"], cuts),
            ids=[f"gdb_{i}" for i in stored["gdb9"]],
        )
        return batch, stored["smiles"].tolist()


def broken_qm9() -> MoleculeBatch:
    """The same molecules, every fifth of them without its last atom: a radical."""
    batch, _ = qm9()
    cut = [len(n) - (i % 5 == 4) for i, n in enumerate(batch.numbers)]
    return MoleculeBatch.from_arrays(
        [n[:k] for n, k in zip(batch.numbers, cut, strict=True)],
        [p[:k] for p, k in zip(batch.positions, cut, strict=True)],
        ids=batch.ids,
    )
