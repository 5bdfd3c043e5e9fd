"""Write the SMILES of QM9's 100,000 training molecules that come with the package.

    python -m benchmarks.pack_reference

It takes some minutes a protocol. Run it when a protocol has changed (raise ``VERSION`` in
``metrics/shipped.py`` then).
"""

from __future__ import annotations

from pathlib import Path

import deepchem_ead
from deepchem_ead.metrics.inputs import as_batch
from deepchem_ead.metrics.reference import compute_smiles
from deepchem_ead.metrics.shipped import write_shipped


def main() -> None:
    """Compute and write the files of both protocols."""
    folder = Path(deepchem_ead.__file__).parent / "metrics" / "data"
    _, (train, _, _), _ = deepchem_ead.load_qm9_3d()
    batch = as_batch(train)
    for protocol in ("edm", "strict"):
        smiles = compute_smiles(batch, protocol, "qm9")
        path = write_shipped(batch, smiles, protocol, "qm9", folder)
        print(f"{path}: {len(smiles):,} SMILES, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
