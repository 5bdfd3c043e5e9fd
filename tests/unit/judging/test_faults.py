"""Faults planted in sound molecules are found by the check meant for them, and by name."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem, rdMolTransforms
from rdkit.Geometry import Point3D

from deepchem_ead import MoleculeBatch, judge
from deepchem_ead.metrics import gfn2
from deepchem_ead.metrics.suites import load_suite
from deepchem_ead.molnet import Drugs3DTable
from deepchem_ead.molnet.sample import load_sample


def embedded(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=7) == 0
    AllChem.MMFFOptimizeMolecule(mol, maxIters=2000)
    return mol


def without(mol: Chem.Mol, *atoms: int) -> Chem.Mol:
    """Without one hydrogen of each of these atoms."""
    edited = Chem.RWMol(mol)
    lost = [
        next(n.GetIdx() for n in mol.GetAtomWithIdx(i).GetNeighbors() if n.GetAtomicNum() == 1)
        for i in atoms
    ]
    for i in sorted(lost, reverse=True):
        edited.RemoveAtom(i)
    return edited.GetMol()


def turned(smiles: str, angle: float, *torsion: int) -> Chem.Mol:
    mol = embedded(smiles)
    rdMolTransforms.SetDihedralDeg(mol.GetConformer(), *torsion, angle)
    return mol


def stretched(smiles: str, i: int, j: int, length: float) -> Chem.Mol:
    mol = embedded(smiles)
    rdMolTransforms.SetBondLength(mol.GetConformer(), i, j, length)
    return mol


def moved(smiles: str, atom: int, shift: tuple[float, float, float]) -> Chem.Mol:
    mol = embedded(smiles)
    conformer = mol.GetConformer()
    conformer.SetAtomPosition(atom, np.array(conformer.GetAtomPosition(atom)) + shift)
    return mol


def bent_benzene() -> Chem.Mol:
    """Two carbons across the ring, with their hydrogens, out of its plane: a boat."""
    mol = embedded("c1ccccc1")
    x = mol.GetConformer().GetPositions()
    normal = np.cross(x[1] - x[0], x[2] - x[0])
    normal /= np.linalg.norm(normal)
    for atom in (0, 3):
        for i in (atom, atom + 6):
            mol.GetConformer().SetAtomPosition(i, x[i] + 0.4 * normal)
    return mol


def flat(smiles: str, centre: int) -> Chem.Mol:
    """An atom's four neighbours, with what they bear, brought almost into one plane with it."""
    mol = embedded(smiles)
    x = mol.GetConformer().GetPositions()
    near = [n.GetIdx() for n in mol.GetAtomWithIdx(centre).GetNeighbors()]
    angles = np.arange(4) * np.pi / 2
    for k, i in enumerate(near):
        length = np.linalg.norm(x[i] - x[centre])
        goal = x[centre] + length * np.array([np.cos(angles[k]), np.sin(angles[k]), 0.05])
        branch = Chem.GetShortestPath(mol, centre, i)
        for j in range(mol.GetNumAtoms()):
            path = Chem.GetShortestPath(mol, centre, j) if j != centre else ()
            if tuple(path[:2]) == tuple(branch):
                mol.GetConformer().SetAtomPosition(j, x[j] + goal - x[i])
    return mol


def apart(first: str, second: str) -> Chem.Mol:
    return Chem.CombineMols(embedded(first), embedded(second), Point3D(6.0, 0.0, 0.0))


def fifth_hydrogen() -> Chem.Mol:
    mol = Chem.RWMol(embedded("C"))
    x = mol.GetConformer().GetPositions()
    mol.AddAtom(Chem.Atom(1))
    away = x[0] - x[1] - x[2]
    mol.GetConformer().SetAtomPosition(5, x[0] + 1.05 * away / np.linalg.norm(away))
    return mol.GetMol()


