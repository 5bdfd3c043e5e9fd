"""Molecules around a kept part, and what can be asked for."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from joint_data import QUICK, TINY_JOINT, bonds_among, joint_model, sample_molecules
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead import EADModel, MoleculeBatch
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generation.editing import plan_edit
from deepchem_ead.generation.kept_part import Whole, keep_part
from deepchem_ead.generation.linking import find_links, linker_sizes
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.whole import one_molecule, union
from deepchem_ead.generator import likeliest_bonds

MODEL = joint_model()


@pytest.fixture(autouse=True)
def no_long_search(monkeypatch):
    """A model that has learned nothing has bonds that fit no valences: look for none."""
    monkeypatch.setattr(likeliest_bonds, "MAX_TRIED", 5)


def embedded(smiles: str, seed: int = 1) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=seed) == 0
    return mol


def edit(mol, *args, **options) -> MoleculeBatch:
    return MODEL.edit(mol, *args, **{**QUICK, **options})


def assert_kept(found: MoleculeBatch, source: MoleculeBatch) -> None:
    """Positions, kinds and bonds of the kept atoms are those of the source to the last bit."""
    n, atoms = found.info["kept"], found.info["kept_atoms"]
    assert n == len(atoms)
    wanted = bonds_among(source, 0, atoms)
    for i in range(len(found)):
        assert found.positions[i][:n].tobytes() == source.positions[0][atoms].tobytes()
        assert np.array_equal(found.numbers[i][:n], source.numbers[0][atoms])
        graph = found.graph(i)
        assert np.array_equal(graph.formal_charges[:n], source.graph(0).formal_charges[atoms])
        assert bonds_among(found, i, range(n)) == wanted


def random_fragments(n: int, seed: int):
    """Molecules of QM9 and heavy atoms of them: connected ones, and any."""
    random, source = np.random.default_rng(seed), sample_molecules()
    while n:
        molecule = source[int(random.integers(len(source)))]
        heavy = np.flatnonzero(molecule.atomic_numbers > 1)
        if len(heavy) < 2:
            continue
        size = int(random.integers(1, len(heavy)))
        chosen = random.permutation(heavy)[:size]
        if n % 2:
            near = np.linalg.norm(molecule.coordinates - molecule.coordinates[chosen[0]], axis=1)
            chosen = heavy[np.argsort(near[heavy])][:size]
        n -= 1
        yield molecule, chosen


def check_fragments(n: int, seed: int) -> None:
    charged = 0
    for molecule, chosen in random_fragments(n, seed):
        found = edit(molecule, keep=chosen)
        assert set(chosen) <= set(found.info["kept_atoms"])
        assert_kept(found, molecule)
        charged += bool(molecule.graph(0).formal_charges[chosen].any())
    assert charged or n < 100


def test_kept_atoms_return_to_the_last_bit():
    check_fragments(50, seed=0)


@pytest.mark.slow
def test_a_thousand_fragments_return_to_the_last_bit():
    check_fragments(1000, seed=1)


@pytest.mark.parametrize("smiles", ["c1ccncc1C", "c1ccoc1CO", "c1cc[nH]c1", "c1ncc2n1CC2"])
def test_parts_of_aromatic_rings_keep_their_kekule_orders(smiles):
    source = MoleculeBatch.from_rdkit([embedded(smiles)])
    for size in (2, 3, 4):
        assert_kept(edit(source, keep=list(range(size)), n=3), source)


def signed_volumes(positions, centres):
    return {c: np.linalg.det(positions[ends[:3]] - positions[c]) for c, ends in centres.items()}


def test_chiral_centres_of_the_kept_part_are_unchanged():
    mol = embedded("C[C@H](O)[C@@H](F)CC#N")
    centres = {
        atom.GetIdx(): [other.GetIdx() for other in atom.GetNeighbors()]
        for atom in mol.GetAtoms()
        if atom.GetIdx() in (1, 3)
    }
    found = edit(mol, keep=[0, 1, 2, 3, 4, 5], n=4)
    atoms = found.info["kept_atoms"]
    before = signed_volumes(mol.GetConformer().GetPositions(), centres)
    place = {atom: k for k, atom in enumerate(atoms)}
    moved = {place[c]: [place[e] for e in ends] for c, ends in centres.items()}
    for positions in found.positions:
        after = signed_volumes(positions.astype(float), moved)
        assert [np.sign(v) for v in after.values()] == [np.sign(v) for v in before.values()]
        assert np.allclose(list(after.values()), list(before.values()), atol=1e-4)


def test_hydrogens_stay_on_kept_atoms_and_the_size_is_open():
    mol = embedded("CCCO")
    found = edit(mol, keep=[0, 1], n=12)  # CH3 and CH2
    assert found.info["kept_atoms"] == [0, 1, 4, 5, 6, 7, 8]
    assert len(set(found.counts.tolist())) > 1 and found.counts.min() >= 7
    assert edit(mol, keep=[0, 1], n_atoms=[9, 12], n=2).counts.tolist() == [9, 12]
    assert edit(mol, keep=[0, 1], grow=3, n=2).counts.tolist() == [10, 10]
    drawn = edit(mol, keep=[0, 1], grow=(2, 5), n=20).counts - 7
    assert set(drawn.tolist()) == {2, 3, 4, 5}


def test_the_size_is_open_with_weights_that_otherwise_draw_it():
    model = EADModel("qm9-joint", sizes="drawn", **TINY_JOINT)
    whole, options = sample_molecules()[1200], SamplingOptions(seed=0)
    planned = plan_edit(model, whole, [0], 5, None, None, None, options)
    assert planned.options.n_atoms == "free"
    given = plan_edit(model, whole, [0], 5, None, None, None, replace(options, n_atoms="histogram"))
    assert given.options.n_atoms == "histogram"


def test_a_model_of_given_sizes_draws_those_that_hold_the_part():
    model = EADModel(
        "qm9-joint", n_layers=1, n_features=32, n_heads=4, tasks="edit", variable_size=False
    )
    model.fit(sample_molecules()[np.arange(500, 540)].to_dataset(bonds=True), nb_epoch=1)
    source = sample_molecules()[500]
    assert (model.edit(source, keep=[0], n=20, **QUICK).counts > 4).all()
    with pytest.raises(ValueError, match="is to have at least .* pass n_atoms"):
        model.edit(embedded("CCCCCCCCC"), attach=[0], **QUICK)


def test_patterns_indices_and_masks_say_the_same():
    mol = embedded("Cc1ccccc1")
    by_pattern = edit(mol, keep="c1ccccc1")
    mask = np.zeros(mol.GetNumAtoms(), bool)
    mask[1:7] = True
    for keep in (range(1, 7), list(range(1, 7)), mask, mask.tolist(), np.arange(1, 7)):
        again = edit(mol, keep=keep)
        assert again.info["kept_atoms"] == by_pattern.info["kept_atoms"]
        assert np.array_equal(again.coordinates, by_pattern.coordinates)


def test_coordinates_without_bonds_are_perceived():
    bonded = sample_molecules()[900]
    bare = MoleculeBatch.from_arrays(bonded.numbers, bonded.positions)
    first = edit(bare, keep=[0, 1, 2], n=2)
    assert_kept(first, bonded)


def test_the_molecule_that_was_given_is_no_edit_of_it(monkeypatch):
    """A hydrogen that gives its place to another one: told, with what to ask for."""
    mol = embedded("Oc1ccccc1")
    found = MoleculeBatch.from_rdkit([mol, embedded("CCO"), mol])
    monkeypatch.setattr(EADModel, "generate", lambda self, n, **_: found)
    with pytest.warns(UserWarning, match=r"2 of 3 molecules are the one .* grow=\(2, 9\)"):
        edit(mol, attach=[3], n=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        edit(embedded("CC=O"), attach=[0], n=3)


# ------------------------------------------------------------------------------------- attach


def part_of(mol, keep=None, attach=None):
    whole = Whole(one_molecule(mol))
    wanted = np.arange(len(whole.numbers)) if keep is None else np.array(keep)
    return keep_part(whole, wanted, attach)


def test_a_hydrogen_gives_way_where_atoms_are_attached():
    mol = embedded("CCO")
    part = part_of(mol, attach=[1])
    assert len(part.atoms) == mol.GetNumAtoms() - 1
    assert part.molecule.numbers[0].tolist().count(1) == 5
    assert len(part_of(mol, attach=[1, 1]).atoms) == mol.GetNumAtoms() - 2


def test_what_does_not_grow_is_closed_by_hydrogens_along_the_old_bonds():
    mol = embedded("OCC(F)CN")
    x = mol.GetConformer().GetPositions()
    part = part_of(mol, keep=[1, 2], attach=[2])  # O at atom 1, F and CH2 at atom 2 are removed
    found = part.molecule
    assert found.counts[0] == len(part.atoms) + 1
    cap = found.positions[0][-1] - x[1]
    assert np.linalg.norm(cap) == pytest.approx(1.09, abs=1e-5)
    old = x[0] - x[1]
    assert cap @ old / np.linalg.norm(old) == pytest.approx(1.09, abs=1e-5)
    assert bonds_among(found, 0, [0, len(part.atoms)]) == {(0, 1, 1)}
    got = edit(mol, keep=[1, 2], attach=[2], n=2)
    assert got.info["kept"] == len(part.atoms) and got.info["given"] == got.info["kept"] + 1
    assert got.positions[0][len(part.atoms)].tobytes() == found.positions[0][-1].tobytes()


def test_a_double_bond_that_is_cut_gets_two_hydrogens():
    mol = embedded("CC(=O)CF")
    part = part_of(mol, keep=[0, 1], attach=[0])
    numbers, x = part.molecule.numbers[0], part.molecule.positions[0]
    caps = x[len(part.atoms) :]
    assert numbers[len(part.atoms) :].tolist() == [1, 1, 1]  # of =O and of CH2F
    assert np.allclose(np.linalg.norm(caps - x[1], axis=1), 1.09, atol=0.05)
    assert np.linalg.norm(caps[:, None] - caps[None], axis=2)[np.triu_indices(3, 1)].min() > 1.2


def test_hydrogens_that_face_each_other_make_room_for_a_ring():
    mol = embedded("CCCCC")
    x = mol.GetConformer().GetPositions()
    part = part_of(mol, attach=[0, 4])
    freed = sorted(set(range(mol.GetNumAtoms())) - set(part.atoms.tolist()))
    assert len(freed) == 2
    for end, other in ((0, 4), (4, 0)):
        own = [a.GetIdx() for a in mol.GetAtomWithIdx(end).GetNeighbors() if a.GetAtomicNum() == 1]
        nearest = min(own, key=lambda k: np.linalg.norm(x[k] - x[other]))
        assert nearest in freed


# ------------------------------------------------------------------------------------- linking


def shifted(mol: Chem.Mol, by: float) -> Chem.Mol:
    conformer = mol.GetConformer()
    conformer.SetPositions(conformer.GetPositions() + [by, 0, 0])
    return mol


def test_fragments_are_linked_where_they_stand():
    a, b = embedded("c1ccccc1"), shifted(embedded("CO"), 8.0)
    found = edit([a, b], n=6)
    whole = union([a, b])
    assert found.info["kept"] == whole.counts[0] - 2
    assert_kept(found, whole)
    x = whole.positions[0]
    freed = sorted(set(range(len(x))) - set(found.info["kept_atoms"]))
    hydrogens = whole.numbers[0] == 1
    first, second = np.flatnonzero(hydrogens[:12]), 12 + np.flatnonzero(hydrogens[12:])
    lengths = np.linalg.norm(x[first][:, None] - x[second][None], axis=2)
    i, j = np.unravel_index(lengths.argmin(), lengths.shape)
    assert freed == [first[i], second[j]]
    parts = (0,) * 12 + (1,) * 6
    links = find_links(Whole(whole), np.array(parts))
    grown = found.counts - found.info["kept"]
    assert np.array_equal(grown, linker_sizes(links.gaps, 6, seed=0))
    again = edit([a, b], n=3)
    assert np.array_equal(again.counts, found.counts[:3])


def test_fragments_that_stand_in_each_other_are_refused():
    a, b = embedded("C1CC1"), embedded("CC=O")
    told = r"fragments 0 and 1 stand in each other: the atoms \d \(.\) and \d+ .*; move the frag"
    for options in ({}, {"attach": [0, 9]}, {"keep": list(range(16)), "attach": [0]}):
        with pytest.raises(MoleculeError, match=told):
            edit([a, b], **options)
    assert edit([a, b], keep=range(9), attach=[0]).info["kept"] == 8  # the other one goes
    # Hydrogens that give way may be anywhere.
    methane = embedded("C")
    x = methane.GetConformer().GetPositions()
    other = Chem.Mol(methane)
    other.GetConformer().SetPositions(2 * x[1] * 1.1 - x)  # mirrored in a point beyond a hydrogen
    assert edit([methane, other]).info["kept"] == 8


def test_linkers_are_as_long_as_a_stretched_chain():
    for n in (3, 4, 5, 6):  # propane has one carbon between its ends
        chain = [np.array([1.265 * k, 0.44 * (k % 2), 0]) for k in range(n)]
        gap = float(np.linalg.norm(chain[0] - chain[-1]))
        sizes = linker_sizes([gap], 200, seed=3)
        assert n - 2 <= sizes.min() and sizes.max() <= 3 * (n - 1)
        assert len(set(sizes.tolist())) > n


def test_three_fragments_are_linked_by_two_links():
    mols = [shifted(embedded("C"), 6.0 * k) for k in range(3)]
    links = find_links(Whole(union(mols)), np.repeat([0, 1, 2], 5))
    assert len(links.gaps) == 2 and len(set(links.freed)) == 4
    assert all(5 < gap < 7 for gap in links.gaps)


# -------------------------------------------------------------------------- shapes, neighbours


def test_positions_are_kept_and_elements_free():
    source = sample_molecules()[800]
    found = edit(source, keep_positions=[0, 1, 2, 3], n=8)
    n = int(source.counts[0])
    assert found.counts.tolist() == [n] * 8 and found.info["kept"] == 4
    for positions in found.positions:
        assert positions[:4].tobytes() == source.positions[0][:4].tobytes()
    assert len({tuple(numbers[:4]) for numbers in found.numbers}) > 1
    whole = edit(source, keep_positions=np.ones(n, bool), n=2, grow=2)
    assert whole.counts.tolist() == [n + 2] * 2


def test_variations_are_near_at_low_levels_with_any_weights():
    model = EADModel.from_pretrained("qm9-1")
    source = sample_molecules()[1200]
    near = model.vary(source, level=50, n=3, steps=20, seed=0, progress=False)
    assert near.smiles == source.smiles * 3
    far = model.vary(source, level=900, n=3, steps=20, seed=0, progress=False)
    assert near.info["task"].startswith("Variation") and set(far.smiles) != set(source.smiles)


def test_the_noise_that_a_configuration_amplifies_is_not_around_what_is_given():
    model, source = EADModel.from_pretrained("qm9"), sample_molecules()[1200]
    assert "churn" in model.config.stepper
    few = dict(n=1, steps=2, seed=0, progress=False)
    for found in (model.vary(source, **few), model.edit(source, keep=[0], n_atoms=12, **few)):
        assert "ChurnStepper(gamma=0.0" in found.info["stepper"]
    asked = model.vary(source, stepper="churn:gamma=1", **few)
    assert "ChurnStepper(gamma=1" in asked.info["stepper"]
    assert "ChurnStepper(gamma=1" in model.generate(**few).info["stepper"]


# ------------------------------------------------------------------------------------- refusals

ETHANOL = embedded("CCO")
FLAT = Chem.AddHs(Chem.MolFromSmiles("CCO"))
PAIR = sample_molecules()[:2]


@pytest.mark.parametrize(
    ("mol", "options", "message"),
    [
        (ETHANOL, {}, "nothing would change; keep fewer atoms, or name with attach="),
        (ETHANOL, {"keep": "[#6]"}, r"matches CCO 2 times: the atoms \[0\], \[1\]; .*keep=\[0\]"),
        (ETHANOL, {"keep": "c1ccccc1"}, "matches nothing in CCO; lower case letters"),
        (ETHANOL, {"keep": "C(("}, r"keep='C\(\(' is no SMARTS"),
        (ETHANOL, {"keep": [True, False]}, r"mask of the shape \(2,\), but .* 9 atoms"),
        (ETHANOL, {"keep": [0, 9]}, "keep names atom 9, but the 9 atoms .* 0 to 8"),
        (ETHANOL, {"keep": [-1]}, "keep names atom -1"),
        (ETHANOL, {"keep": [0.5]}, "give a SMARTS text, whole atom indices, or a mask"),
        (ETHANOL, {"keep": []}, "keep names no atom"),
        (ETHANOL, {"keep": [0], "attach": [1]}, r"attach names atom 1 \(C\), which is not kept"),
        (ETHANOL, {"attach": [3]}, r"attach names atom 3 \(H\), a hydrogen; name the atom"),
        (ETHANOL, {"attach": [2, 2]}, r"asks for 2 to join at atom 2 \(O\), where 1 can"),
        (ETHANOL, {"attach": [12]}, "attach names atom 12, but the 9 atoms"),
        (ETHANOL, {"attach": "O"}, "give indices of kept atoms"),
        (ETHANOL, {"keep": [0], "grow": 0}, "grow=0: give the number of atoms"),
        (ETHANOL, {"keep": [0], "grow": 2, "n_atoms": 9}, "grow and n_atoms both say"),
        (ETHANOL, {"keep": [0], "keep_positions": [0]}, "keep and keep_positions: give one"),
        (ETHANOL, {"keep_positions": [0], "n_atoms": "free"}, "give a number of atoms"),
        (ETHANOL, {"keep": [0], "n_atoms": 3}, "to have 3 atoms, but 4 are given; .* larger n_at"),
        (ETHANOL, {"keep": [0], "n_atoms": 4}, "to have 4 atoms, but 4 are given; .* larger n_at"),
        (
            Chem.CombineMols(ETHANOL, shifted(embedded("O"), 4.0)),
            {"keep": "CCO"},
            "no kept atom is bonded to one that is not, .* nothing would change; .* attach=",
        ),
        (FLAT, {"keep": [0]}, "the molecule has no conformer; give it 3D coordinates"),
        (Chem.RemoveHs(ETHANOL), {"keep": [0]}, r"atom 0 \(C\) has 3 hydrogen.*AddHs"),
        (PAIR, {"keep": [0]}, r"a batch of 2 molecules; give one of them \(batch\[0\]\)"),
        ("CCO", {"keep": [0]}, "the text 'CCO', which has no coordinates"),
        ([ETHANOL, FLAT], {}, "fragment 1 has no conformer"),
        ([], {}, "no fragment to start from"),
        (None, {"keep": [0]}, "the molecule is a NoneType; give an RDKit molecule"),
        (
            MoleculeBatch.from_arrays([[6, 6, 8]], [np.eye(3) * 1.4]),
            {"keep": [0]},
            "no bonds of its own and shows none .*are hydrogens missing",
        ),
        (embedded("CS"), {"keep": [1]}, "holds an atom of the kind S; the model knows only H,C"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_remedy(mol, options, message):
    with pytest.raises((ValueError, MoleculeError), match=message):
        edit(mol, **options)


@pytest.mark.parametrize("level", [0, 1000, float("nan"), "low", None])
def test_levels_out_of_range_are_refused(level):
    with pytest.raises(ValueError, match=rf"level={level}: .* above 0 .* below 1000"):
        MODEL.vary(ETHANOL, level=level)


@pytest.mark.parametrize(
    ("ask", "unknown"),
    [
        (lambda model: model.edit(ETHANOL, keep=[0]), "the task 'edit'"),
        (lambda model: model.edit(ETHANOL, keep_positions=[0]), "the task 'shape'"),
        (lambda model: model.conformers("CC"), "the task 'conformer' or bonds"),
    ],
)
def test_weights_that_know_nothing_of_it_say_so(ask, unknown):
    with pytest.raises(
        ValueError,
        match=rf"not learned .* {unknown} .*tasks: free.*take 'qm9', .*--preset qm9-joint",
    ):
        ask(EADModel.from_pretrained("qm9-1"))


def test_charges_that_weights_do_not_know_are_not_dropped():
    model = EADModel.from_pretrained("qm9-1")
    with pytest.raises(MoleculeError, match="atom 0 of the molecule has a formal charge"):
        model.vary(embedded("[NH3+]C"))


def test_a_start_of_ones_own_and_misspelt_keywords_are_refused():
    with pytest.raises(ValueError, match="start= is for generate"):
        MODEL.vary(ETHANOL, start="x")
    with pytest.raises(TypeError, match="no keyword 'seeds'.*did you mean 'seed'"):
        MODEL.edit(ETHANOL, keep=[0], seeds=1)
