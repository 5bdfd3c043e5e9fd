"""Bonds, charges and stereo: a molecule's own are believed, others are perceived."""

from __future__ import annotations

import warnings

import deepchem as dc
import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead import EADModel, EGNNPropertyModel
from deepchem_ead.chem import MoleculeBatch
from deepchem_ead.errors import MoleculeError
from deepchem_ead.metrics import GenerativeMetric, evaluate_molecules, novelty, validity
from deepchem_ead.models.predictors import as_predictor
from deepchem_ead.molnet import load_file_3d

CLOSED_SHELLS = [
    "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", r"C/C=C\Cl", "C/C=C/Cl", "Oc1ccccc1", "c1ccc2[nH]ccc2c1",
    "c1ccsc1", "c1cncnc1", "N#Cc1cnc(F)cn1", "Cn1cnc2c1c(=O)n(C)c(=O)n2C", "CS(=O)(=O)c1ccccc1",
    "C[S@](=O)CC", "COP(=O)(O)O", "O=[N+]([O-])c1ccccc1", "C[N+]([O-])(C)C", "CN=[N+]=[N-]",
    "[C-]#[N+]C", "C[NH+]=C(N)N", "CC(=O)[O-]", "[NH3+]CC(=O)[O-]", "C[n+]1ccccc1", "CC(Br)CI",
    "[O-]c1ccccc1", "CS(=O)(=O)[O-]", "F[B-](F)(F)F", "C[Si](C)(C)Cl", "OB(O)c1ccccc1",
    r"C/C(=N\O)c1ccccc1", "C=C=C", "C[Se]C", "CC(C)(C)C(C)(C)[N+](C)(C)C",
]  # fmt: skip
OTHERS = ["F[P-](F)(F)(F)(F)F", "[CH3]", "CO[O]", "[2H]C([2H])([2H])O", "[13CH3]Cl", "CC=CC"]
PARTS = ["[Na+].CC(=O)[O-]", "C[NH3+].[Cl-]", "O.CCO"]


def embedded(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=3) == 0, smiles
    conformer = mol.GetConformer()
    for k, fragment in enumerate(Chem.GetMolFrags(mol)):
        for i in fragment:
            conformer.SetAtomPosition(i, np.array(conformer.GetAtomPosition(i)) + [12.0 * k, 0, 0])
    mol.SetProp("_Name", smiles)
    return mol


@pytest.fixture(scope="module")
def sdf(tmp_path_factory):
    path = tmp_path_factory.mktemp("given") / "given.sdf"
    with Chem.SDWriter(str(path)) as writer:
        for smiles in CLOSED_SHELLS + OTHERS + PARTS:
            writer.write(embedded(smiles))
    return path


def own_smiles(path) -> list[str]:
    return [Chem.MolToSmiles(mol) for mol in Chem.SDMolSupplier(str(path))]


