"""Does starting from weights trained on QM9 help with drug-like molecules?

Molecules of NCI's collection in the rdkit package (H C N O F S Cl Br, neutral, 20 to 40 atoms, at
least one of S, Cl and Br) with a conformer each are learned by a model that starts from the weights
that ship with this package, grown by the elements they lack, and by one of the same kind that
starts from random weights. Both take the same steps in the same batches::

    OMP_NUM_THREADS=1 python -m benchmarks.warm_start --steps 80 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import deepchem as dc
import numpy as np
from rdkit import Chem, RDConfig, rdBase

from deepchem_ead import EADModel, Molecule3DFeaturizer
from deepchem_ead.chem.elements import parse_elements
from deepchem_ead.generator.warm_start import TrainedWeights

FILE = Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi"
ELEMENTS = "H,C,N,O,F,S,Cl,Br"
LARGEST = 40


def molecules(n: int) -> np.ndarray:
    """X of the first n molecules of a random order that have a conformer."""
    lines = FILE.read_text().splitlines()
    known = set(parse_elements(ELEMENTS))
    wanted = []
    with rdBase.BlockLogs():
        for i in np.random.default_rng(0).permutation(len(lines)):
            mol = Chem.MolFromSmiles(lines[i].split()[0])
            if mol is None or Chem.GetFormalCharge(mol) or "." in lines[i].split()[0]:
                continue
            numbers = {atom.GetAtomicNum() for atom in mol.GetAtoms()}
            size = Chem.AddHs(mol).GetNumAtoms()
            if numbers <= known and numbers & {16, 17, 35} and 20 <= size <= LARGEST:
                wanted.append(Chem.MolToSmiles(mol))
    X = Molecule3DFeaturizer(LARGEST, ELEMENTS).featurize(wanted[: n + n // 10])
    X = X[X.any((1, 2))]
    if len(X) < n:
        raise ValueError(f"{len(X)} usable molecules, not {n}")
    return X[:n]


def parts(n: int, n_valid: int) -> tuple[dc.data.Dataset, dc.data.Dataset]:
    """Training and validation molecules."""
    order = np.random.default_rng(0).permutation(n)
    X = molecules(n)
    whole = dc.data.NumpyDataset(X, np.zeros((n, 1)), np.ones((n, 1)), np.arange(n).astype(str))
    return whole.select(order[n_valid:]), whole.select(order[:n_valid])


def curve(source: str, warm: bool, seed: int, steps: int, every: int, options: dict, data) -> list:
    """Denoising loss on the validation molecules before training and after every so many steps."""
    train, valid = data
    config = TrainedWeights.read(source).config
    overrides = {
        **config.to_dict(), **options, "elements": ELEMENTS, "seed": seed,
        "max_atoms": train.X.shape[1], "conditions": "", "closed_shell": False,
    }  # fmt: skip
    model = EADModel(initial_weights=source if warm else None, **overrides)
    losses = [model.evaluate(valid, "denoising_loss")["denoising_loss"]]
    batch = overrides["batch_size"]
    for k in range(0, steps, every):
        rows = np.concatenate(
            [np.random.default_rng([seed, k, i]).choice(len(train), batch, False)
             for i in range(every)]
        )  # fmt: skip
        for i in range(every):
            part = train.select(rows[i * batch : (i + 1) * batch])
            model.fit(part, nb_epoch=1, deterministic=True, checkpoint_interval=0)
        losses.append(model.evaluate(valid, "denoising_loss")["denoising_loss"])
    return losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", default="qm9-1")
    parser.add_argument("--molecules", type=int, default=200)
    parser.add_argument("--valid", type=int, default=40)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--every", type=int, default=25)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    arguments = parser.parse_args()
    data = parts(arguments.molecules, arguments.valid)
    options = {
        "batch_size": arguments.batch_size, "learning_rate": arguments.learning_rate,
        "learning_rate_decay": "none", "warmup_steps": 10, "ema_decay": 0.9,
    }  # fmt: skip
    for seed in arguments.seeds:
        for warm in (True, False):
            losses = curve(
                arguments.source, warm, seed, arguments.steps, arguments.every, options, data
            )
            print(json.dumps({"seed": seed, "warm": warm, "loss": losses}), flush=True)


if __name__ == "__main__":
    main()
