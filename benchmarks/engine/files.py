"""What files, perception and everyday work cost, also beside another version of the package.

``python -m benchmarks.files`` writes the shipped QM9 sample and drug-like molecules to SDF and XYZ
files and prints the CPU seconds of each task: reading, writing and perceiving them, a few training
steps, generating, the import and ``--help``. ``--against DIR`` runs the same tasks with the package
in another checkout, in turns, and adds its seconds and the ratio. Minima of all rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
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
_STEPS = 4
_GENERATED = 64
_COMMANDS = {
    "import deepchem_ead": "import deepchem_ead",
    "deepchem-ead --help": "from deepchem_ead.cli import main; main()",
}


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
    import deepchem as dc
    import numpy as np

    from deepchem_ead import EADModel, MoleculeBatch
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

    def training() -> Callable[[], object]:
        X = np.resize(fresh("judged.xyz").to_padded(29), (64 * _STEPS, 29, 4))
        dataset = dc.data.NumpyDataset(X, np.zeros((len(X), 1)))
        model = EADModel("qm9-small", model_dir=str(folder / "model"))
        return lambda: model.fit(dataset, nb_epoch=1, checkpoint_interval=0)

    def generating() -> Callable[[], object]:
        model = EADModel.from_pretrained("qm9-small")
        return lambda: model.generate(_GENERATED, steps=20, seed=0, progress=False)

    return {
        f"fit qm9-small, {_STEPS} steps of 64": training,
        f"generate {_GENERATED}, 20 steps of qm9-small": generating,
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


def measure(folder: Path, word: str) -> dict[str, float]:
    """CPU seconds of each task whose name holds ``word``, of this process or of one of its own.

    The lesser of two runs: in the second nothing is imported meanwhile.
    """
    seconds = {}
    for name, code in _COMMANDS.items():
        for _ in range(2 if word in name else 0):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            command = [sys.executable, "-c", code, "--help"]
            subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
            seconds[name] = min(seconds.get(name, 1e9), spent)
    for name, prepare in tasks(folder).items():
        if word not in name:
            continue
        for _ in range(2):
            work = prepare()
            began = time.process_time()
            work()
            seconds[name] = min(seconds.get(name, 1e9), time.process_time() - began)
    return seconds


def _measured_in(checkout: Path, folder: str, word: str) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), "--measure", folder, "--task", word]
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(result.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another checkout of the package")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--task", default="", help="only tasks with this in their name")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        warnings.simplefilter("ignore")
        print(json.dumps(measure(arguments.measure, arguments.task)))
        return

    checkouts = [Path(__file__).resolve().parents[2]]
    if arguments.against:
        checkouts.append(arguments.against.resolve())
    found: list[list[dict[str, float]]] = [[] for _ in checkouts]
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(Path(folder))
        for _ in range(arguments.rounds):
            for checkout, rounds in zip(checkouts, found, strict=True):
                rounds.append(_measured_in(checkout, folder, arguments.task))
    print("| task | CPU s |" + (" other | ratio |" if arguments.against else ""))
    print("|---|---|" + ("---|---|" if arguments.against else ""))
    for name in found[0][0]:
        best = [min(times[name] for times in rounds) for rounds in found]
        row = f"| {name} | {best[0]:.3f} |"
        print(row + (f" {best[1]:.3f} | {best[0] / best[1]:.2f} |" if len(best) > 1 else ""))


if __name__ == "__main__":
    main()