FAULTS = {
    "wrong valence": (fifth_hydrogen, {"structure", "valence"}),
    "C-C bond of 1.74 Angstrom": (lambda: stretched("CCO", 0, 1, 1.74), {"bond_lengths"}),
    "C=O bond of 1.02 Angstrom": (lambda: stretched("CC(C)=O", 1, 3, 1.02), {"bond_lengths"}),
    "clash": (lambda: turned("CCCCC(C)C", 0.0, 0, 1, 2, 3), {"clashes", "low_strain", "rotors"}),
    "bent benzene": (bent_benzene, {"aromatic_rings"}),
    "flat carbon": (lambda: flat("CC(F)O", 1), {"tetrahedra"}),
    "flat methane": (lambda: flat("C", 0), {"tetrahedra"}),
    "twisted C=C": (lambda: turned("C/C=C/C", 140.0, 0, 1, 2, 3), {"double_bonds"}),
    "twisted C=N": (lambda: turned("C/C=N/C", 140.0, 0, 1, 2, 3), {"double_bonds"}),
    "1,3-diradical with oxygen": (lambda: without(embedded("COC"), 0, 2), {"closed_shell"}),
    "1,3-diradical with nitrogen": (lambda: without(embedded("CN(C)C"), 0, 2), {"closed_shell"}),
    "1,3-diradical of a glycol": (lambda: without(embedded("OCCO"), 1, 3), {"closed_shell"}),
    "1,3-diradical of carbon": (lambda: without(embedded("CCC"), 0, 2), {"structure"}),
    "1,4-diradical of carbon": (lambda: without(embedded("CCCCO"), 0, 3), {"structure"}),
    "radical": (lambda: without(embedded("CCO"), 0), {"structure"}),
    "twisted amide": (lambda: turned("CC(=O)NC", 90.0, 0, 1, 3, 4), {"amides"}),
    "twisted ester": (lambda: turned("CC(=O)OC", 90.0, 0, 1, 3, 4), {"esters"}),
    "eclipsed ethanol": (lambda: turned("OCC", 0.0, 0, 1, 2, 6), {"rotors"}),
    "allene": (lambda: embedded("C=C=C"), {"cumulenes"}),
    "butatriene": (lambda: embedded("CC=C=C=C"), {"cumulenes"}),
    "two molecules": (lambda: apart("CCO", "CCN"), {"connected"}),
    "hydrogen too far": (lambda: stretched("CCO", 0, 3, 1.25), {"structure", "bond_lengths"}),
}


def bare(mols) -> MoleculeBatch:
    """Elements and coordinates alone, as generators give them."""
    return MoleculeBatch.from_arrays(
        [[a.GetAtomicNum() for a in mol.GetAtoms()] for mol in mols],
        [mol.GetConformer().GetPositions() for mol in mols],
    )


@pytest.fixture(scope="module")
def frame():
    return judge(
        bare([make() for make, _ in FAULTS.values()]), suite="standard", progress=False
    ).per_molecule


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_by_name(frame, fault):
    row = frame.iloc[list(FAULTS).index(fault)]
    assert not row["sound"]
    assert set(row["reasons"].split(";")) & FAULTS[fault][1], f"{row['reasons']}: {row['details']}"


def test_reasons_are_all_the_checks_that_failed(frame):
    suite = load_suite("standard")
    for name in (check.name for check in suite.checks if check.judges):
        failed = frame[name].astype("Float64") == 0
        told = [name in text.split(";") for text in frame["reasons"]]
        assert told == failed.fillna(False).tolist(), name
    counted = [bool(set(text.split(";")) - suite.uncounted - {""}) for text in frame["reasons"]]
    assert frame["sound"].tolist() == [not each for each in counted]
    assert "low_strain" in ";".join(frame["reasons"])


def test_the_clean_molecules_pass_everything():
    clean = "CCO CC(C)=O CCCCC(C)C c1ccccc1 CC(F)O C C/C=C/C C/C=N/C COC CN(C)C CC(=O)NC CC(=O)OC"
    more = "C[N+](=O)[O-] CC#N [C-]#[N+]C N#Cc1ccco1 C1CC2CC1C2 OCC(N)C=O NC(=O)c1cnc[nH]1 FC(F)F"
    names = (clean + " " + more).split()
    mols = [embedded(text) for text in names]
    frame = judge(bare(mols), suite="standard", progress=False).per_molecule
    assert dict(zip(names, frame["details"], strict=True)) == dict.fromkeys(names, "")
    assert (frame["strain_kcal"] < 10).all() and (frame["gap_ev"] > 1).all()


def test_a_zwitterion_that_loses_its_charges_is_no_broken_molecule():
    """Its proton goes over in the gas phase: that is neither insane nor a strain."""
    glycine = embedded("[NH3+]CC(=O)[O-]")
    torn = stretched("CO", 0, 1, 4.0)
    suite = {"checks": ["sane", "low_strain"]}
    frame = judge([glycine, torn], suite=suite, progress=False).per_molecule
    assert frame["bonds_changed"][0] == 2 and frame["sound"].tolist() == [True, False]
    assert np.isnan(frame["strain_kcal"][0]) and frame["low_strain"].isna()[0]


