from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from chem_data import broken_qm9, qm9
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead.chem import MoleculeBatch
from deepchem_ead.errors import MoleculeError

QM9, SMILES = qm9()
PART_BROKEN = broken_qm9()
WATER = ([8, 1, 1], [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])


def same(a: MoleculeBatch, b: MoleculeBatch) -> bool:
    return (
        np.array_equal(a.offsets, b.offsets)
        and np.array_equal(a.atomic_numbers, b.atomic_numbers)
        and np.array_equal(a.coordinates, b.coordinates, equal_nan=True)
        and np.array_equal(a.charges, b.charges)
        and a.ids == b.ids
        and a.properties.keys() == b.properties.keys()
        and all(np.array_equal(a.properties[k], b.properties[k]) for k in a.properties)
    )


def small() -> MoleculeBatch:
    return MoleculeBatch.from_arrays(
        [[6, 1], [], [8], [7, 7, 1]],
        [np.ones((2, 3)), [], [[0, 0, np.nan]], np.zeros((3, 3))],
        charges=[0, 1, -1, 0],
        properties={"mu": [0.5, 1.5, 2.5, 3.5], "kind": ["a", "b", "c", "d"]},
        ids=["p", "q", "r", "s"],
        info={"seed": 3},
    )


def test_types_and_shapes():
    batch = small()
    assert (batch.atomic_numbers.dtype, batch.coordinates.dtype) == (np.int16, np.float32)
    assert batch.offsets.dtype == np.int64 and batch.coordinates.shape == (6, 3)
    assert len(batch) == 4 and batch.counts.tolist() == [2, 0, 1, 3]
    assert [n.tolist() for n in batch.numbers] == [[6, 1], [], [8], [7, 7, 1]]
    assert [p.shape for p in batch.positions] == [(2, 3), (0, 3), (1, 3), (3, 3)]


@pytest.mark.parametrize("name", ["atomic_numbers", "coordinates", "offsets", "charges"])
def test_arrays_are_read_only_also_in_slices_and_copies(name):
    original = small()
    for batch in (original, original[1:], original[[0, 2]], pickle.loads(pickle.dumps(original))):
        if batch is original or isinstance(batch, MoleculeBatch) and len(batch) < 4:
            with pytest.raises(ValueError, match="read-only"):
                getattr(batch, name)[:1] = 0
            with pytest.raises(ValueError, match="read-only"):
                batch.properties["mu"][:1] = 0
        with pytest.raises(AttributeError):
            setattr(batch, name, None)
    assert same(original, pickle.loads(pickle.dumps(original)))
    assert same(original, copy.deepcopy(original))


def test_input_arrays_stay_writeable_and_apart():
    numbers, positions = np.array([8, 1, 1]), np.zeros((3, 3), dtype=np.float32)
    mu = np.array([1.0])
    batch = MoleculeBatch.from_arrays([numbers], [positions], properties={"mu": mu})
    positions[0, 0], mu[0] = 7, 7
    assert batch.coordinates[0, 0] == 0 and batch.properties["mu"][0] == 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_indexing_agrees_with_lists(data):
    n = len(QM9)
    key = data.draw(
        st.one_of(
            st.slices(n),
            st.lists(st.integers(-n, n - 1), max_size=8),
            st.lists(st.booleans(), min_size=n, max_size=n).map(np.array),
        )
    )
    chosen = QM9[key]
    expected = np.arange(n)[key] if isinstance(key, slice) or len(key) else []
    assert chosen.ids == [QM9.ids[i] for i in expected]
    for i, got in zip(expected, chosen, strict=True):
        assert np.array_equal(got.atomic_numbers, QM9.numbers[i])
        assert np.array_equal(got.coordinates, QM9.positions[i])


