"""What a model makes of drug-like molecules: from nothing, around scaffolds, conformers, bonds.

    python -m benchmarks.drug_like drugs --data FOLDER --out FOLDER [--n 300] [--given 100]

FOLDER of the data is what ``deepchem-ead data build drugs3d`` has written, or ``drugs3d-sample``.
Its test part, whose scaffolds the training part does not have, is the ceiling and gives what the
other tasks begin with: Murcko scaffolds (with their hydrogens) to be kept, graphs, bare geometries.
Molecules are judged by the bonds they have (the protocol of arXiv:2505.00169), by PoseBusters, and
the first ``--relaxed`` of a row by GFN2-xTB. What is made and judged is kept in the folder.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold

from benchmarks.conformer_baselines import draw
from benchmarks.judged import share, slow_cells
from benchmarks.parts import slug
from benchmarks.perception import plain_smiles
from benchmarks.tables import markdown
from deepchem_ead import EADModel, MoleculeBatch, evaluate_molecules, judge, perceive_bonds
from deepchem_ead.conformers import ETKDG, MakeSource
from deepchem_ead.generation.conformers import ModelSources
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.molnet import find_dataset

HEAD = (
    "%", "molecules", "stable", "valid, in one piece", "PoseBusters", "relaxed", "sane",
    "strain: median, kcal/mol", "p90", "RMSD to the minimum, A",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--data", default="drugs3d-sample")
    parser.add_argument("--out", type=Path, default=Path("runs/drug-like"))
    parser.add_argument("--n", type=int, default=300, help="molecules from nothing of each seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--given", type=int, default=100, help="test molecules of other tasks")
    parser.add_argument("--relaxed", type=int, default=100)
    parser.add_argument(
        "--steps", type=int, help="of molecules from nothing (default: the model's)"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    model = EADModel.from_pretrained(arguments.model)
    data = find_dataset(arguments.data)
    if data is None:
        parser.error(f"there is no data set {arguments.data!r}")
    _, _, held_out = data.parts((), True)
    test = MoleculeBatch.from_padded(held_out.X)
    given = test[: arguments.given]
    makers: dict[str, Callable[[], MoleculeBatch]] = {
        "test molecules": lambda: test[: arguments.n],
        **{
            f"from nothing, seed {seed}": partial(
                model.generate, arguments.n, seed=seed, steps=arguments.steps
            )
            for seed in arguments.seeds
        },
        "around scaffolds": partial(around_scaffolds, model, given),
        **{
            f"conformers by {title}, {row}": partial(conformers, given, source, row)
            for title, source in (
                ("the model", ModelSources(model, SamplingOptions(seed=0))),
                ("ETKDGv3", ETKDG),
            )
            for row in ("as drawn", "+ MMFF94s")
        },
    }
    body = []
    for name, make in makers.items():
        path = arguments.out / f"{slug(name)}.sdf"
        if not path.exists():
            began = time.perf_counter()
            found = make()
            found.to_sdf(path)
            print(f"{name}: {(time.perf_counter() - began) / len(found):.2f} s each", flush=True)
        body.append(
            [name, *cells(MoleculeBatch.read(path), arguments.out, name, arguments.relaxed)]
        )
        print(" | ".join(body[-1]), flush=True)
    text = markdown(HEAD, body) + "\n\n" + perceived(model, given)
    (arguments.out / "drug-like.md").write_text(text)
    print(text)


def cells(molecules: MoleculeBatch, folder: Path, name: str, relaxed: int) -> list[str]:
    """What the protocol, PoseBusters and GFN2-xTB say of molecules."""
    table = evaluate_molecules(molecules, protocol="corrected").per_molecule
    checked = judge(
        molecules,
        suite={"checks": ["posebusters"]},
        workers=1,
        cache=folder / f"{slug(name)}.busters.jsonl",
        progress=False,
    ).per_molecule
    slow = slow_cells(molecules[:relaxed], folder, name)
    shares = [share(table["stable"]), share(table["valid"]), share(checked["posebusters"])]
    return [f"{len(molecules):,}", *shares, *slow]


def around_scaffolds(model: EADModel, given: MoleculeBatch) -> MoleculeBatch:
    """A molecule around the scaffold of each that has one and is not all scaffold.

    Raises
    ------
    AssertionError
        If a kept atom has moved, or is another one.
    """
    found = []
    for i, mol in enumerate(given.to_rdkit()):
        plain = Chem.RemoveHs(mol)
        scaffold = MurckoScaffold.GetScaffoldForMol(plain)
        kept = mol.GetSubstructMatch(scaffold) if scaffold.GetNumAtoms() else ()
        if not 0 < len(kept) < plain.GetNumAtoms():
            continue
        made = model.edit(
            mol, keep=list(kept), seed=i, n_atoms=mol.GetNumAtoms(), progress=False
        )  # fmt: skip
        atoms = made.info["kept_atoms"]
        assert np.array_equal(made.positions[0][: len(atoms)], given.positions[i][atoms])
        assert np.array_equal(made.numbers[0][: len(atoms)], given.numbers[i][atoms])
        found.append(made)
    return MoleculeBatch.concatenate(found)


def conformers(given: MoleculeBatch, source: MakeSource, row: str) -> MoleculeBatch:
    """A conformer of each graph that gets one, of a row of `benchmarks.conformer_baselines`."""
    drawn = draw(given.to_rdkit(), [1] * len(given), source, row, "drug-like")
    print(f"{drawn.seconds:.2f} s of processor time each")
    return MoleculeBatch.from_rdkit([mol for mol in drawn.mols if mol is not None])


def perceived(model: EADModel, given: MoleculeBatch) -> str:
    """Of how many bare geometries bonds and charges are found, with and without the model."""
    bare, right = MoleculeBatch.from_arrays(given.numbers, given.positions), plain_smiles(given)
    body = []
    for name, find in (
        ("the model", lambda: perceive_bonds(bare, model=model)),
        ("`with_bonds`, no model", bare.with_bonds),
    ):
        hits = pd.Series(a == b for a, b in zip(plain_smiles(find()), right, strict=True))
        body.append([name, f"{len(hits)}", share(hits)])
    return markdown(["bonds of bare geometries", "molecules", "right, %"], body)


if __name__ == "__main__":
    main()