@pytest.mark.parametrize(
    ("row", "check", "fails"),
    [
        (340, "bond_lengths", False),  # a sulfonate's S-O of 1.46 Angstrom
        (330, "clashes", False),  # a hydrogen bond of 1.57
        (150, "clashes", True),  # one of 1.34, in a bare zwitterion
        (77, "aromatic_rings", False),  # crowded, 0.105 Angstrom
    ],
)
def test_minima_of_drug_like_molecules_are_no_faults(row, check, fails):
    batch = Drugs3DTable.sample().to_batch()[[row]]
    frame = judge(batch, suite={"checks": [check]}, workers=1, progress=False).per_molecule
    assert frame["reasons"][0] == (check if fails else ""), frame["details"][0]


@pytest.mark.parametrize(
    ("smiles", "length"), [("CC(=O)[O-]", 1.6), ("CS(=O)(=O)[O-]", 1.85), ("C[N+](=O)[O-]", 1.6)]
)
def test_bonds_to_atoms_that_share_a_charge_can_be_too_long(smiles, length):
    torn = embedded(smiles)
    anion = next(a for a in torn.GetAtoms() if a.GetFormalCharge() < 0)
    (centre,) = anion.GetNeighbors()
    rdMolTransforms.SetBondLength(torn.GetConformer(), centre.GetIdx(), anion.GetIdx(), length)
    suite = {"checks": ["bond_lengths"]}
    frame = judge([torn], suite=suite, workers=1, progress=False).per_molecule
    assert frame["reasons"][0] == "bond_lengths"


@pytest.mark.parametrize(("smiles", "is_shift"), [("CNCC=[OH+]", True), ("CNCCO", False)])
def test_a_proton_may_go_from_a_cation_to_another_base(smiles, is_shift):
    mol = embedded(smiles)
    ((oxygen, proton),) = mol.GetSubstructMatches(Chem.MolFromSmarts("[#8][H]"))
    assert gfn2._is_proton_shift(mol, [(oxygen, proton)], [(1, proton)]) == is_shift
    assert not gfn2._is_proton_shift(mol, [(oxygen, proton)], [(0, proton)])  # to carbon


def qm9(rows) -> MoleculeBatch:
    table, _ = load_sample()
    numbers, positions = zip(*(table.numbers_and_positions(int(i)) for i in rows), strict=True)
    return MoleculeBatch.from_arrays(numbers, positions)


def test_copies_are_seen_in_any_order_turned_and_mirrored():
    known = qm9(range(900, 1000, 10))
    random = np.random.default_rng(0)
    rotation = np.linalg.qr(random.normal(size=(3, 3)))[0]  # turned, or turned and mirrored
    numbers, positions = [], []
    for i in range(3):
        order = random.permutation(known.counts[i])
        mirror = np.diag([1, 1, -1 if i == 1 else 1])
        numbers.append(known.numbers[i][order])
        positions.append((known.positions[i] @ rotation @ mirror + 5)[order])
    other = qm9([1500])
    copies = MoleculeBatch.concatenate([MoleculeBatch.from_arrays(numbers, positions), other])
    report = judge(copies, known, {"comparisons": ["not_copied", "novel"]}, progress=False)
    frame = report.per_molecule
    assert frame["not_copied"].tolist() == [False, False, False, True]
    assert frame["novel_constitution"].tolist() == [False, False, False, True]


def test_a_single_kind_is_seen_in_the_numbers_of_the_set():
    sets = {"sets": ["uniqueness", "distinct", "internal_diversity", "element_distance"]}
    known = qm9(range(0, 200, 10))
    one = judge(qm9([100] * 12), known, sets, progress=False).summary
    several = judge(qm9(range(5, 125, 10)), known, sets, progress=False).summary
    assert one.loc["uniqueness", "value"] == pytest.approx(1 / 12)
    assert one.loc["internal_diversity", "value"] == 0.0
    assert several.loc["internal_diversity", "value"] > 0.5
    for name in ("element_distance",):
        assert one.loc[name, "value"] > several.loc[name, "value"]


def test_groups_that_the_reference_does_not_have():
    known = bare([embedded(text) for text in ("CCO", "CC(=O)N", "CCN", "CC#N", "CC=O")])
    given = {
        "CCCO": "", "CNN": "NH(-N)", "CC(=O)OO": "C(-O,=O), O(-O), OH(-O)", "CC(=O)NC": "",
        "COC": "O()", "CC(C)=O": "C(=O)", "NC(C)O": "CH(-N,-O)", "C1CCC1": "", "c1ccccc1": "",
    }  # fmt: skip
    mols = bare([embedded(text) for text in given])
    frame = judge(mols, known, {"comparisons": ["known_groups"]}, progress=False).per_molecule
    assert frame["known_groups"].tolist() == [not groups for groups in given.values()]
    details = [f"known_groups: {groups}" if groups else "" for groups in given.values()]
    assert frame["details"].tolist() == details