def test_index_by_number():
    batch = small()
    assert len(batch[3]) == 1 and batch[3].ids == ["s"] and same(batch[-1], batch[3])
    assert batch[3].properties["mu"].tolist() == [3.5] and batch[2].charges.tolist() == [-1]
    assert batch[0].info == {"seed": 3}
    with pytest.raises(IndexError):
        batch[4]
    with pytest.raises(IndexError, match="molecule 9 is out of range"):
        batch[[0, 9]]
    with pytest.raises(IndexError, match="mask of 2 values for 4"):
        batch[np.array([True, False])]
    with pytest.raises(TypeError, match="chosen by"):
        batch["p"]


def test_contiguous_slices_share_memory():
    assert np.shares_memory(QM9[10:20].coordinates, QM9.coordinates)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, len(QM9)), max_size=4))
def test_concatenate_undoes_slicing(cuts):
    edges = [0, *sorted(cuts), len(QM9)]
    parts = [QM9[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]
    assert same(MoleculeBatch.concatenate(parts), QM9)


def test_concatenate_properties_info_and_nothing():
    joined = MoleculeBatch.concatenate([small(), small()[:1]])
    assert joined.properties["kind"].tolist() == ["a", "b", "c", "d", "a"]
    assert joined.info == {"seed": 3}
    assert len(MoleculeBatch.concatenate([])) == 0
    with pytest.raises(ValueError, match="properties"):
        MoleculeBatch.concatenate([small(), QM9])
    with pytest.raises(ValueError, match="ids"):
        MoleculeBatch.concatenate([QM9, MoleculeBatch.from_arrays([WATER[0]], [WATER[1]])])


@pytest.mark.parametrize(
    ("numbers", "positions", "message"),
    [
        ([[6], [6, 1]], [np.zeros((1, 3)), np.zeros((3, 3))], r"molecule 1: .*\(2,\).*\(3, 3\)"),
        ([[6], [6]], [np.zeros((1, 3)), np.zeros((1, 2))], "molecule 1"),
        ([[6]], [np.zeros((1, 3)), np.zeros((1, 3))], "1 arrays of atomic numbers but 2"),
        ([6, 1], [[0, 0, 0], [1, 0, 0]], "molecule 0"),
        ([[6], [1, 0]], [np.zeros((1, 3)), np.zeros((2, 3))], "molecule 1, atom 1: 0 is not"),
        ([[119]], [np.zeros((1, 3))], "molecule 0, atom 0: 119"),
        ([[-6]], [np.zeros((1, 3))], "-6 is not"),
        ([[6.5]], [np.zeros((1, 3))], "6.5 is not"),
        ([["C"]], [np.zeros((1, 3))], "not symbols"),
        ([[6, 1]], [[[0, 0, 0], [0, 0]]], "molecule 0"),
    ],
)
def test_from_arrays_refuses(numbers, positions, message):
    with pytest.raises(MoleculeError, match=message):
        MoleculeBatch.from_arrays(numbers, positions)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"charges": [1, 2]}, "charges have shape"),
        ({"charges": [0.5]}, "whole numbers"),
        ({"properties": {"mu": [1, 2]}}, "'mu' has shape"),
        ({"properties": {"forces": np.zeros((1, 3))}}, "'forces' has shape"),
        ({"ids": ["a", "b"]}, "2 ids for 1"),
    ],
)
def test_columns_of_wrong_length(extra, message):
    with pytest.raises(ValueError, match=message):
        MoleculeBatch.from_arrays([WATER[0]], [WATER[1]], **extra)


def test_padded_round_trip_centres_and_pads_with_zeros():
    X = QM9.to_padded(29)
    assert X.shape == (60, 29, 4) and X.dtype == np.float32
    assert not X[X[:, :, 3] == 0].any()
    back = MoleculeBatch.from_padded(X)
    for i in range(len(QM9)):
        assert np.array_equal(back.numbers[i], QM9.numbers[i])
        centred = QM9.positions[i] - QM9.positions[i].mean(axis=0)
        np.testing.assert_allclose(back.positions[i], centred, atol=2e-6)
    assert QM9.to_padded().shape[1] == QM9.counts.max()


