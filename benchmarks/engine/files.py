"""What reading, writing and perceiving molecules cost, also beside another version of the package.

``python -m benchmarks.files`` writes the shipped QM9 sample and drug-like molecules to SDF and XYZ
files and prints the CPU seconds of each task. ``--against DIR`` runs the same tasks with the
package in another checkout, in turns, and adds its seconds and the ratio. Minima of all rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

_MOLECULES = 10_000
_JUDGED = 1_000
_DRUGS = 100


def write_inputs(folder: Path) -> None:
    """The files that every version reads: QM9's molecules in both formats, and drug-like ones."""
    from rdkit import Chem, RDConfig
    from rdkit.Chem import AllChem

    from deepchem_ead import MoleculeBatch
    from deepchem_ead.molnet.sample import load_sample

    table, _ = load_sample()
    batch = MoleculeBatch.from_padded(table.to_padded(29))
    batch = MoleculeBatch.concatenate([batch] * (_MOLECULES // len(batch)))
    batch.to_xyz(folder / "qm9.xyz")
    batch.to_sdf(folder / "qm9.sdf")
    batch[:_JUDGED].to_xyz(folder / "judged.xyz")
    drugs = []
    supplier = Chem.SDMolSupplier(str(Path(RDConfig.RDDataDir) / "NCI" / "first_200.props.sdf"))
    for mol in supplier:
        if mol is None or len(Chem.GetMolFrags(mol)) > 1:
            continue
        mol = Chem.AddHs(mol)
        if AllChem.EmbedMolecule(mol, randomSeed=1) == 0:
            AllChem.MMFFOptimizeMolecule(mol)
            drugs.append(mol)
        if len(drugs) == _DRUGS:
            break
    MoleculeBatch.from_rdkit(drugs).to_xyz(folder / "drugs.xyz")


def tasks(folder: Path) -> dict[str, Callable[[], Callable[[], object]]]:
    """Each task: what is prepared, which returns what is timed."""
    from deepchem_ead import MoleculeBatch
    from deepchem_ead.metrics import evaluate_molecules
    from deepchem_ead.molnet import load_file_3d

    def fresh(name: str) -> MoleculeBatch:
        return MoleculeBatch.read(folder / name)

    def reading(name: str) -> Callable[[], Callable[[], object]]:
        return lambda: lambda: fresh(name)

    def on(name: str, use: Callable) -> Callable[[], Callable[[], object]]:
        def prepare() -> Callable[[], object]:
            batch = fresh(name)
            return lambda: use(batch)

        return prepare

    return {
        f"read {_MOLECULES:,} QM9 molecules, XYZ": reading("qm9.xyz"),
        f"read {_MOLECULES:,} QM9 molecules, SDF": reading("qm9.sdf"),
        f"SMILES of {_JUDGED:,} from coordinates": on("judged.xyz", lambda b: b.smiles),
        f"SMILES of {_DRUGS} drug-like ones from coordinates": on("drugs.xyz", lambda b: b.smiles),
        f"to_sdf of {_JUDGED:,}": on("judged.xyz", lambda b: b.to_sdf(folder / "out.sdf")),
        f"to_xyz of {_JUDGED:,}": on("judged.xyz", lambda b: b.to_xyz(folder / "out.xyz")),
        f"to_dataset of {_JUDGED:,}": on("judged.xyz", lambda b: b.to_dataset()),
        f"load_file_3d of {_JUDGED:,}": lambda: lambda: load_file_3d(folder / "judged.xyz"),
        f"EDM metrics of {_JUDGED:,}": on(
            "judged.xyz", lambda b: evaluate_molecules(b, "edm", progress=False)
        ),
        f"strict metrics of {_JUDGED:,}": on(
            "judged.xyz", lambda b: evaluate_molecules(b, "strict", progress=False)
        ),
    }


def measure(folder: Path) -> dict[str, float]:
    """CPU seconds of each task; the second of two runs, so that nothing is imported meanwhile."""
    seconds = {}
    for name, prepare in tasks(folder).items():
        for _ in range(2):
            work = prepare()
            began = time.process_time()
            work()
            seconds[name] = min(seconds.get(name, 1e9), time.process_time() - began)
    return seconds


def _measured_in(checkout: Path, folder: str) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), "--measure", folder]
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(result.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another checkout of the package")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        warnings.simplefilter("ignore")
        print(json.dumps(measure(arguments.measure)))
        return

    checkouts = [Path(__file__).resolve().parents[2]]
    if arguments.against:
        checkouts.append(arguments.against.resolve())
    found: list[list[dict[str, float]]] = [[] for _ in checkouts]
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(Path(folder))
        for _ in range(arguments.rounds):
            for checkout, rounds in zip(checkouts, found, strict=True):
                rounds.append(_measured_in(checkout, folder))
    print("| task | CPU s |" + (" other | ratio |" if arguments.against else ""))
    print("|---|---|" + ("---|---|" if arguments.against else ""))
    for name in found[0][0]:
        best = [min(times[name] for times in rounds) for rounds in found]
        row = f"| {name} | {best[0]:.3f} |"
        print(row + (f" {best[1]:.3f} | {best[0] / best[1]:.2f} |" if len(best) > 1 else ""))


if __name__ == "__main__":
    main()