def test_records_of_an_sdf_file_come_back_as_they_were(sdf, tmp_path):
    truth = own_smiles(sdf)
    batch = MoleculeBatch.read(sdf)
    assert batch.smiles == truth
    batch[::-1].to_sdf(tmp_path / "again.sdf")
    assert own_smiles(tmp_path / "again.sdf") == truth[::-1]
    assert MoleculeBatch.read(tmp_path / "again.sdf").smiles == truth[::-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, (dataset,), _ = load_file_3d(sdf, splitter=None)
        assert batch.to_dataset().ids.tolist() == truth
    assert dataset.ids.tolist() == truth


def test_molecules_without_bonds_are_perceived_with_charge_and_stereo(tmp_path):
    mols = [embedded(smiles) for smiles in CLOSED_SHELLS + PARTS]
    batch = MoleculeBatch.from_rdkit(mols)
    batch.to_xyz(tmp_path / "a.xyz")
    bare = MoleculeBatch.read(tmp_path / "a.xyz")
    assert bare.graphs is None
    assert bare.smiles == batch.smiles
    again = MoleculeBatch.from_rdkit(bare.to_rdkit())
    assert again.smiles == batch.smiles and again.charges.tolist() == batch.charges.tolist()


def test_given_bonds_are_believed_against_the_distances():
    stretched = [[0, 0, 0], [0, 0, 2.1]]
    batch = MoleculeBatch.from_arrays(
        [[17, 17]] * 3, [stretched] * 3, bonds=[[[0, 1, 1]], None, [[0, 1, 3]]]
    )
    assert batch.smiles == ["ClCl", "ClCl", None]
    far = MoleculeBatch.from_arrays([[17, 17]] * 2, [np.multiply(stretched, 2)] * 2,
                                    bonds=[[[0, 1, 1]], None])  # fmt: skip
    assert far.smiles == ["ClCl", None]


def test_an_invalid_molecule_keeps_its_bonds_and_gets_none_invented(tmp_path):
    methane = embedded("C")
    numbers, positions = MoleculeBatch.from_rdkit([methane]).atoms(0)
    bonds = [[0, 1, 1], [0, 2, 1], [0, 3, 1], [0, 4, 2]]
    batch = MoleculeBatch.from_arrays(
        [numbers, numbers[:4]], [positions, positions[:4]], bonds=[bonds, None]
    )
    assert batch.smiles == [None, None]
    batch.to_sdf(tmp_path / "a.sdf")
    back = MoleculeBatch.read(tmp_path / "a.sdf")
    assert back.graph(0).bonds.tolist() == bonds and back.graph(1) is None
    assert back.smiles == [None, None]


# ------------------------------------------------------------------------- charges in datasets


IONS = ["[NH4+]", "CC(=O)[O-]", "C[NH3+]", "CCO", "C[N+](=O)[O-]", "[OH-]", "Cc1cccc[nH+]1"]


def test_datasets_keep_formal_charges_and_say_so(tmp_path):
    batch = MoleculeBatch.from_rdkit([embedded(smiles) for smiles in IONS])
    batch.to_xyz(tmp_path / "a.xyz")
    bare = MoleculeBatch.read(tmp_path / "a.xyz")
    message = r"5 of 7 molecules have a charge: \[NH4\+\] \(\+1\), .* and 2 more; .*do not know"
    for source in (batch, bare):
        with pytest.warns(UserWarning, match=message) as caught:
            dataset = source.to_dataset()
        assert caught[0].filename == __file__
        assert dataset.X.shape[2] == 5 and dataset.X.dtype == np.float32
        back = MoleculeBatch.from_padded(dataset.X)
        assert back.charges.tolist() == batch.charges.tolist()
        expected = np.concatenate([batch.graph(i).formal_charges for i in range(7)])
        assert np.array_equal(back.formal_charges(), expected)
        assert np.array_equal(back.to_padded(with_formal_charges=True)[:, :, 4], dataset.X[:, :, 4])
        assert validity(dataset, protocol="strict", progress=False) == 1
        assert novelty(dataset, batch, protocol="strict", progress=False) == 0
    with pytest.warns(UserWarning, match=r"5 of 7 .*record 1 \(\[NH4\+\]\)") as caught:
        _, (dataset,), _ = load_file_3d(tmp_path / "a.xyz", splitter=None)
    assert caught[0].filename == __file__
    assert np.array_equal(dataset.X[:, :, 4].sum(1), batch.charges)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert batch[[3, 4]].to_dataset().X.shape[2] == 4


def test_a_charge_without_structure_is_not_lost():
    apart = [[0, 0, 0], [0, 0, 5]]
    batch = MoleculeBatch.from_arrays([[1, 8], [6, 1]], [apart, apart], charges=[2, 0])
    assert batch.formal_charges().tolist() == [0, 2, 0, 0]


@pytest.mark.parametrize("value", [0.5, np.nan, 200])
def test_a_fifth_column_that_is_no_charge_is_refused(value):
    X = np.zeros((1, 1, 5))
    X[0, 0, 3:] = [8, value]
    with pytest.raises(MoleculeError, match="molecule 0, atom 0: .* fifth column"):
        MoleculeBatch.from_padded(X)


@pytest.mark.parametrize("bonds", [False, True])
def test_models_take_charged_molecules_by_their_elements_and_say_so(bonds):
    batch = MoleculeBatch.from_rdkit([embedded(s) for s in ("[NH4+]", "CO", "C[NH3+]")])
    X = batch.to_padded(with_formal_charges=True, with_bonds=bonds)
    y, ids = np.array([[1.0], [2.0], [4.0]]), batch.smiles
    dataset, neutral = (dc.data.NumpyDataset(x, y, ids=ids) for x in (X, X[:, :, :4]))
    message = r"2 of 3 molecules have a charge: \[NH4\+\] \(\+1\), .*does not know charges"
    tiny = {"n_layers": 1, "n_features": 16, "seed": 1}
    with pytest.warns(UserWarning, match=message):
        charged_loss = EADModel(**tiny).fit(dataset, nb_epoch=1)
    assert charged_loss == EADModel(**tiny).fit(neutral, nb_epoch=1)
    judge = EGNNPropertyModel(["gap"], **tiny)
    with pytest.warns(UserWarning, match=message):
        judge.fit(dataset, nb_epoch=1)
    with pytest.warns(UserWarning, match=message):
        found = judge.predict(dataset)
    assert np.array_equal(found, judge.predict(neutral))
    with pytest.warns(UserWarning, match=message):
        assert np.allclose(as_predictor(judge).predict(batch), found)


@pytest.mark.parametrize("value", [0.5, np.nan, -0.25])
@pytest.mark.parametrize("model", [EADModel, lambda **o: EGNNPropertyModel(["gap"], **o)])
def test_models_refuse_a_fifth_column_that_is_no_charge(model, value):
    X = MoleculeBatch.from_rdkit([embedded("CO"), embedded("CN")]).to_padded()
    X = np.concatenate([X, np.zeros_like(X[:, :, :1])], axis=2)
    X[1, 2, 4] = value
    dataset = dc.data.NumpyDataset(X, np.array([[1.0], [2.0]]), ids=["a", "b"])
    with pytest.raises(MoleculeError, match="^b: the fifth column of X holds formal charges"):
        model(n_layers=1, n_features=16).fit(dataset, nb_epoch=1)


@pytest.mark.parametrize("n_labels", [1, 3])
@pytest.mark.parametrize("model", [EADModel, lambda **o: EGNNPropertyModel(["gap"], **o)])
def test_models_refuse_labels_of_other_molecules(model, n_labels):
    X = MoleculeBatch.from_rdkit([embedded("CO"), embedded("CN")]).to_padded()
    dataset = dc.data.NumpyDataset(X, np.arange(float(n_labels))[:, None])
    with pytest.raises(ValueError, match=f"X 2, y {n_labels}, w "):
        model(n_layers=1, n_features=16).fit(dataset, nb_epoch=1)


# ------------------------------------------------------------------------- metrics


def test_a_reference_with_gaps_names_them():
    batch = MoleculeBatch.from_rdkit([embedded("CO")])
    for reference in (["CO", None, "CN", None], [embedded("CO"), None]):
        with pytest.raises(TypeError, match=r"reference has None at 1 \(\d of \d are\)"):
            novelty(batch, reference, progress=False)


def test_the_vocabulary_follows_from_the_molecules():
    sulfur = MoleculeBatch.from_rdkit([embedded("CS"), embedded("c1ccsc1")])
    plain = MoleculeBatch.from_rdkit([embedded("CO")])
    assert GenerativeMetric("validity").compute_metric(sulfur) == 1
    report = evaluate_molecules(plain, reference=sulfur, progress=False)
    assert (report.vocabulary, report.novelty) == ("qm9", 1.0)
    assert evaluate_molecules(sulfur, progress=False).vocabulary == "geom"
    with pytest.raises(MoleculeError, match="S is not in the 'qm9'"):
        evaluate_molecules(sulfur, vocabulary="qm9")


@pytest.mark.parametrize("protocol", ["edm", "strict"])
def test_known_smiles_are_not_novel(protocol):
    smiles = ["Cc1ccsc1", "C=CCS", "CC(=O)Cl", "C[C@H](F)Cl"]
    batch = MoleculeBatch.from_rdkit([embedded(s) for s in smiles])
    options = {"protocol": protocol, "progress": False}
    assert novelty(batch, smiles, **options) == 0
    explicit = [Chem.MolToSmiles(mol, isomericSmiles=False) for mol in map(embedded, smiles)]
    assert novelty(batch, explicit, **options) == 0
    assert novelty(batch, smiles[1:], **options) == 0.25


def test_molecules_that_are_not_finite_count_as_invalid():
    good = MoleculeBatch.from_rdkit([embedded("CO")])
    broken = MoleculeBatch.from_arrays(good.numbers, [good.positions[0] * np.nan], ids=["x"])
    for protocol in ("edm", "strict"):
        report = evaluate_molecules(
            MoleculeBatch.concatenate([good, broken, good]), protocol, progress=False
        )
        assert report.validity == report.molecule_stability == pytest.approx(2 / 3)