def test_one_broken_molecule_does_not_spoil_the_others_when_padding():
    X = small().to_padded()
    assert np.isfinite(X[[0, 1, 3]]).all() and np.isnan(X[2, 0, 2])


def test_padding_never_truncates():
    largest = int(QM9.counts.argmax())
    with pytest.raises(MoleculeError, match=f"molecule {largest} has {QM9.counts.max()} atoms"):
        QM9.to_padded(int(QM9.counts.max()) - 1)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((5, 4)), r"\(5, 4\)"),
        (np.full((1, 1, 4), 6.5), "molecule 0, atom 0: 6.5"),
        (np.full((2, 1, 4), np.nan), "molecule 0, atom 0: nan"),
    ],
)
def test_from_padded_refuses(X, message):
    with pytest.raises(MoleculeError, match=message):
        MoleculeBatch.from_padded(X)


def test_molecules_are_those_of_qm9():
    assert all(smiles == Chem.CanonSmiles(smiles) for smiles in QM9.smiles)
    found = [Chem.MolFromSmiles(smiles) for smiles in QM9.smiles]
    differing = []
    for mol, expected, smiles in zip(found, SMILES, QM9.smiles, strict=True):
        known = Chem.MolFromSmiles(expected)
        pair = [Chem.MolToInchi(each, options="-SNon") for each in (mol, known)]
        if pair[0] != pair[1]:
            differing.append((expected, smiles))
    # One molecule that QM9 writes as a zwitterion has a neutral structure, too.
    assert differing == [("N#CC(=N[O-])C(N)=[NH2+]", "N#CC(N=O)=C(N)N")]


def test_radicals_have_no_smiles():
    assert [s is None for s in PART_BROKEN.smiles] == [i % 5 == 4 for i in range(60)]


def test_smiles_keep_all_fragments_and_follow_slices():
    numbers, positions = WATER
    two = MoleculeBatch.from_arrays(
        [numbers + numbers], [np.concatenate([positions, np.add(positions, [9, 0, 0])])]
    )
    assert two.smiles == ["O.O"]
    assert QM9[[5, 3]].smiles == [QM9.smiles[5], QM9.smiles[3]]
    QM9.smiles.clear()
    assert len(QM9.smiles) == 60


def test_smiles_are_none_for_anything_broken():
    mixed = MoleculeBatch.from_arrays(
        [[], [6, 1, 1, 1, 1], [78], [1] * 12],
        [[], np.full((5, 3), np.nan), [[0, 0, 0]], np.zeros((12, 3))],
    )
    assert mixed.smiles == [None] * 4 and mixed.to_rdkit() == [None] * 4


def test_to_rdkit_keeps_atoms_positions_and_names():
    for i, mol in enumerate(PART_BROKEN.to_rdkit()):
        if mol is None:
            assert PART_BROKEN.smiles[i] is None
            continue
        assert [a.GetAtomicNum() for a in mol.GetAtoms()] == QM9.numbers[i].tolist()
        np.testing.assert_allclose(mol.GetConformer().GetPositions(), QM9.positions[i])
        assert mol.GetProp("_Name") == QM9.ids[i]
        assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == QM9.smiles[i]


def test_from_rdkit_round_trip():
    mols = QM9.to_rdkit()
    back = MoleculeBatch.from_rdkit(mols)
    assert same(back, QM9) and back.smiles == QM9.smiles
    assert back.graphs.bonds_given.all()
    with pytest.raises(MoleculeError, match="without coordinates"):
        MoleculeBatch.from_rdkit([Chem.RemoveHs(mols[0])])


def embedded(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=7) == 0
    return mol


def test_from_rdkit_keeps_total_charge():
    batch = MoleculeBatch.from_rdkit([embedded(s) for s in ("C[NH3+]", "CC(=O)[O-]", "CCO")])
    assert batch.charges.tolist() == [1, -1, 0]
    assert batch.ids is None


