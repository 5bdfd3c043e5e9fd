"""What the shipped weights compute, case by case, to be the same before and after a change.

    python tests/golden_cases.py CASE ...  # writes these in tests/data/golden_molecules.npz anew
    python tests/golden_cases.py --sha     # prints a digest a case, to compare two trees to the bit

A case is written anew only when its result is *meant* to change, and the commit says why.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from deepchem.data import NumpyDataset
from safetensors.torch import load_file

from deepchem_ead import EADModel, EGNNPropertyModel, MoleculeBatch
from deepchem_ead.molnet import load_drugs3d

DATA = Path(__file__).parent / "data"
PATH = DATA / "golden_molecules.npz"


@cache
def generator(name: str) -> EADModel:
    return EADModel.from_pretrained(name)


@cache
def known_molecules() -> np.ndarray:
    """X (60, 29, 4) of QM9 molecules of all sizes."""
    with np.load(DATA / "qm9_60.npz") as stored:
        ends = np.cumsum(stored["counts"])[:-1]
        numbers, positions = (np.split(stored[k], ends) for k in ("numbers", "positions"))
    return MoleculeBatch.from_arrays(numbers, positions).to_padded(29)


def generated(name: str, n: int = 6, steps: int = 12, **options) -> dict[str, np.ndarray]:
    options = {"steps": steps, "seed": 3, "progress": False, **options}
    return arrays_of(generator(name).generate(n, **options))


def arrays_of(molecules: MoleculeBatch) -> dict[str, np.ndarray]:
    return {
        "counts": molecules.counts,
        "numbers": molecules.atomic_numbers,
        "positions": molecules.coordinates,
    }


def with_bonds(molecules: MoleculeBatch) -> dict[str, np.ndarray]:
    """Molecules and their own bonds, as first atom, second atom and order."""
    bonds = [molecules.graph(i).bonds for i in range(len(molecules))]
    return arrays_of(molecules) | {"bonds": np.concatenate(bonds)}


def edited(name: str) -> dict[str, np.ndarray]:
    """New molecules around the first heavy atoms of a known one."""
    mol = MoleculeBatch.from_padded(known_molecules()[30:31])
    heavy = np.flatnonzero(mol.atomic_numbers > 1)[:4].tolist()
    options = {"steps": 12, "seed": 3, "progress": False}
    return with_bonds(generator(name).edit(mol, keep=heavy, n=3, **options))


def conformers(name: str) -> dict[str, np.ndarray]:
    found = generator(name).conformers("C[C@H](O)C(N)=O", n=2, seed=3, progress=False)
    return {"positions": np.stack([c.GetPositions() for c in found.GetConformers()])}


def predicted(name: str) -> dict[str, np.ndarray]:
    model = EGNNPropertyModel.from_pretrained(name)
    return {"values": model.predict(NumpyDataset(known_molecules()[::6]))}


def denoising_loss(name: str) -> dict[str, np.ndarray]:
    found = generator(name).evaluate(NumpyDataset(known_molecules()), "denoising_loss")
    return {"loss": np.array(list(found.values()))}


def drug_like_loss(name: str) -> dict[str, np.ndarray]:
    _, (_, _, test), _ = load_drugs3d(bonds=True)
    found = generator(name).evaluate(test.select(range(12)), "denoising_loss")
    return {"loss": np.array(list(found.values()))}


def trained(preset: str, **options) -> dict[str, np.ndarray]:
    """What a few steps from random weights make of the averaged weights: a norm a tensor."""
    model = EADModel(preset=preset, batch_size=8, **options)
    X = known_molecules()
    n_tasks = max(1, options.get("conditions", "").count(",") + 1)
    y = np.linspace(-1, 1, n_tasks * len(X)).reshape(len(X), n_tasks)
    model.fit(NumpyDataset(X, y), nb_epoch=1)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        weights = load_file(f"{folder}/model.safetensors")
    return {"norms": np.array([float(weights[k].double().norm()) for k in sorted(weights)])}


CASES: dict[str, Callable[[], dict[str, np.ndarray]]] = {
    "qm9": lambda: with_bonds(generator("qm9").generate(6, steps=12, seed=3, progress=False)),
    "qm9, conditions": lambda: generated("qm9", conditions={"gap": "5.4 eV"}, n=4),
    "qm9, edit": lambda: edited("qm9"),
    "qm9, conformers": lambda: conformers("qm9"),
    "qm9-1": lambda: generated("qm9-1"),
    "qm9-1, synchronous, dpm-solver": lambda: generated(
        "qm9-1", schedule="synchronous", stepper="dpm++2m", noise_scale=None
    ),
    "qm9-1, adaptive, literal": lambda: generated(
        "qm9-1", schedule="adaptive", repeat_rule="literal"
    ),
    "qm9-1, staircase": lambda: generated("qm9-1", schedule="staircase", steps=6),
    "qm9-1, settled first, any shell": lambda: generated(
        "qm9-1", schedule="settled-first", closed_shell=False
    ),
    "qm9-1, size free": lambda: generated("qm9-1", n_atoms="free"),
    "qm9-1, sizes given, batches": lambda: generated(
        "qm9-1", n_atoms=[5, 17, 17, 23], n=4, batch_size=2, seed=5
    ),
    "qm9-1, conditions, guidance": lambda: generated(
        "qm9-1", conditions={"gap": "5.4 eV", "mu": "2 D"}, guidance_scale=1.0
    ),
    "qm9-1, guide": lambda: generated("qm9-1", conditions={"gap": "5.4 eV"}, guide="qm9-guide"),
    "qm9-1, cold, autoguidance": lambda: generated(
        "qm9-1", noise_scale=0.9, autoguidance_scale=0.5, seed=8
    ),
    # In few steps its molecules fly apart, by hundreds of Angstrom that rounding decides.
    "qm9-small": lambda: generated("qm9-small", steps=100),
    "qm9-small, coin": lambda: generated(
        "qm9-small", steps=100, repeat_rule="renoise", schedule="random-coin"
    ),
    "loss of qm9-1": lambda: denoising_loss("qm9-1"),
    "loss of qm9-small": lambda: denoising_loss("qm9-small"),
    "loss of drugs": lambda: drug_like_loss("drugs"),
    "training, egnn": lambda: trained("qm9-small", n_layers=2, n_features=32),
    "training, attention, conditions": lambda: trained(
        "qm9-conditional", n_layers=2, n_features=48, conditions="a,b"
    ),
    "qm9-guide": lambda: predicted("qm9-guide"),
    "qm9-properties": lambda: predicted("qm9-properties"),
    "qm9-properties-2": lambda: predicted("qm9-properties-2"),
}  # fmt: skip


def stored() -> dict[str, dict[str, np.ndarray]]:
    """The results that were written, by case."""
    found: dict[str, dict[str, np.ndarray]] = {}
    with np.load(PATH) as file:
        for key in file.files:
            case, name = key.split("|")
            found.setdefault(case, {})[name] = file[key]
    return found


def digest(result: dict[str, np.ndarray]) -> str:
    key = hashlib.sha256()
    for name in sorted(result):
        key.update(np.ascontiguousarray(result[name]).tobytes())
    return key.hexdigest()[:16]


def main() -> None:
    torch.set_num_threads(1)
    names = [name for name in sys.argv[1:] if name != "--sha"]
    writes = "--sha" not in sys.argv
    if writes and not names:
        raise SystemExit(f"which cases are to be written? {', '.join(CASES)}")
    results = stored()
    for case in names or CASES:
        results[case] = CASES[case]()
        print(f"{digest(results[case])}  {case}", flush=True)
    if writes:
        flat = {f"{case}|{name}": v for case, found in results.items() for name, v in found.items()}
        np.savez_compressed(PATH, **flat)
        print(f"{Path(PATH).name}: {PATH.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
