"""What counts as a molecule that can be shown, and what is debris."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from chem_data import qm9
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead import MoleculeBatch
from deepchem_ead.chem.elements import number_of
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


OCTAHEDRON = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
BIPYRAMID = np.array([[0, 0, 1], [0, 0, -1], [1, 0, 0], [-0.5, 0.866, 0], [-0.5, -0.866, 0]])
SQUARE, LINE = OCTAHEDRON[:4], OCTAHEDRON[:2]


@pytest.mark.parametrize(
    ("centre", "ligands", "shape", "length", "charge", "smiles"),
    [
        ("S", "F" * 6, OCTAHEDRON, 1.56, 0, "FS(F)(F)(F)(F)F"),
        ("S", "F" * 4, BIPYRAMID[:4], 1.60, 0, "FS(F)(F)F"),
        ("P", "F" * 5, BIPYRAMID, 1.55, 0, "FP(F)(F)(F)F"),
        ("P", "F" * 6, OCTAHEDRON, 1.60, -1, "F[P-](F)(F)(F)(F)F"),
        ("Sb", "F" * 6, OCTAHEDRON, 1.87, -1, "F[Sb-](F)(F)(F)(F)F"),
        ("Si", "F" * 6, OCTAHEDRON, 1.69, -2, "F[Si-2](F)(F)(F)(F)F"),
        ("Xe", "F" * 2, LINE, 1.98, 0, "F[Xe]F"),
        ("Xe", "F" * 4, SQUARE, 1.95, 0, "F[Xe](F)(F)F"),
        ("I", "F" * 5, OCTAHEDRON[:5], 1.86, 0, "FI(F)(F)(F)F"),
        ("I", ["I"] * 2, LINE, 2.92, -1, "I[I-]I"),
        ("S", "F" * 5 + "H", OCTAHEDRON, 1.50, 0, "FS(F)(F)(F)F"),
        ("S", "FFFFHH", OCTAHEDRON, 1.50, 0, "F[S@OH25](F)(F)F"),  # trans; cis is another
        ("Cl", "F" * 3, BIPYRAMID[:3], 1.65, 0, "Cl with valence 3"),
        ("I", "F" * 7, np.vstack([OCTAHEDRON, [[0.6, 0.6, 0.5]]]), 1.82, 0, "I with valence 7"),
        ("Kr", "F" * 2, LINE, 1.88, 0, "Kr with valence 2"),
        ("W", "F" * 6, OCTAHEDRON, 1.83, 0, "no known valence of W"),
    ],
)
def test_hypervalent_centres(centre, ligands, shape, length, charge, smiles, capfd):
    symbols = [centre, *ligands]
    x = np.vstack([[0, 0, 0], length * np.asarray(shape, float)])
    batch = MoleculeBatch.from_arrays([list(map(number_of, symbols))], [x], charges=[charge])
    if "valence" in smiles:
        assert batch.smiles == [None] and batch.reasons == [smiles]
    elif "@" in smiles:
        assert "@OH" in batch.smiles[0]
    else:
        assert batch.smiles == [Chem.CanonSmiles(smiles)] and batch.reasons == [None]
    assert capfd.readouterr().err == ""


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