def test_ring_systems_that_drugs_do_not_have(tmp_path):
    """With and without a reference; drugs of one's own are a file."""
    given = {"CC1=CCC1": 0, "c1ccccc1C": 1, "C1CC2CC1C2": 0, "O=C1C=CC=CN1": 1, "CCO": None,
             "c1ccc2[nH]ccc2c1": 1}  # fmt: skip
    mols = bare([embedded(text) for text in given])
    frames = [
        judge(mols, known, {"comparisons": ["drug_rings"]}, progress=False).per_molecule
        for known in (None, mols)
    ]
    for frame in frames:
        found = [None if pd.isna(passed) else int(passed) for passed in frame["drug_rings"]]
        assert found == list(given.values())
    assert frames[0]["rarest_drug_ring"][1] > 300 and "C1CC2CC1C2" in frames[0]["details"][2]
    own = tmp_path / "mine.smi"
    own.write_text("smiles name\nCC[C@H]1CCO1 a\n\nOC1CCO1.Cl b\n")
    suite = {"comparisons": [{"drug_rings": {"file": str(own), "least": 2}}]}
    oxetane = bare([embedded(text) for text in ("NC1COC1", "NC1CCO1", "c1ccccc1")])
    frame = judge(oxetane, suite=suite, progress=False).per_molecule
    assert frame["rarest_drug_ring"].tolist() == [2, 2, 0]
    assert frame["sound"].tolist() == [True, True, False]
    own.write_text("CCO\nC1CC\n")
    with pytest.raises(ValueError, match="line 2: 'C1CC' is no SMILES"):
        load_suite({"comparisons": [{"drug_rings": {"file": str(own)}}]})


@pytest.mark.parametrize(
    ("declared", "shown"),
    [
        ("C[C@H](F)O", "C[C@@H](F)O"),
        ("C[C@H]1CC[C@H](F)O1", "C[C@@H]1CC[C@H](F)O1"),
        ("C/C=C\\F", "C/C=C/F"),
        ("C/C(F)=N/O", "C/C(F)=N\\O"),
    ],
)
def test_flipped_stereo_is_seen_where_it_was_declared(declared, shown):
    right, other = embedded(declared), embedded(shown)
    wrong = Chem.Mol(right)  # its labels, and the coordinates of the other
    wrong.GetConformer().SetPositions(other.GetConformer().GetPositions())
    suite = {"checks": ["declared_stereo"]}
    frame = judge([right, wrong], suite=suite, progress=False).per_molecule
    assert frame["declared_stereo"].tolist() == [True, False]


@pytest.mark.parametrize("suffix", ["sdf", "xyz"])
@pytest.mark.parametrize("tag", ["SMILES", "isomeric_smiles", "name"])
def test_a_file_declares_stereo_by_a_smiles_beside_its_coordinates(tag, suffix, tmp_path):
    """One without labels, of other bonds, or that is none, declares nothing."""
    told = {
        "C[C@H](F)O": True, "C[C@@H](F)O": False, "O[C@H](F)C": False, "CC(F)O": None,
        "C[C@H](F)N": None, "C[C@H](F": None,
    }  # fmt: skip
    one = MoleculeBatch.from_rdkit([embedded("C[C@H](F)O")])
    batch = MoleculeBatch.concatenate([one] * len(told))
    path = tmp_path / f"a.{suffix}"
    columns = {} if tag == "name" else {tag: np.array(list(told))}
    named = replace(batch, ids=list(told) if tag == "name" else None, properties=columns)
    getattr(named, f"to_{suffix}")(path)
    text = path.read_text()  # the writer's own, of the coordinates, is taken out
    text = re.sub(r">  <SMILES>.*\n.*\n\n| SMILES=\S+", "", text)
    path.write_text(text.replace("property_SMILES", "SMILES"))
    frame = judge(path, suite={"checks": ["declared_stereo"]}, progress=False).per_molecule
    assert [None if pd.isna(v) else v for v in frame["declared_stereo"]] == list(told.values())


def test_suites_grow():
    names = [{check.name for check in load_suite(s).checks} for s in ("fast", "standard", "full")]
    assert names[0] < names[1] < names[2]
