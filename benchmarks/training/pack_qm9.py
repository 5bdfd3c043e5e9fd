"""Write QM9's training part as one small file, to be carried to a machine without DeepChem.

    python -m benchmarks.pack_qm9 --out FILE [--source sample] [--half 2]
        [--properties alpha gap homo lumo mu Cv]

Coordinates are stored as multiples of 1/2048 Angstrom, as in the sample that comes with the
package: 13 MB for 100,000 molecules. ``--half`` takes one of EDM's two halves of the training part
(conditional generators learn from the second), ``--properties`` adds labels in single precision.
`unpack` needs NumPy only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

STEPS_PER_ANGSTROM = 2048


def pack(path: str | Path, X: np.ndarray, properties: np.ndarray | None = None) -> None:
    """Write molecules X (M, width, 4), real atoms first, and properties (M, P) to an npz file."""
    if properties is None:
        properties = np.zeros((len(X), 0))
    numbers = X[:, :, 3].astype(np.uint8)
    steps = np.rint(X[:, :, :3] * STEPS_PER_ANGSTROM)
    if np.abs(steps).max() > np.iinfo(np.int16).max:
        far = int(np.abs(steps).max((1, 2)).argmax())
        raise ValueError(f"molecule {far} reaches farther than 16 Angstrom from its centre")
    present = numbers > 0
    with open(path, "wb") as file:
        np.savez_compressed(
            file,
            coordinate_steps=steps[present].astype(np.int16),
            atomic_numbers=numbers[present],
            n_atoms=present.sum(1).astype(np.uint8),
            properties=np.asarray(properties, np.float32),
        )


def unpack(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Molecules X (M, width, 4) and properties (M, P) of a file written by `pack`."""
    with np.load(path) as stored:
        counts = stored["n_atoms"].astype(np.int64)
        X = np.zeros((len(counts), int(counts.max()), 4), np.float32)
        present = np.arange(X.shape[1]) < counts[:, None]
        X[present, :3] = stored["coordinate_steps"] / np.float32(STEPS_PER_ANGSTROM)
        X[present, 3] = stored["atomic_numbers"]
        return X, stored["properties"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--source", default="auto", choices=["auto", "qm9pack", "sample"])
    parser.add_argument("--half", type=int, choices=[1, 2])
    parser.add_argument("--properties", nargs="*", default=[])
    arguments = parser.parse_args()
    from deepchem_ead.molnet import load_qm9_3d
    from deepchem_ead.molnet.splits import edm_halves
    from deepchem_ead.properties.labels import task_columns

    _, (train, _, _), _ = load_qm9_3d(source=arguments.source)
    if arguments.half:
        train = train.select(np.sort(edm_halves(len(train))[arguments.half - 1]))
    columns = task_columns(train, arguments.properties) if arguments.properties else []
    pack(arguments.out, train.X, train.y[:, columns])
    size = Path(arguments.out).stat().st_size / 1e6
    print(f"{len(train):,} molecules, {size:.1f} MB: {arguments.out}")


if __name__ == "__main__":
    main()
