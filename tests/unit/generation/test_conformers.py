"""Conformers of a graph: numbering, configuration, and graphs that cannot be done."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from joint_data import QUICK, joint_model, sample_molecules
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead import EADModel
from deepchem_ead.chem.graph_stereo import graph_stereo
from deepchem_ead.conformers.configuration import Configuration
from deepchem_ead.errors import MoleculeError
from deepchem_ead.generation import conformers as module
from deepchem_ead.generator import likeliest_bonds

MODEL = joint_model()


@pytest.fixture(autouse=True)
def no_long_search(monkeypatch):
    """A model that has learned nothing has bonds that fit no valences: look for none."""
    monkeypatch.setattr(likeliest_bonds, "MAX_TRIED", 5)


class Embedding:
    """A stand-in for a model that has learned: what it draws are conformers by RDKit.

    As an equivariant network it knows no configuration: it draws one of all stereoisomers' own.
    """

    method = "model"

    def __init__(self, smiles: str, broken: float = 0.0) -> None:
        self.drawn, self.broken = 0, broken
        bare = Chem.AddHs(Chem.MolFromSmiles(smiles))
        Chem.RemoveStereochemistry(bare)
        self.mol = bare

    def __call__(self, molecule, name):
        return self

    def draw(self, n, attempt):
        random = np.random.default_rng(attempt)
        mol = Chem.Mol(self.mol)
        ids = AllChem.EmbedMultipleConfs(mol, n, randomSeed=int(random.integers(2**30)))
        positions = [mol.GetConformer(i).GetPositions() for i in ids]
        for x in positions:
            if random.random() < self.broken:
                x[-1] += 3.0
        self.drawn += n
        return positions


def conformers(source, smiles, n=6, tries=10):
    return module.find_conformers(source, smiles, module.ConformerOptions(n=n, tries=tries))


def smiles_of_conformers(mol: Chem.Mol) -> set[str]:
    found = set()
    for conformer in mol.GetConformers():
        copy = Chem.Mol(mol)
        Chem.RemoveStereochemistry(copy)
        Chem.AssignStereochemistryFrom3D(copy, conformer.GetId())
        found.add(Chem.MolToSmiles(Chem.RemoveHs(copy)))
    return found


@pytest.mark.parametrize(
    "smiles",
    ["C[C@H](O)F", "C[C@@H](O)[C@H](F)N", "F/C=C\\C", "F/C=C/[C@H](O)C#N", "O[C@H]1CC[C@@H]1N"],
)
def test_the_configuration_is_what_was_asked(smiles):
    mol = conformers(Embedding(smiles), smiles)
    assert [c.GetId() for c in mol.GetConformers()] == list(range(6))
    assert all(c.Is3D() for c in mol.GetConformers())
    assert smiles_of_conformers(mol) == {Chem.CanonSmiles(smiles)}


def test_what_is_not_specified_is_free():
    mol = conformers(Embedding("CC(O)F"), "CC(O)F", n=12)
    assert len(smiles_of_conformers(mol)) == 2


def test_one_centre_never_takes_a_second_drawing():
    model = Embedding("C[C@H](O)F")
    conformers(model, "C[C@H](O)F", n=20, tries=1)
    assert model.drawn == 20


def test_broken_geometries_are_drawn_again_or_named():
    model = Embedding("CCO", broken=0.5)
    assert conformers(model, "CCO", n=8).GetNumConformers() == 8 and model.drawn > 8
    with pytest.raises(MoleculeError, match=r"'CCO': 0 of 2 .* after 3 rounds, .*are apart \(\d"):
        conformers(Embedding("CCO", broken=1.0), "CCO", n=2, tries=3)
    with pytest.raises(MoleculeError, match=r"double bond 1-2 is cis \(\d+\); ask for fewer"):
        conformers(Embedding("F/C=C\\C"), "F/C=C/C", tries=0 + 1, n=40)


def test_real_molecules_are_right_and_their_mirror_images_are_turned_back():
    chiral = 0
    for mol in sample_molecules()[np.arange(0, 1900, 10)].to_rdkit():
        x = mol.GetConformer().GetPositions()
        configuration = Configuration(mol)
        right, problem = configuration.righted(x, check_bonds=True)
        assert problem is None and right is x
        mirrored, problem = configuration.righted(-x, check_bonds=True)
        assert problem is None
        if configuration.centres:
            chiral += 1
            assert configuration.righted(mirrored, True)[0] is mirrored
    assert chiral > 50


@pytest.mark.parametrize(
    ("moved", "to", "problem"),
    [(8, 2, "on top of"), (4, 3, "on top of"), (8, 0, "atoms are apart"), (None, None, None)],
)
def test_atoms_on_top_of_each_other_are_no_conformer(moved, to, problem):
    """A hydrogen on its own oxygen, on another one of its carbon, on an atom far away."""
    mol = embedded("CCO")
    x = mol.GetConformer().GetPositions()
    if problem:
        x[moved] = x[to] + [0.1, 0.1, 0.1]
    found = Configuration(mol).righted(x, check_bonds=True)[1]
    assert found is None if problem is None else problem in found


@pytest.mark.parametrize("smiles", ["CC(=O)Nc1ccccc1", "C[N+](=O)[O-]", "OC(=O)C"])
def test_atoms_are_numbered_as_rdkit_numbers_the_smiles(smiles):
    expected = Chem.AddHs(Chem.MolFromSmiles(smiles))
    for given in (smiles, Chem.MolFromSmiles(smiles), expected):
        mol = MODEL.conformers(given, n=2, check_bonds=False, **QUICK)
        assert mol.GetNumConformers() == 2
        for one, other in zip(mol.GetAtoms(), expected.GetAtoms(), strict=True):
            assert one.GetAtomicNum() == other.GetAtomicNum()
            assert one.GetFormalCharge() == other.GetFormalCharge()
        ends = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()]
        assert ends == [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in expected.GetBonds()]
    again = MODEL.conformers(smiles, n=2, check_bonds=False, **QUICK)
    assert np.array_equal(again.GetConformer(1).GetPositions(), mol.GetConformer(1).GetPositions())


@pytest.mark.parametrize("smiles", ["C[C@H](O)F", "C[C@@H](O)F", "CC(O)F", "F/C=C\\[C@H](O)C"])
def test_the_network_is_told_what_the_smiles_says(smiles, monkeypatch):
    told, network = [], type(MODEL.model.sampling_denoiser)
    forward = network.forward

    def record(self, seen):
        told.append(seen)
        return forward(self, seen)

    monkeypatch.setattr(network, "forward", record)
    monkeypatch.setattr(Configuration, "righted", lambda self, x, check: (x, None))
    MODEL.conformers(smiles, n=3, **QUICK)
    stereo = graph_stereo(Chem.AddHs(Chem.MolFromSmiles(smiles)))
    for seen in told:
        tags = seen.stereo.tags.view(3, -1)
        assert (tags.numpy() == stereo.tags).all()
        assert int(seen.stereo.sides.abs().sum()) == 2 * 3 * len(stereo.sides)
        i, j = seen.layout.pairs
        sides = {(a, b): side for a, b, side in stereo.sides.tolist()}
        n = seen.layout.counts[0]
        for a, b, side in zip(i.tolist(), j.tolist(), seen.stereo.sides.tolist(), strict=True):
            if a < b < n:
                assert side == sides.get((a, b), sides.get((b, a), 0))


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("CC.O", "'CC.O' consists of 2 parts"),
        ("CS", "^'CS' holds an atom of the kind S; the model knows only H,C,N,O,F"),
        ("C[O+](C)C", r"^'C\[O\+\]\(C\)C' holds an atom of the kind O\+"),
        ("C[CH2]", "has unpaired electrons"),
        ("CCCCCCCCCC", "has 32 atoms with hydrogens, and the model knows at most 29"),
        ("C*", r"holds a dummy atom \(\*\)"),
        ("c1ccc", "is not a SMILES"),
        ("", "has no atoms"),
        (None, "mol is a NoneType"),
    ],
)
def test_graphs_that_cannot_be_done_are_refused_with_the_reason(smiles, reason):
    with pytest.raises((MoleculeError, ValueError), match=reason):
        MODEL.conformers(smiles, **QUICK)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"n": 0}, "n must be a whole number"), ({"tries": 0}, "tries must"),
     ({"n_atoms": 9}, "leave n_atoms out")],
)  # fmt: skip
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MODEL.conformers("CCO", **QUICK, **options)


# ------------------------------------------------------------------------ begun at given conformers


def embedded(smiles, n=1, order=None):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMultipleConfs(mol, n, randomSeed=4)
    return mol if order is None else Chem.RenumberAtoms(mol, order)


def distances_of(x):
    return np.linalg.norm(x[:, None] - x[None], axis=-1)


@pytest.mark.parametrize("smiles", ["C[C@H](O)C#N", "F/C=C\\C", "CC(=O)[O-]", "[NH3+]CC(=O)[O-]"])
def test_sampling_begins_at_the_users_conformer(smiles):
    n_atoms = embedded(smiles).GetNumAtoms()
    order = np.random.default_rng(1).permutation(n_atoms).tolist()
    start = embedded(smiles, order=order)
    wanted = distances_of(embedded(smiles).GetConformer().GetPositions())
    off = {}
    for level in (5.0, 900.0):
        found = MODEL.conformers(
            smiles, 3, start=start, start_level=level, check_bonds=False, tries=30, **QUICK
        )
        assert f"with the noise of level {level:g}" in found.GetProp("conformers_start")
        xs = [c.GetPositions() for c in found.GetConformers()]
        assert [c.GetProp("origin") for c in found.GetConformers()] == ["start", "drawn", "drawn"]
        assert np.allclose(distances_of(xs[0]), wanted, atol=1e-5)
        off[level] = max(np.abs(distances_of(x) - wanted).max() for x in xs[1:])
        assert np.abs(xs[1] - xs[2]).max() > 0
    assert off[5.0] < 0.2 < 0.5 < off[900.0]


def test_several_conformers_are_begun_at_in_turn(monkeypatch):
    given, generate = [], module.generate_batches
    monkeypatch.setattr(
        module, "generate_batches",
        lambda model, n, settings, **k: given.append(settings.start)
        or generate(model, n, settings, **k),
    )  # fmt: skip
    start = embedded("OCCO", 2)
    source = module.ModelSources(MODEL, module.SamplingOptions(steps=2, seed=0))(start, "x")
    begun, said = source.starting_at([c.GetPositions() for c in start.GetConformers()])
    assert "level 300" in said
    begun.draw(3, 0)
    own = [start.GetConformer(k).GetPositions() for k in (0, 1, 0)]
    first = [given[0].molecules.positions[k] for k in given[0].which]
    assert np.allclose(first, own) and given[0].task.level == 300
    source.draw(3, 0)  # which has not changed
    assert given[1].task.level is None and len(given[1].molecules) == 1


def test_a_start_that_cannot_be_is_refused():
    cis = embedded("F/C=C\\C")
    with pytest.raises(MoleculeError, match="start: nothing can begin at it, since double bond"):
        MODEL.conformers("F/C=C/C", start=cis, **QUICK)
    for other in ("CCN", "CC[O-]"):
        with pytest.raises(MoleculeError, match="start: it is another molecule"):
            MODEL.conformers("CCO", start=embedded(other), **QUICK)
    with pytest.raises(ValueError, match="start_level says how much is left of start=: give both"):
        MODEL.conformers("CCO", start_level=100, **QUICK)
    for level in (0, 1000, -3, float("nan")):
        with pytest.raises(ValueError, match="start_level=.*: give a noise level above 0"):
            MODEL.conformers("CCO", start=embedded("CCO"), start_level=level, **QUICK)


# ---------------------------------------------------------------------------------- many molecules

MANY = ["F/C=C/[C@H](O)C", "CC.O", "F/C=C/F", "C[C@H](O)F", "C" * 10, "CC(=O)[O-]", "OCCO", "not"]
FAILED = [1, 4, 7]
OPTIONS = module.SamplingOptions(steps=2, schedule="synchronous", seed=1)


@cache
def alone(k):
    """Conformers of one of them, and what is said of them; number 6 begins at its own."""
    wanted = module.ConformerOptions(n=2, tries=2, check_bonds=False)
    sources = module.ModelSources(MODEL, OPTIONS, start_level=100)
    start = embedded(MANY[k]) if k == 6 else None
    return module.find_ensemble(*module.read_graph(MANY[k]), sources, wanted, start)


@pytest.mark.parametrize(
    "asked, steps, gamma", [({}, 20, None), ({"steps": 7, "stepper": "churn:gamma=2"}, 7, 2)]
)
def test_weights_of_many_tasks_draw_conformers_in_few_plain_steps(asked, steps, gamma):
    model = EADModel.from_pretrained("qm9")
    assert "churn" in model.config.stepper  # which is for molecules from nothing
    said = module.ModelSources(model, module.SamplingOptions(seed=0, **asked)).describe()
    assert said["steps"] == steps
    assert said["stepper"].startswith(
        "EtaStepper" if gamma is None else f"ChurnStepper(gamma={gamma}"
    )


def test_weights_for_conformers_draw_them_as_they_are_configured():
    own = dict(sampling_steps=33, stepper="churn:gamma=3")
    only = EADModel("conformers-qm9", n_layers=1, n_features=32, n_heads=2, **own)
    said = module.ModelSources(only, module.SamplingOptions(seed=0)).describe()
    assert said["steps"] == 33 and "gamma=3" in said["stepper"]


@pytest.fixture
def runs(monkeypatch):
    """Molecules of each run of the sampler."""
    sizes, generate = [], module.generate_batches

    def counted(model, n, *arguments, **words):
        sizes.append(n)
        return generate(model, n, *arguments, **words)

    monkeypatch.setattr(module, "generate_batches", counted)
    return sizes


@pytest.mark.parametrize("batch_size", [None, 3])
def test_many_molecules_are_what_they_are_one_by_one(batch_size, runs):
    """Those with own coordinates and those that are drawn again included."""
    starts = [None] * len(MANY)
    starts[6] = embedded("OCCO")
    with pytest.warns(
        UserWarning, match="3 of 8 .* molecule 1: 'CC.O' consists of 2 parts, .*not a"
    ):
        found = MODEL.conformers(
            MANY, 2, tries=2, check_bonds=False, start=starts, start_level=100, progress=False,
            options=replace(OPTIONS, batch_size=batch_size),
        )  # fmt: skip
    assert [k for k, mol in enumerate(found) if mol is None] == FAILED
    together, redrawn = len(runs), 0
    for k, mol in enumerate(found):
        if mol is None:
            continue
        expected = alone(k)
        for one, other in zip(mol.GetConformers(), expected.mol.GetConformers(), strict=True):
            assert np.array_equal(one.GetPositions(), other.GetPositions())
        told = {f"conformers_{name}": text for name, text in expected.told().items()}
        assert told == mol.GetPropsAsDict(autoConvertStrings=False)
        redrawn += "conformers_redrawn" in told
    # All are drawn at once, those with own coordinates in a run of their own; then what was wrong.
    assert redrawn > 1 and (batch_size or together == 3)


def test_starts_of_many_are_one_for_each():
    for mol, start in ((["CCO"], embedded("CCO")), (["CCO"], [None] * 2), ("CCO", [None])):
        with pytest.raises(
            ValueError, match="start (must be 1 molecules or None|is a list; of one)"
        ):
            MODEL.conformers(mol, start=start, **QUICK)


def test_what_is_no_molecule_in_a_list_is_told():
    with pytest.warns(UserWarning, match="1 of 1 molecules .*: molecule 0: it is None"):
        assert MODEL.conformers([None], **QUICK) == [None]
    assert MODEL.conformers([], **QUICK) == []
    with pytest.raises(ValueError, match="molecule 1 is a int; give a SMILES"):
        MODEL.conformers(["CCO", 3], **QUICK)


def test_how_far_a_drawing_is_can_be_watched():
    sources, told = module.ModelSources(MODEL, OPTIONS), []
    sources.watch = told.append
    wanted = [module.Wanted(sources(*module.read_graph(s)), n, 0) for s, n in (("O", 1), ("CC", 2))]
    assert [len(found) for found in sources.draw(wanted)] == [1, 2]
    assert told == sorted(told) and 0 < told[0] < told[-1] == 1
