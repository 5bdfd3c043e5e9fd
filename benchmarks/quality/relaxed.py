"""Do molecules keep what they were asked for? Relaxed geometries, and a judge that is no network.

    python -m benchmarks.relaxed FOLDER [--properties gap mu] [--seed 0] [--n 500] [--xtb]
    python -m benchmarks.relaxed FILE       # molecules without a request: how far they move

FOLDER comes from `benchmarks.conditional`. Its valid molecules are relaxed with MMFF94 (RDKit), and
the oracle predicts again: a guide that bends geometries to please networks would lose what it won.
The same is done with real molecules of QM9's test part, drawn at random with the same numbers of
atoms, where it shows what the force field costs the oracle. With ``--xtb`` (``pip install tblite``)
dipole moments as generated are calculated by GFN2-xTB, too. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem

from benchmarks.conditional import part_stem
from benchmarks.tables import markdown
from deepchem_ead import EGNNPropertyModel, MoleculeBatch, load_qm9_3d
from deepchem_ead.metrics.conditional_table import heading, number
from deepchem_ead.metrics.property_units import field_unit

_BOHR, _DEBYE = 0.529177210903, 2.541746473


def relaxed(molecules: MoleculeBatch) -> tuple[list[int], MoleculeBatch, np.ndarray]:
    """Molecules that MMFF94 could relax: their numbers, they, and how far their atoms moved (A)."""
    kept, found, moved = [], [], []
    for i, mol in enumerate(molecules.to_rdkit()):
        if mol is None:
            continue
        after = Chem.Mol(mol)
        try:
            Chem.SanitizeMol(after)
            converged = AllChem.MMFFOptimizeMolecule(after, maxIters=2000) == 0
        except ValueError:  # no such atom types, or no valid structure
            continue
        if converged:
            same = [(k, k) for k in range(mol.GetNumAtoms())]
            moved.append(AllChem.AlignMol(Chem.Mol(mol), after, atomMap=same))
            kept.append(i)
            found.append(after)
    return kept, MoleculeBatch.from_rdkit(found), np.array(moved)


def of_equal_sizes(molecules: MoleculeBatch, data: np.ndarray) -> np.ndarray:
    """For each molecule a row of padded data (n, atoms, 4) of its size, at random, none twice."""
    rng = np.random.default_rng(0)
    n_atoms = MoleculeBatch.from_padded(data).counts
    rows = {size: rng.permutation(np.flatnonzero(n_atoms == size)) for size in np.unique(n_atoms)}
    found = []
    for size, wanted in zip(*np.unique(molecules.counts, return_counts=True), strict=True):
        found.extend(rows.get(size, np.array([], int))[:wanted])
    return np.sort(found)


def moved_by(distances: np.ndarray) -> str:
    """Median and its standard error by bootstrap."""
    rng = np.random.default_rng(0)
    again = np.median(rng.choice(distances, (1000, len(distances))), axis=1)
    return f"{np.median(distances):.3f} ± {again.std():.3f}"


def print_moves(path: Path, data: np.ndarray, n: int) -> None:
    """How far the valid molecules of a file move, beside real ones of equal sizes."""
    molecules = MoleculeBatch.read(path)[:n]
    kept, _, moved = relaxed(molecules)
    alike = MoleculeBatch.from_padded(data[of_equal_sizes(molecules[kept], data)])
    rows = {path.name: moved, "QM9's test part": relaxed(alike)[2]}
    print(
        markdown(
            ["", "n", "moved by, A"], ([k, f"{len(m):,}", moved_by(m)] for k, m in rows.items())
        )
    )


def dipoles(molecules: MoleculeBatch) -> np.ndarray:
    """Dipole moments (Debye) by GFN2-xTB, NaN where it does not converge."""
    from tblite.interface import Calculator

    found = np.full(len(molecules), np.nan)
    for i in range(len(molecules)):
        numbers, positions = molecules.atoms(i)
        calculator = Calculator("GFN2-xTB", numbers, positions.astype(float) / _BOHR)
        calculator.set("verbosity", 0)
        try:
            found[i] = np.linalg.norm(calculator.singlepoint().get("dipole")) * _DEBYE
        except RuntimeError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER_OR_FILE")
    parser.add_argument("--oracle", default="qm9-properties")
    parser.add_argument("--properties", nargs="+", default=["gap", "homo", "lumo", "mu"])
    parser.add_argument("--scale", type=float, default=0.0, help="of classifier-free guidance")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--xtb", action="store_true")
    arguments = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")  # it warns of molecules without hydrogen, which exist
    oracle = EGNNPropertyModel.from_pretrained(arguments.oracle)
    _, (_, _, test), _ = load_qm9_3d(tasks=list(oracle.tasks))
    if arguments.folder.is_file():
        print_moves(arguments.folder, test.X, arguments.n)
        return
    sets = {}
    for task in arguments.properties:
        stem = part_stem(arguments.folder, [task], arguments.scale, arguments.seed)
        records = pd.read_csv(f"{stem}.csv.gz")[: arguments.n]
        molecules = MoleculeBatch.read(f"{stem}.xyz")[: arguments.n]
        valid = np.flatnonzero(records.valid)
        sets[task] = molecules[valid], records.target.to_numpy()[valid]

    print("| mean absolute error | n | as generated | relaxed | moved by, A | real, n | as in QM9 |"
          " relaxed | moved by, A |\n" + "|---" * 9 + "|")  # fmt: skip
    for task, (molecules, target) in sets.items():
        column, factor = oracle.tasks.index(task), field_unit(task).factor
        rows = of_equal_sizes(molecules, test.X)
        real = MoleculeBatch.from_padded(test.X[rows]), test.y[rows, column]
        cells = []
        for batch, wanted in ((molecules, target), real):
            kept, after, moved = relaxed(batch)
            cells.append(len(kept))
            for judged in (batch[kept], after):
                predicted = oracle.predict_molecules(judged)[:, column]
                cells.append(number(factor * np.abs(predicted - wanted[kept]).mean()))
            cells.append(moved_by(moved))
        print(f"| {heading(task)} | " + " | ".join(map(str, cells)) + " |", flush=True)
    if arguments.xtb:
        molecules, target = sets["mu"]
        column = oracle.tasks.index("mu")
        chosen = of_equal_sizes(molecules, test.X)
        real = MoleculeBatch.from_padded(test.X[chosen])
        rows = {
            "asked for": (molecules, target, oracle.predict_molecules(molecules)[:, column]),
            "real": (real, test.y[chosen, column], oracle.predict_molecules(real)[:, column]),
        }
        print("\n| dipole moment | n | GFN2-xTB, D | correlation | oracle, D | correlation |")
        print("|---" * 6 + "|")
        for name, (batch, wanted, predicted) in rows.items():
            calculated = dipoles(batch)
            known = np.isfinite(calculated)
            cells = [f"{known.sum():,}"]
            for values in (calculated, predicted):
                error = np.abs(values - wanted)[known].mean()
                cells += [number(error), f"{np.corrcoef(values[known], wanted[known])[0, 1]:.3f}"]
            print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
