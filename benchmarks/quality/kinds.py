"""What kinds of valid molecules are generated, beside the data: rings, unsaturation, elements.

    python -m benchmarks.kinds FOLDER_OR_FILE ... [--plain ROW] [--frechet]

Each argument is a molecule file, or a folder of parts made by another benchmark, one row for each
of its runs. Stability and validity say nothing about this: a model that makes the same easy kind of
molecule again and again has the best of both. Bonds are perceived by the strict protocol for all
rows, since EDM's table of lengths misses aromatic rings.

``--plain`` names the row of the plain sampler, which draws from what the model has learned: how far
the others shift each kind from it, with errors. Settings that shift one by more than a tenth, the
way that less noise does, are a low temperature.

``--frechet`` (``pip install fcd``) adds the Frechet ChemNet distance to QM9's test part. It falls
with the number of molecules, so that all rows take equally many: those of the smallest.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rdkit import Chem

from benchmarks.parts import molecule_file
from benchmarks.tables import markdown
from deepchem_ead import MoleculeBatch, evaluate_molecules, load_qm9_3d
from deepchem_ead.metrics.sets.kinds import KINDS, table_of

LABELS = {
    "rings": "rings",
    "no_ring": "no ring, %",
    "many_rings": "four rings or more, %",
    "aromatic": "aromatic, %",
    "triple_bond": "triple bond, %",
    "sp3_carbon": "sp3 carbon, %",
    "nitrogen": "N",
    "oxygen": "O",
    "over_nine": "over nine heavy atoms, %",
}
#: Kinds by which a temperature shows, and which way less noise shifts them.
TELLING = {"rings": 1, "triple_bond": -1, "sp3_carbon": 1, "nitrogen": -1, "aromatic": -1}
#: Largest shift of one from the plain sampler that is no low temperature.
LIMIT = 0.10
DATA = "QM9, 10,000 at random"


def perceived(molecules: MoleculeBatch) -> list[Chem.Mol]:
    """The molecules that the strict protocol calls valid, without hydrogen and stereo."""
    report = evaluate_molecules(molecules, protocol="strict", progress=False).per_molecule
    found = (Chem.MolFromSmiles(text) for text in report.smiles[report.valid])
    return [mol for mol in found if mol is not None]


def values_of(mols: list[Chem.Mol]) -> dict[str, np.ndarray]:
    """Of each molecule (N,) by kind."""
    found = dict(zip(KINDS, table_of(mols).T, strict=True))
    heavy = np.array([mol.GetNumHeavyAtoms() for mol in mols])
    return found | {"over_nine": (heavy > 9).astype(float)}


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean and its standard error, NaN of too few."""
    if len(values) < 2:
        return float("nan"), float("nan")
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def cells(mols: list[Chem.Mol]) -> list[str]:
    """Number of molecules, then mean and standard error of each kind."""
    found, values = [f"{len(mols):,}"], values_of(mols)
    for name, label in LABELS.items():
        factor, digits = (100, 1) if "%" in label else (1, 2)
        mean, error = mean_and_error(values[name])
        found.append(f"{factor * mean:.{digits}f} ± {factor * error:.{digits}f}")
    return found


class Shift(NamedTuple):
    """How far a kind lies from the plain sampler's, as a share of that, and its standard error."""

    by: float
    error: float

    @property
    def told(self) -> bool:
        """Whether it is beyond `LIMIT`, and not by chance (two standard errors from none)."""
        return abs(self.by) > max(LIMIT, 2 * self.error)

    @property
    def open(self) -> bool:
        """Whether as large a shift as `LIMIT` cannot be excluded."""
        return not self.told and abs(self.by) + 2 * self.error > LIMIT

    def __str__(self) -> str:
        return f"{100 * self.by:+.0f} ± {100 * self.error:.0f}"


def shifts(mols: list[Chem.Mol], plain: list[Chem.Mol]) -> dict[str, Shift]:
    """Shifts of `TELLING` kinds of two samples that are independent."""
    own, other = values_of(mols), values_of(plain)
    found = {}
    for name in TELLING:
        (a, a_error), (b, b_error) = mean_and_error(own[name]), mean_and_error(other[name])
        if a == 0:  # of none nothing is known below one
            a_error = 1 / len(own[name])
        ratio = a / b if b else float("nan")
        error = np.hypot(a_error, ratio * b_error) / b if b else float("nan")
        found[name] = Shift(ratio - 1, float(error))
    return found


