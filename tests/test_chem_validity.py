"""What counts as a molecule that can be shown, and what is debris."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from chem_data import qm9
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead import MoleculeBatch
from deepchem_ead.metrics import evaluate_molecules

QM9, _ = qm9()
SAMPLED = {"sampled": True}


def side_by_side(*smiles: str, gap: float) -> MoleculeBatch:
    """Coordinates without bonds of molecules whose atoms are ``gap`` Angstrom apart along x."""
    numbers, positions, edge = [], [], 0.0
    for text in smiles:
        mol = Chem.AddHs(Chem.MolFromSmiles(text))
        assert AllChem.EmbedMolecule(mol, randomSeed=1) == 0
        x = mol.GetConformer().GetPositions()
        numbers.append([atom.GetAtomicNum() for atom in mol.GetAtoms()])
        positions.append(x - [x[:, 0].min() - edge, 0, 0])
        edge = positions[-1][:, 0].max() + gap
    return MoleculeBatch.from_arrays([np.concatenate(numbers)], [np.concatenate(positions)])


@pytest.mark.parametrize(
    ("parts", "gap", "smiles", "reason"),
    [
        (["O", "O"], 2.5, "O.O", None),
        (["CO", "c1ccccc1", "C"], 3.0, "C.CO.c1ccccc1", None),
        (["O", "O"], 30.0, None, "2 fragments (H2O, H2O) 3"),
        (["C", "C", "C", "CCN"], 900.0, None, "4 fragments (CH4, CH4, CH4, ...) 9"),
    ],
)
def test_fragments_without_bonds_have_to_be_near_and_samples_have_none(parts, gap, smiles, reason):
    batch = side_by_side(*parts, gap=gap)
    assert batch.smiles == [smiles]
    assert batch.reasons[0] == reason or batch.reasons[0].startswith(reason)
    sampled = replace(batch, info=SAMPLED, _smiles=None, _reasons=None)
    assert sampled.smiles == [None] and sampled.to_rdkit() == [None]
    assert sampled.reasons[0].startswith(f"{len(parts)} fragments (")


@pytest.mark.parametrize("kind", ["sdf", "xyz"])
def test_files_remember_that_their_molecules_were_sampled(tmp_path, kind):
    debris = replace(side_by_side("CO", "N", gap=3.0), info=SAMPLED | {"seed": 7})
    whole = MoleculeBatch.concatenate([debris, replace(QM9[5:7], properties={}, ids=None)])
    batch = replace(whole, info=debris.info)
    for name in ("once", "twice"):
        path = tmp_path / f"{name}.{kind}"
        getattr(batch, f"to_{kind}")(path)
        assert path.read_text().count("deepchem_ead_job") == 1
        batch = MoleculeBatch.read(path)
        assert batch.info["sampled"] and not batch.properties
        assert batch.reasons == ["2 fragments (CH4O, H3N)", None, None]
    getattr(replace(batch, info={}), f"to_{kind}")(path)
    assert MoleculeBatch.read(path).smiles[0] == "CO.N"


@pytest.mark.parametrize("smiles", ["[Na+].CC(=O)[O-]", "O.O.CCO", "C"])
def test_given_bonds_are_kept_however_far(tmp_path, smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    for k, atoms in enumerate(Chem.GetMolFrags(mol)):
        for i in atoms:
            x, y, z = mol.GetConformer().GetAtomPosition(i)
            mol.GetConformer().SetAtomPosition(i, (x + 500 * k, y, z))
    batch = MoleculeBatch.from_rdkit([mol])
    batch.to_sdf(tmp_path / "a.sdf")
    for again in (batch, MoleculeBatch.read(tmp_path / "a.sdf")):
        assert again.smiles == [Chem.CanonSmiles(smiles)] and again.reasons == [None]


@pytest.mark.parametrize(
    ("numbers", "positions", "reason"),
    [
        ([], np.zeros((0, 3)), "no atoms"),
        ([8], [[0, 0, 0]], "O with valence 0"),
        ([9, 7], [[0, 0, 0], [0, 0, 4]], "F with valence 0"),
        ([8] * 5, np.outer(np.arange(5), [7e3, 0, 0]), "O with valence 0"),
        ([6, 1], [[0, 0, 0], [0, 0, np.nan]], "coordinates not finite"),
        ([78, 1], [[0, 0, 0], [0, 0, 1.5]], "no known valence of Pt"),
        ([6, 1, 1, 1], [[0, 0, 0], [1.08, 0, 0], [-0.54, 0.93, 0], [-0.54, -0.93, 0]],
         "C with valence 3"),
    ],
)  # fmt: skip
def test_reasons_of_what_is_no_molecule(numbers, positions, reason):
    batch = MoleculeBatch.from_arrays([numbers], [positions], info=SAMPLED)
    assert batch.smiles == [None] and batch.to_rdkit() == [None] and batch.reasons == [reason]


def test_reasons_follow_selections_and_joins():
    batch = MoleculeBatch.concatenate(
        [
            MoleculeBatch.from_arrays(QM9.numbers[:2], QM9.positions[:2]),
            MoleculeBatch.from_arrays([[8], []], [[[0, 0, 0]], np.zeros((0, 3))]),
        ]
    )
    assert batch.reasons == [None, None, "O with valence 0", "no atoms"]
    assert batch[[3, 0]].reasons == ["no atoms", None]
    assert MoleculeBatch.concatenate([batch[2:], batch[:1]]).reasons == [*batch.reasons[2:], None]
    assert [text is None for text in batch.smiles] == [False, False, True, True]


def test_the_published_protocol_keeps_its_own_rule():
    batch = replace(side_by_side("C", "CC", gap=20.0), info=SAMPLED)
    report = evaluate_molecules(batch)
    assert (report.validity, report.molecule_stability, report.connected) == (1, 1, 0)
    assert evaluate_molecules(batch, protocol="strict").validity == 0
