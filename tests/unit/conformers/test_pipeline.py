"""Conformers whoever draws them: checked, drawn again, relaxed, ranked, pruned, selected."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem, rdMolTransforms

from deepchem_ead.conformers import (
    ETKDG,
    PURPOSES,
    ConformerOptions,
    Entry,
    enumerate_forms,
    find_ensemble,
    generate_conformers,
    read_graph,
)
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics.conformers import stereo_kept
from deepchem_ead.metrics.rmsd import best_rmsds, graph_matches, heavy_positions


class Given:
    """Draws what it is told, round by round, over and over."""

    method = "told"

    def __init__(self, *rounds):
        self.rounds, self.asked = rounds, []

    def __call__(self, molecule, name):
        return self

    def draw(self, n, attempt):
        self.asked.append(n)
        return [self.rounds[attempt][k % len(self.rounds[attempt])] for k in range(n)]


def positions(smiles, n=1, seed=1):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMultipleConfs(mol, n, randomSeed=seed)
    return [np.array(c.GetPositions()) for c in mol.GetConformers()]


def etkdg(smiles, n=10, start=None, **options):
    molecule, name = read_graph(smiles)
    return find_ensemble(molecule, name, ETKDG, ConformerOptions(n=n, **options), start)


# -------------------------------------------------------------------------------- what is right


@pytest.mark.parametrize(
    "smiles",
    ["C[C@H](O)[C@@H](F)N", "F/C=C\\C", "C/C=N/[H]", "O[C@H]1CC[C@@H](F)CC1", "C[S@](=O)CC",
     "C[C@H](N)C(=O)[O-]", "C[N+](C)(C)C/C=C/C"],
)  # fmt: skip
def test_stereo_and_charges_are_kept_in_every_conformer(smiles):
    ensemble = etkdg(smiles, relax="mmff94")
    assert len(ensemble) == 10 and stereo_kept(read_graph(smiles)[0], ensemble.mol).all()
    assert Chem.GetFormalCharge(ensemble.mol) == Chem.GetFormalCharge(Chem.MolFromSmiles(smiles))


def test_what_is_wrong_is_drawn_again_and_told():
    right, wrong = positions("F/C=C/C")[0], positions("F/C=C\\C")[0]
    source = Given([wrong, right], [right])
    molecule, name = read_graph("F/C=C/C")
    ensemble = find_ensemble(molecule, name, source, ConformerOptions(n=4))
    assert len(ensemble) == 4 and source.asked == [4, 4]
    assert ensemble.drawn == 8 and sum(ensemble.problems.values()) == 2
    assert ensemble.told()["redrawn"] == "double bond 1-2 is cis (2)"
    with pytest.raises(MoleculeError, match=r"'F/C=C/C': 0 of 2 .*double bond 1-2 is cis \(18\)"):
        find_ensemble(molecule, name, Given([wrong], [wrong]), ConformerOptions(n=2, tries=2))
    some = Given([wrong, right], [wrong])
    ensemble = find_ensemble(molecule, name, some, ConformerOptions(n=2, tries=2))
    assert len(ensemble) == 1 and "1 of 2 conformers are right" in ensemble.notes[0]
    with pytest.raises(MoleculeError, match="1 of 2 conformers are right"):
        some = Given([wrong, right], [wrong])
        find_ensemble(molecule, name, some, ConformerOptions(n=2, tries=2), complete=True)


def test_cis_amides_are_drawn_again_only_on_request():
    trans = positions("CC(=O)NC")[0]
    mol = Chem.AddHs(Chem.MolFromSmiles("CC(=O)NC"))
    atoms = Chem.MolFromSmarts("O=CN[H]")
    (match,) = mol.GetSubstructMatches(atoms)
    AllChem.EmbedMolecule(mol, randomSeed=1)
    rdMolTransforms.SetDihedralDeg(mol.GetConformer(), *match, 0.0)
    cis = np.array(mol.GetConformer().GetPositions())
    molecule, name = read_graph("CC(=O)NC")
    for wanted, found in ((False, 0), (True, 1)):
        options = ConformerOptions(n=2, trans_amides=wanted, check_bonds=False)
        ensemble = find_ensemble(molecule, name, Given([cis, trans], [trans]), options)
        assert len(ensemble) == 2 and ensemble.problems["amide 1-3 is cis"] == found
    # In a ring it cannot be otherwise.
    assert len(etkdg("O=C1CCCN1", n=2, trans_amides=True)) == 2


@pytest.mark.parametrize(
    ("smiles", "options", "reason"),
    [
        ("CC.O", {}, "'CC.O' consists of 2 parts"), ("", {}, "has no atoms"),
        ("C*", {}, "dummy atom"), ("C1CC", {}, "is not a SMILES"),
        ("C[Se]C", {"relax": "mmff94"}, "MMFF94s has no parameters"),
        ("CBr", {"relax": "ani2xt"}, "ANI-2xt does not know Br; .*take gfn2 or mmff94"),
        ("CC(=O)[O-]", {"energies": "ani2xt"}, "ANI-2xt knows neutral molecules only"),
    ],
)  # fmt: skip
def test_molecules_that_cannot_be_done_are_refused_with_the_reason(smiles, options, reason):
    with pytest.raises(MoleculeError, match=reason):
        etkdg(smiles, n=2, **options)


# ------------------------------------------------------------------------ relax, rank, prune, keep


def test_energies_rank_and_pruning_leaves_what_is_apart():
    every = etkdg("CCCCO", n=30, relax="mmff94")
    assert np.all(np.diff(every.energies) >= 0) and len(every) == 30
    pruned = etkdg("CCCCO", n=30, relax="mmff94", prune=0.3)
    x = heavy_positions(pruned.mol)
    apart = best_rmsds(x, x, graph_matches(pruned.mol, pruned.mol))
    assert (apart + 9 * np.eye(len(x))).min() >= 0.3
    assert pruned.pruned == 30 - len(pruned) > 0 and pruned.energies[0] == every.energies[0]
    window = etkdg("CCCCO", n=30, relax="mmff94", prune=0.3, window=1.0, keep=2)
    assert len(window) <= 2 and np.ptp(window.energies) <= 1.0
    assert window.outside + window.pruned + window.not_kept + len(window) == 30
    weights = [c.GetDoubleProp("weight") for c in pruned.mol.GetConformers()]
    expected = np.exp(-(pruned.energies - pruned.energies[0]) / (0.0019872 * 298.15))
    assert np.allclose(weights, expected / expected.sum(), rtol=1e-3)


def test_energies_of_what_is_not_relaxed_are_told():
    ensemble = etkdg("CCO", n=3, keep=1)
    assert (ensemble.relaxed, ensemble.energy_level) == (None, "mmff94s")
    assert "not relaxed" in ensemble.notes[0] and ensemble.told()["relaxed"] == "no"
    ensemble = etkdg("CCO", n=3)
    assert ensemble.energies is None and ensemble.told() == {
        "method": "ETKDGv3", "relaxed": "no", "drawn": "3",
    }  # fmt: skip


def test_relaxation_that_changes_the_molecule_is_no_conformer(monkeypatch):
    from deepchem_ead.potentials.levels import Minimum, MMFF94s

    broken = positions("CCO")[0]
    broken[-1] += 3.0
    monkeypatch.setattr(MMFF94s, "relax", lambda self, mol, x: Minimum(broken, 0.0))
    with pytest.raises(MoleculeError, match="bonded atoms are apart after relaxation"):
        etkdg("CCO", n=1, tries=1, relax="mmff94")


def test_whatever_is_drawn_sees_the_force_field_before_a_better_level(monkeypatch):
    """A bond of an own drawing that is a third too long is pulled back, not drawn again."""
    from deepchem_ead.potentials.levels import GFN2, LEVELS

    stretched = positions("CCO")[0]
    stretched[2] += 0.33 * (stretched[2] - stretched[1])
    begun = []

    class Watched(GFN2):
        def descend(self, mol, positions):
            begun.append(positions)
            return super().descend(mol, positions)

    monkeypatch.setitem(LEVELS, "gfn2", Watched())
    molecule, name = read_graph("CCO")
    options = ConformerOptions(n=1, tries=1, relax="gfn2")
    ensemble = find_ensemble(molecule, name, Given([stretched]), options)
    (x,) = begun
    assert np.linalg.norm(x[2] - x[1]) == pytest.approx(1.42, abs=0.03) and len(ensemble) == 1


def test_a_conformer_i_depends_on_the_seed_and_i_only():
    few, many = etkdg("CCCCO", n=2), etkdg("CCCCO", n=6)
    for k in range(2):
        assert np.array_equal(
            few.mol.GetConformer(k).GetPositions(), many.mol.GetConformer(k).GetPositions()
        )


def test_a_cage_that_cannot_be_embedded_ends_soon():
    with pytest.raises(MoleculeError, match=r"right after 2 rounds, 24 drawn.*no geometry was"):
        etkdg("C[C@@]12O[C@H]1[C@]1(CO1)[C@H]2O", n=12)


def test_conformers_that_some_attempts_fail_at_are_those_that_did_not(monkeypatch):
    from rdkit.Chem import rdDistGeom

    embed = rdDistGeom.EmbedMultipleConfs

    def failing(mol, n, parameters):
        embed(mol, n, parameters)
        if n > 1:
            mol.RemoveConformer(0)
        return list(range(n))

    monkeypatch.setattr(rdDistGeom, "EmbedMultipleConfs", failing)
    ensemble = etkdg("CCO", n=4)
    assert len(ensemble) == 4 and ensemble.problems["no geometry was found"] > 0


def test_purposes_are_defaults():
    options = ConformerOptions.for_purpose("dft", n=3, relax=None)
    assert (options.n, options.relax, options.keep) == (3, "gfn2", PURPOSES["dft"]["keep"])
    with pytest.raises(ValueError, match="choose screening, docking, dft"):
        ConformerOptions.for_purpose("fun")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"n": 0}, "n must be"), ({"tries": 1.5}, "tries must"), ({"keep": 0}, "keep must"),
     ({"prune": -1}, "prune must"), ({"window": float("nan")}, "window must"),
     ({"relax": "b3lyp"}, "relax='b3lyp': choose mmff94, ani2xt or gfn2"),
     ({"energies": 3}, "energies=3")],
)  # fmt: skip
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ConformerOptions(**options)


# ---------------------------------------------------------------------------- numbers of the atoms


@pytest.mark.parametrize(
    ("smiles", "symbols"),
    [("CCO", "CCOHHHHHH"), ("[H]OC", "HOCHHH"), ("[2H]C([H])O", "HCHOHH"), ("[H][H]", "HH"),
     ("[H]/N=C/C", "HNCCHHHH"), ("OCC", "OCCHHHHHH")],
)  # fmt: skip
def test_atoms_are_numbered_as_in_the_input(smiles, symbols):
    ensemble = etkdg(smiles, n=1)
    assert "".join(atom.GetSymbol() for atom in ensemble.mol.GetAtoms()) == symbols


# --------------------------------------------------------------------------- the user's conformers


def test_a_conformer_of_ones_own_takes_part():
    mol = Chem.AddHs(Chem.MolFromSmiles("C[C@H](O)CN"))
    AllChem.EmbedMolecule(mol, randomSeed=5)
    own = mol.GetConformer().GetPositions()
    ensemble = etkdg("C[C@H](O)CN", n=3, start=mol)
    assert [c.GetProp("origin") for c in ensemble.mol.GetConformers()] == ["start"] + ["drawn"] * 2
    assert "ETKDGv3 does not begin at coordinates" in ensemble.told()["start"]
    assert np.allclose(ensemble.mol.GetConformer(0).GetPositions(), own)
    order = np.random.default_rng(0).permutation(mol.GetNumAtoms()).tolist()
    for other in (Chem.RenumberAtoms(mol, order), Chem.RemoveHs(mol)):
        found = etkdg("C[C@H](O)CN", n=3, start=other).mol.GetConformer(0).GetPositions()
        heavy = slice(0, 5)
        assert np.allclose(found[heavy], own[heavy], atol=1e-6)


@pytest.mark.parametrize(
    ("smiles", "given", "told"),
    [("C[C@H](O)CN", "C[C@@H](O)CN", 1), ("C[C@H](O)CN", "C[C@H](O)CN", 0), ("CCO", "CCO", 0)],
)
def test_a_conformer_of_the_mirror_image_is_mirrored_and_told(smiles, given, told):
    mol = Chem.AddHs(Chem.MolFromSmiles(given))
    AllChem.EmbedMolecule(mol, randomSeed=5)
    ensemble = etkdg(smiles, n=2, start=mol)
    assert ensemble.told()["start"].endswith("were mirrored") == bool(told)
    own = mol.GetConformer().GetPositions() * [1, 1, -1 if told else 1]
    assert np.allclose(ensemble.mol.GetConformer(0).GetPositions(), own)


@pytest.mark.parametrize(
    ("start", "message"),
    [("CCN", "start: it is another molecule, CCN and not CCO"), ("COC", "another molecule")],
)
def test_conformers_of_other_molecules_are_refused(start, message):
    mol = Chem.AddHs(Chem.MolFromSmiles(start))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    with pytest.raises(MoleculeError, match=message):
        etkdg("CCO", start=mol)
    with pytest.raises(MoleculeError, match="start: it has no 3D conformer"):
        etkdg("CCO", start=Chem.MolFromSmiles("CCO"))


def test_ones_own_conformer_with_other_stereo_is_left_out_and_told():
    mol = Chem.AddHs(Chem.MolFromSmiles("F/C=C\\C"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    ensemble = etkdg("F/C=C/C", n=2, start=mol)
    assert ensemble.problems == {"start: double bond 1-2 is cis": 1} and len(ensemble) == 2


# ------------------------------------------------------------------------------------------- forms


@pytest.mark.parametrize(
    ("smiles", "kinds", "wanted"),
    [
        ("CC(O)C=CC", ["stereo"],
         {"C/C=C/[C@@H](C)O", "C/C=C/[C@H](C)O", "C/C=C\\[C@@H](C)O", "C/C=C\\[C@H](C)O"}),
        ("C[C@H](O)C(F)Cl", ["stereo"], {"C[C@H](O)[C@H](F)Cl", "C[C@H](O)[C@@H](F)Cl"}),
        ("CCO", ["stereo", "tautomers", "protonation"], {"CCO"}),
        ("CC(=O)O", ["protonation"], {"CC(=O)O", "CC(=O)[O-]"}),
        ("NCC(=O)O", ["protonation"], {"NCC(=O)O", "[NH3+]CC(=O)[O-]"}),
        ("Oc1ccccn1", ["tautomers"], {"Oc1ccccn1", "O=c1cccc[nH]1", "O=C1CC=CC=N1"}),
        ("C[C@H](F)C(C)=O", ["tautomers"],
         {"C[C@H](F)C(C)=O", "C[C@H](F)C(=C)O", "CC(F)=C(C)O"}),
        ("C/C=C\\C(C)=O", ["tautomers"],
         {"C/C=C\\C(C)=O", "C/C=C\\C(=C)O", "C=CC=C(C)O", "C=CCC(=C)O", "C=CCC(C)=O"}),
        ("[15n]1c[nH]cc1", ["tautomers"], {"[15n]1c[nH]cc1", "[15nH]1cncc1"}),
    ],
)  # fmt: skip
def test_forms(smiles, kinds, wanted):
    forms, more = enumerate_forms(read_graph(smiles)[0], kinds)
    found = {Chem.CanonSmiles(Chem.MolToSmiles(form.mol)) for form in forms}
    assert found == {Chem.CanonSmiles(each) for each in wanted} and not more
    own = [atom.GetAtomicNum() for atom in Chem.MolFromSmiles(smiles).GetAtoms()]
    assert all([a.GetAtomicNum() for a in form.mol.GetAtoms()] == own for form in forms)


def test_more_forms_than_wanted_are_told():
    forms, more = enumerate_forms(Chem.MolFromSmiles("CC(F)C(F)C(F)C(F)C"), ["stereo"], most=4)
    assert len(forms) == 4 and more
    with pytest.raises(ValueError, match="choose protonation, tautomers, stereo"):
        enumerate_forms(forms[0].mol, ["salts"])


def answers(smiles, forms=(), use_start=False, mol=None, **options):
    entry = Entry(7, "x", smiles, mol or smiles)
    found = generate_conformers(
        [entry], ETKDG, ConformerOptions(**options), forms, use_start=use_start
    )
    (one,) = found
    return one


def test_energies_of_isomers_are_above_the_lowest_of_all():
    found = answers("CC(O)C(F)N", ["stereo"], n=4, relax="mmff94")
    assert [a.form for a in found] == [f"stereoisomer {k}" for k in range(1, 5)]
    relative = [
        c.GetDoubleProp("relative_energy") for a in found for c in a.ensemble.mol.GetConformers()
    ]
    weights = [c.GetDoubleProp("weight") for a in found for c in a.ensemble.mol.GetConformers()]
    lowest = min(a.ensemble.energies[0] for a in found)
    assert min(relative) == 0 and sum(weights) == pytest.approx(1)
    assert relative[0] == pytest.approx(found[0].ensemble.energies[0] - lowest)


def test_energies_that_cannot_be_compared_are_not():
    found = answers("OC(C)=CC#N", ["tautomers"], n=2, relax="mmff94")
    assert len(found) > 1
    for answer in found:
        assert answer.ensemble.mol.GetConformer(0).GetDoubleProp("relative_energy") == 0
        assert any("cannot be compared" in note for note in answer.ensemble.notes)


def test_what_is_open_or_unused_is_noted():
    (found,) = answers("CC(O)F", n=2)
    assert found.ensemble.notes[0].startswith("1 configuration is not specified: conformers may")
    (found,) = answers("CC(O)C=CF", n=2)
    assert found.ensemble.notes[0].startswith("2 configurations are not specified")
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    (found,) = answers("CCO", mol=mol, n=2)
    assert found.ensemble.notes == ["the molecule's own coordinates were not used"]
    (found,) = answers("CCO", mol=mol, use_start=True, n=2)
    assert found.ensemble.notes == [] and "does not begin at coordinates" in found.ensemble.start
    assert found.ensemble.mol.GetConformer(0).GetProp("origin") == "start"
    (found,) = answers("CCO", use_start=True, n=2)
    assert found.ensemble.start == "no 3D coordinates came with it to begin at"
    (found,) = answers("CC.O")
    assert found.ensemble is None and "2 parts" in found.reason and found.entry.number == 7


# ------------------------------------------------------------------------------ energies of forms

WATER = {"n": 2, "relax": "gfn2", "solvent": "water"}


def by_smiles(found):
    return {Chem.MolToSmiles(Chem.RemoveHs(a.ensemble.mol)): a.ensemble for a in found}


def test_tautomers_compare_in_the_gas_phase_and_in_water():
    """Experiments: the lactim lies 0.8 kcal/mol below in the gas phase, 3 to 4 above in water."""
    pytest.importorskip("tblite")
    above = {}
    for solvent in (None, "water"):
        found = by_smiles(answers("Oc1ccccn1", ["tautomers"], **(WATER | {"solvent": solvent})))
        lactam, lactim = found["O=c1cccc[nH]1"], found["Oc1ccccn1"]
        above[solvent] = lactam.energies[0] - lactim.energies[0]
        assert lactam.compared == "3 of 3 forms, of one composition (C5H5NO)"
        first = lactam.mol.GetConformer(0).GetDoubleProp("relative_energy")
        assert first == pytest.approx(max(above[solvent], 0), abs=1e-6)
        assert lactam.form_free_energy is None
    assert above[None] == pytest.approx(0.8, abs=0.5) and -4 < above["water"] < -0.5


@pytest.mark.parametrize(
    ("acid", "base", "pka"), [("CC(=O)O", "CC(=O)[O-]", 4.76), ("CC[NH3+]", "CCN", 10.65)]
)
def test_protonation_states_compare_at_a_ph(acid, base, pka):
    pytest.importorskip("tblite")
    for ph in (7.4, 1.0):
        found = by_smiles(answers(acid, ["protonation"], ph=ph, **WATER))
        gap = found[base].form_free_energy - found[acid].form_free_energy
        assert gap == pytest.approx(1.364 * (pka - ph), abs=4.0)
        assert min(e.form_free_energy for e in found.values()) == 0
    for ensemble in found.values():
        assert "no other of 2 forms" in ensemble.compared
        assert any("pH 1, estimated to 2.5 kcal/mol" in note for note in ensemble.notes)
        assert ensemble.mol.GetConformer(0).GetDoubleProp("relative_energy") == 0


def test_protonation_states_do_not_compare_without_water():
    pytest.importorskip("tblite")
    found = answers("CC(=O)O", ["protonation"], n=1, relax="gfn2")
    # Nor with water around geometries of another level.
    found += answers(
        "CC(=O)O", ["protonation"], **(WATER | {"relax": "mmff94", "energies": "gfn2"})
    )
    for ensemble in (answer.ensemble for answer in found):
        assert ensemble.form_free_energy is None
        assert any("cannot be compared" in n and "solvent water" in n for n in ensemble.notes)


def test_zwitterions_are_warned_of():
    pytest.importorskip("tblite")
    found = answers("NCC(=O)O", ["protonation"], **WATER)
    assert all(any("zwitterion" in note for note in a.ensemble.notes) for a in found)
    nitro = answers("C[N+](=O)[O-]", ["protonation"], n=1, relax="gfn2")
    assert not nitro[0].ensemble.notes


def test_protons_that_are_lost_one_after_another_add_up():
    from deepchem_ead.conformers.protonation import ACIDS, CATIONS, PER_UNIT, free_energies

    lowest = {9: -300.0, 8: -180.0, 7: -55.0}  # of a cation, the neutral molecule, an anion
    found = free_energies(lowest, neutral=8, ph=7.0)
    first = CATIONS.slope * 120 + CATIONS.offset - 7 * PER_UNIT
    second = ACIDS.slope * 125 + ACIDS.offset - 7 * PER_UNIT
    assert found == pytest.approx({9: 0.0, 8: first, 7: first + second})
    both = free_energies({9: -300.0, 7: -60.0}, neutral=8, ph=7.0)
    second = ACIDS.slope * 120 + ACIDS.offset - 7 * PER_UNIT
    assert both == pytest.approx({9: 0.0, 7: first + second})


@pytest.mark.parametrize(
    ("options", "message"),
    [({"solvent": "water"}, "is of GFN2-xTB: relax or energies must be gfn2"),
     ({"solvent": "water", "relax": "mmff94"}, "is of GFN2-xTB"),
     ({"solvent": "milk", "relax": "gfn2"}, "solvent='milk': choose acetone, .*water"),
     ({"ph": float("nan")}, "ph must be a number, not nan")],
)  # fmt: skip
def test_solvents_and_ph_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ConformerOptions(**options)


# ----------------------------------------------------------------------------------- side by side


def embedded(molecule, n, wrong):
    """Conformers, with a wrong double bond in the first one."""
    mol = Chem.Mol(molecule)
    for bond in mol.GetBonds():
        if wrong and bond.GetStereo() == Chem.BondStereo.STEREOE:
            bond.SetStereo(Chem.BondStereo.STEREOZ)
    found = []
    for each, count in ((mol, 1), (molecule, n - 1)):
        AllChem.EmbedMultipleConfs(each, count, randomSeed=1)
        found += [c.GetPositions() for c in each.GetConformers()]
    return found


class Pooled:
    """Embeds molecules together; a first attempt is wrong where it can be."""

    method = "pooled"

    def __init__(self, of_room=1.0):
        self.of_room, self.drawn = of_room, []

    def __call__(self, molecule, name):
        source = Pooled()
        source.pool, source.molecule = self, molecule
        return source

    def share(self, request):
        return request.n * self.of_room

    def draw(self, requests):
        self.drawn.append([(r.source.molecule.GetNumAtoms(), r.attempt) for r in requests])
        return [embedded(source.molecule, n, wrong=not k) for source, n, k in requests]


ENTRIES = [
    Entry(k, "", s, s) for k, s in enumerate(["F/C=C/C", "CCO", "C.C", "CCN", "CCF", "?"], 1)
]


@pytest.mark.parametrize("of_room", [1e-3, 0.25, 0.5])
def test_molecules_are_drawn_together_and_answered_in_order(of_room):
    pool = Pooled(of_room)
    found = list(generate_conformers(ENTRIES, pool, ConformerOptions(n=2)))
    assert found[0][0].ensemble.problems == {"double bond 1-2 is cis": 1}
    assert [[a.entry.number for a in each] for each in found] == [[k] for k in range(1, 7)]
    assert [bool(each[0].reason) for each in found] == [False, False, True, False, False, True]
    others = [(n_atoms, 0) for n_atoms in (9, 10, 8)]
    wrong, again = (9, 0), (9, 1)
    assert (
        pool.drawn
        == {
            1e-3: [[wrong, *others], [again]],
            0.25: [[wrong, others[0]], [again, others[1]], [others[2]]],
            0.5: [[wrong], [again], *[[other] for other in others]],
        }[of_room]
    )


@pytest.mark.parametrize("source", [Pooled(0.5), ETKDG])
def test_no_more_is_read_than_is_drawn_at_once(source):
    read = []
    entries = (read.append(entry.number) or entry for entry in ENTRIES[3:])
    next(generate_conformers(entries, source, ConformerOptions(n=2)))
    assert read == [4]


def test_forms_are_drawn_together():
    pool = Pooled(1e-3)
    entries = [Entry(1, "", "CC(O)C(F)N", "CC(O)C(F)N"), ENTRIES[1]]
    found = list(generate_conformers(entries, pool, ConformerOptions(n=1), ["stereo"]))
    assert [len(each) for each in found] == [4, 1] and len(pool.drawn[0]) == 5
    for answer in found[0]:
        assert stereo_kept(answer.ensemble.mol, answer.ensemble.mol).all()
