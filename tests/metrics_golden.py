"""Reference answers of EDM's own code, run unmodified at commit fce07d7."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rdkit import Chem

from deepchem_ead.chem.molecules import MoleculeBatch

DATA = Path(__file__).parent / "data"
NAMES = ("clean", "noise003", "pairs", "geom_like")


class GoldenSet(NamedTuple):
    batch: MoleculeBatch
    orders: list[np.ndarray]  # lower triangles, as EDM's validity sees them
    rows: list[list]  # stable, n_stable, n_atoms, smiles of largest fragment, whole if different
    aggregate: dict
    vocabulary: str


def numbers_of(symbols) -> np.ndarray:
    return np.array([Chem.GetPeriodicTable().GetAtomicNumber(symbol) for symbol in symbols])


@cache
def expected() -> dict:
    return json.loads(gzip.decompress((DATA / "golden_expected.json.gz").read_bytes()))


@cache
def golden(name: str) -> GoldenSet:
    answer = expected()["sets"][name]
    codes = numbers_of(expected()["meta"][f"type_codes_{answer['mode']}"])
    with np.load(DATA / f"golden_{name}.npz") as data:
        cuts = np.cumsum(data["n_atoms"])[:-1]
        numbers = np.split(codes[data["types"]], cuts)
        positions = np.split(data["positions"], cuts)
        counts = data["n_atoms"].astype(int)
    with np.load(DATA / f"golden_{name}_bonds.npz") as data:
        pairs = counts * (counts - 1) // 2
        orders = np.split(data["orders_lower_triangle"], np.cumsum(pairs)[:-1])
    batch = MoleculeBatch.from_arrays(numbers, positions)
    return GoldenSet(batch, orders, answer["per_molecule"], answer["aggregate"], answer["mode"])


@cache
def known_smiles() -> frozenset[str]:
    """Those of the golden sets' SMILES that EDM finds in QM9's training split."""
    text = gzip.decompress((DATA / "golden_known_smiles.txt.gz").read_bytes()).decode()
    return frozenset(text.split())


def edge_cases() -> dict:
    return json.loads((DATA / "golden_edge_cases.json").read_text())["qm9"]


def edge_batch(name: str, charge: int = 0) -> MoleculeBatch:
    case = edge_cases()[name]
    positions = np.array([[float(v) for v in row] for row in case["positions"]]).reshape(-1, 3)
    return MoleculeBatch.from_arrays([numbers_of(case["elements"])], [positions], charges=[charge])