def test_from_rdkit_refuses_molecules_without_hydrogens_or_conformer():
    good = embedded("CCO")
    flat = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    AllChem.Compute2DCoords(flat)
    named = Chem.MolFromSmiles("CCO")
    named.SetProp("_Name", "ethanol")
    cases = [
        (Chem.RemoveHs(good), "molecule 1 atom 0 .C. has 3 hydrogen.*AddHs"),
        (named, r"molecule 1 \(ethanol\) has no conformer"),
        (flat, "molecule 1 has a flat 2D drawing"),
        (None, "molecule 1 is None"),
        (Chem.MolFromSmiles("*"), "molecule 1 atom 0 is a dummy"),
    ]
    for bad, message in cases:
        with pytest.raises(MoleculeError, match=message):
            MoleculeBatch.from_rdkit([good, bad])
    with pytest.raises(MoleculeError, match=r"no conformer 5 \(it has \[0\]\)"):
        MoleculeBatch.from_rdkit([good], conformer_id=5)


def test_from_rdkit_takes_bare_coordinates():
    bare = Chem.RWMol()
    for z in WATER[0]:
        bare.AddAtom(Chem.Atom(z))
    conformer = Chem.Conformer(3)
    conformer.SetPositions(np.array(WATER[1], dtype=float))
    bare.AddConformer(conformer)
    assert MoleculeBatch.from_rdkit([bare]).smiles == ["O"]


def test_to_dataset():
    batch = MoleculeBatch.from_arrays(
        QM9.numbers, QM9.positions, properties={"mu": np.arange(60.0), "name": QM9.ids}
    )
    dataset = batch.to_dataset(max_atoms=29, tasks=["mu"])
    assert np.array_equal(dataset.X, batch.to_padded(29)) and dataset.X.dtype == np.float32
    assert dataset.y.tolist() == [[float(i)] for i in range(60)]
    assert (dataset.w == 1).all() and dataset.w.shape == (60, 1)
    assert dataset.ids.tolist() == [s or "" for s in batch.smiles]
    plain = QM9.to_dataset(ids=QM9.ids)
    assert plain.ids.tolist() == QM9.ids and not plain.y.any() and plain.y.shape == (60, 1)
    with pytest.raises(ValueError, match="choose from the properties.*mu"):
        batch.to_dataset(tasks=["gap"])
    with pytest.raises(ValueError, match="'name' is text"):
        batch.to_dataset(tasks=["name"])


def test_to_dataset_refuses_what_would_spoil_training():
    with pytest.raises(MoleculeError, match="without atoms: 1;"):
        small().to_dataset()
    with pytest.raises(MoleculeError, match="not finite: 1;"):
        small()[[0, 2, 3]].to_dataset()
    with pytest.raises(ValueError, match="empty batch"):
        QM9[:0].to_dataset()
    bad = MoleculeBatch.from_arrays(*([x] * 2 for x in WATER), properties={"mu": [1, np.nan]})
    with pytest.raises(ValueError, match="'mu' is not finite for molecules 1;"):
        bad.to_dataset(tasks="mu")


def test_overlaps_are_named_and_kept_out_of_datasets():
    mol = Chem.AddHs(Chem.MolFromSmiles("O.O"))
    assert AllChem.EmbedMolecule(mol, randomSeed=1) == 0  # RDKit puts both waters at one place
    with pytest.warns(UserWarning, match="1 of 1 molecules have atoms on top of each other"):
        batch = MoleculeBatch.from_rdkit([mol])
    with pytest.raises(MoleculeError, match=r"molecules with atoms on top of each other: 0;"):
        batch.to_dataset()


def test_numbers_that_are_no_atomic_numbers_are_named():
    X = MoleculeBatch.from_arrays([[8, 1]], [[[0, 0, 0], [0.97, 0, 0]]]).to_padded(4)
    X[0, 1, 3] = 6.9
    with pytest.raises(MoleculeError, match="molecule 0, atom 1: 6.9.* is not.*transform_X"):
        MoleculeBatch.from_padded(X)
