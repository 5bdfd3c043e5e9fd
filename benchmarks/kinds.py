"""What kinds of valid molecules are generated, beside the data: rings, unsaturation, elements.

    python -m benchmarks.kinds FOLDER_OR_FILE ...

Each argument is a molecule file, or a folder of parts made by another benchmark, one row for each
of its runs. Stability and validity say nothing about this: a model that makes the same easy kind of
molecule again and again has the best of both.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from deepchem_ead import MoleculeBatch, load_qm9_3d

TRIPLE_BOND, NITROGEN, OXYGEN = map(Chem.MolFromSmarts, ("*#*", "[#7]", "[#8]"))
KINDS = {
    "rings": rdMolDescriptors.CalcNumRings,
    "no ring, %": lambda mol: 100 * (rdMolDescriptors.CalcNumRings(mol) == 0),
    "aromatic, %": lambda mol: 100 * (rdMolDescriptors.CalcNumAromaticRings(mol) > 0),
    "triple bond, %": lambda mol: 100 * mol.HasSubstructMatch(TRIPLE_BOND),
    "sp3 carbon, %": lambda mol: 100 * rdMolDescriptors.CalcFractionCSP3(mol),
    "N": lambda mol: len(mol.GetSubstructMatches(NITROGEN)),
    "O": lambda mol: len(mol.GetSubstructMatches(OXYGEN)),
}


def row(name: str, smiles: Iterable[str | None]) -> str:
    """Means over the valid molecules as a line of Markdown."""
    mols = [Chem.MolFromSmiles(text) for text in smiles if text]
    means = [np.mean([kind(mol) for mol in mols]) for kind in KINDS.values()]
    cells = [
        f"{mean:.1f}" if "%" in kind else f"{mean:.2f}"
        for kind, mean in zip(KINDS, means, strict=True)
    ]
    return f"| {name} | {len(mols):,} | " + " | ".join(cells) + " |"


def runs_of(path: Path) -> dict[str, list[Path]]:
    """Files of molecules by the name of their run."""
    if path.is_file():
        return {path.name: [path]}
    runs = defaultdict(list)
    for record in sorted(path.glob("*.json")):
        run = json.loads(record.read_text()).get("run")
        if run is not None:
            runs[f"{path.name}: {run}"].append(record.with_suffix(".xyz"))
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="FOLDER_OR_FILE")
    arguments = parser.parse_args()
    print("| | valid molecules | " + " | ".join(KINDS) + " |")
    print("|---" * (len(KINDS) + 2) + "|")
    for path in arguments.paths:
        for name, files in runs_of(path).items():
            batches = [MoleculeBatch.read(file) for file in files]
            print(row(name, [text for batch in batches for text in batch.smiles]), flush=True)
    _, (train, _, _), _ = load_qm9_3d()
    print(row("QM9, every tenth molecule", map(str, train.ids[::10])))


if __name__ == "__main__":
    main()