def verdict(found: dict[str, Shift]) -> str:
    """What shifts say about a setting's temperature."""
    told = [np.sign(shift.by) * TELLING[name] for name, shift in found.items() if shift.told]
    if told:
        return "**low temperature**" if sum(told) > 0 else "**other kinds**"
    unsure = sum(shift.open or not np.isfinite(shift.by) for shift in found.values())
    return f"open ({unsure} of {len(found)} kinds)" if unsure else "no"


def temperature_table(rows: dict[str, list[Chem.Mol]], plain: str) -> str:
    """Markdown: shifts of all rows from the plain one, in percent, and what they say."""
    head = [f"shift from {plain}, %", *(LABELS[name].removesuffix(", %") for name in TELLING)]
    found = {name: shifts(mols, rows[plain]) for name, mols in rows.items() if name != plain}
    body = [
        [name, *map(str, each.values()), "-" if name == DATA else verdict(each)]
        for name, each in found.items()
    ]
    return markdown([*head, "temperature"], body)


def runs_of(path: Path) -> dict[str, list[Path]]:
    """Files of molecules by the name of their run."""
    if path.is_file():
        return {path.name: [path]}
    runs = defaultdict(list)
    for record in sorted(path.glob("*.json")):
        run = json.loads(record.read_text()).get("run")
        if run is not None:
            runs[f"{path.name}: {run}"].append(molecule_file(record))
    return runs


def distances(
    rows: dict[str, list[Chem.Mol]], reference: list[Chem.Mol], n_parts: int = 4, n: int = 0
) -> tuple[dict[str, str], int]:
    """Frechet ChemNet distances with errors, and how many molecules of each row they are of.

    Those of the smallest row, or ``n``: rows of fewer are left out. The error is the standard
    deviation of the distances of ``n_parts`` random disjoint parts over the root of their number.
    """
    from fcd import calculate_frechet_distance, get_predictions, load_ref_model

    network = load_ref_model()

    def moments(activations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return activations.mean(0), np.cov(activations.T)

    def activations(mols: list[Chem.Mol]) -> np.ndarray:
        return get_predictions(network, [Chem.MolToSmiles(mol) for mol in mols])

    known = moments(activations(reference))
    n = n or min(map(len, rows.values()))
    rows = {name: mols for name, mols in rows.items() if len(mols) >= n}
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


def data_parts() -> tuple[list[Chem.Mol], list[Chem.Mol]]:
    """10,000 random molecules of QM9's training part, and its test part, as perceived."""
    _, (train, _, test), _ = load_qm9_3d()
    drawn = np.sort(np.random.default_rng(0).choice(len(train), 10_000, replace=False))
    parts = (MoleculeBatch.from_padded(X) for X in (train.X[drawn], test.X))
    some, held_out = map(perceived, parts)
    return some, held_out


def kinds_table(rows: dict[str, list[Chem.Mol]]) -> str:
    """Markdown: mean and standard error of each kind."""
    head = ["", "valid molecules", *LABELS.values()]
    return markdown(head, ([name, *cells(mols)] for name, mols in rows.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="FOLDER_OR_FILE")
    parser.add_argument("--frechet", action="store_true", help="distance to the data (needs fcd)")
    parser.add_argument("--plain", metavar="ROW", help="the plain sampler's row, FOLDER: RUN")
    arguments = parser.parse_args()
    rows = {}
    for path in arguments.paths:
        for name, files in runs_of(path).items():
            batches = [MoleculeBatch.read(file) for file in files]
            rows[name] = perceived(MoleculeBatch.concatenate(batches))
    if arguments.plain not in (None, *rows):
        parser.error(f"no row {arguments.plain!r}; there are: {'; '.join(rows)}")
    rows[DATA], held_out = data_parts()
    print(kinds_table(rows))
    if arguments.plain is not None:
        print("\n" + temperature_table(rows, arguments.plain))
    if arguments.frechet:
        found, n = distances(rows, held_out)
        print("\n" + markdown(["", f"distance to QM9's test part, n = {n:,}"], found.items()))


if __name__ == "__main__":
    main()
