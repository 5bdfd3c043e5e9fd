"""What kinds of valid molecules are generated, beside the data: rings, unsaturation, elements.

    python -m benchmarks.kinds FOLDER_OR_FILE ... [--frechet]

Each argument is a molecule file, or a folder of parts made by another benchmark, one row for each
of its runs. Stability and validity say nothing about this: a model that makes the same easy kind of
molecule again and again has the best of both. Bonds are perceived by the strict protocol for all
rows, since EDM's table of lengths misses aromatic rings.

``--frechet`` (``pip install fcd``) adds the Frechet ChemNet distance to QM9's test part. It falls
with the number of molecules, so that all rows take equally many: those of the smallest.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from benchmarks.tables import markdown
from deepchem_ead import MoleculeBatch, evaluate_molecules, load_qm9_3d

TRIPLE_BOND, NITROGEN, OXYGEN = map(Chem.MolFromSmarts, ("*#*", "[#7]", "[#8]"))
KINDS = {
    "rings": rdMolDescriptors.CalcNumRings,
    "no ring, %": lambda mol: 100 * (rdMolDescriptors.CalcNumRings(mol) == 0),
    "four rings or more, %": lambda mol: 100 * (rdMolDescriptors.CalcNumRings(mol) > 3),
    "aromatic, %": lambda mol: 100 * (rdMolDescriptors.CalcNumAromaticRings(mol) > 0),
    "triple bond, %": lambda mol: 100 * mol.HasSubstructMatch(TRIPLE_BOND),
    "sp3 carbon, %": lambda mol: 100 * rdMolDescriptors.CalcFractionCSP3(mol),
    "N": lambda mol: len(mol.GetSubstructMatches(NITROGEN)),
    "O": lambda mol: len(mol.GetSubstructMatches(OXYGEN)),
    "over nine heavy atoms, %": lambda mol: 100 * (mol.GetNumHeavyAtoms() > 9),
}


def perceived(molecules: MoleculeBatch) -> list[Chem.Mol]:
    """The molecules that the strict protocol calls valid, without hydrogen and stereo."""
    report = evaluate_molecules(molecules, protocol="strict", progress=False).per_molecule
    found = (Chem.MolFromSmiles(text) for text in report.smiles[report.valid])
    return [mol for mol in found if mol is not None]


def cells(mols: list[Chem.Mol]) -> list[str]:
    """Number of molecules, then mean and standard error of each kind."""
    found = [f"{len(mols):,}"]
    for name, kind in KINDS.items():
        values = np.array([kind(mol) for mol in mols], dtype=float)
        digits = 1 if "%" in name else 2
        error = values.std(ddof=1) / np.sqrt(len(values))
        found.append(f"{values.mean():.{digits}f} ± {error:.{digits}f}")
    return found


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


def distances(
    rows: dict[str, list[Chem.Mol]], reference: list[Chem.Mol], n_parts: int = 4
) -> tuple[dict[str, str], int]:
    """Frechet ChemNet distances with errors, and how many molecules of each row they are of.

    The error is the standard deviation of the distances of ``n_parts`` random disjoint parts over
    the root of their number.
    """
    from fcd import calculate_frechet_distance, get_predictions, load_ref_model

    network = load_ref_model()

    def moments(activations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return activations.mean(0), np.cov(activations.T)

    def activations(mols: list[Chem.Mol]) -> np.ndarray:
        return get_predictions(network, [Chem.MolToSmiles(mol) for mol in mols])

    known = moments(activations(reference))
    n = min(map(len, rows.values()))
    rng = np.random.default_rng(0)
    found = {}
    for name, mols in rows.items():
        made = activations([mols[i] for i in rng.permutation(len(mols))[:n]])
        whole, *parts = (
            calculate_frechet_distance(*moments(part), *known)
            for part in (made, *np.array_split(made, n_parts))
        )
        found[name] = f"{whole:.2f} ± {np.std(parts, ddof=1) / n_parts**0.5:.2f}"
    return found, n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="FOLDER_OR_FILE")
    parser.add_argument("--frechet", action="store_true", help="distance to the data (needs fcd)")
    arguments = parser.parse_args()
    rows = {}
    for path in arguments.paths:
        for name, files in runs_of(path).items():
            batches = [MoleculeBatch.read(file) for file in files]
            rows[name] = perceived(MoleculeBatch.concatenate(batches))
    _, (train, _, test), _ = load_qm9_3d()
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.choice(len(train), 10_000, replace=False))
    rows["QM9, 10,000 at random"] = perceived(MoleculeBatch.from_padded(train.X[drawn]))
    print(markdown(["", "valid molecules", *KINDS], ([k, *cells(m)] for k, m in rows.items())))
    if arguments.frechet:
        found, n = distances(rows, perceived(MoleculeBatch.from_padded(test.X)))
        print("\n" + markdown(["", f"distance to QM9's test part, n = {n:,}"], found.items()))


if __name__ == "__main__":
    main()
