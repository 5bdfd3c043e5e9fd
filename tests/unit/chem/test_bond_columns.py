"""Bonds as columns of X, and what becomes of them on the way through DeepChem and SDF files."""

from __future__ import annotations

import deepchem as dc
import numpy as np
import pytest
from rdkit import Chem

from deepchem_ead.chem import MoleculeBatch
from deepchem_ead.chem.bond_columns import MAX_BONDS, bond_columns, from_bond_columns
from deepchem_ead.chem.bond_kinds import AROMATIC, bond_kinds
from deepchem_ead.errors import MoleculeError
from deepchem_ead.feat.embedding import embed
from deepchem_ead.molnet import Drugs3DTable

# Charged, zwitterionic, with charges drawn apart, hypervalent, with triple bonds, with aromatic
# rings of all kinds, chiral, with two pieces, without a bond, and large.
SMILES = [
    "[NH3+][C@@H](C)C(=O)[O-]",
    "C[N+](C)(C)CC(=O)[O-]",
    "O=[N+]([O-])c1ccccc1",
    "CS(=O)(=O)c1ccsc1",
    "OS(=O)(=O)N",
    "C#CC#N",
    "[C-]#[O+]",
    "[C-]#[N+]C",
    "C=[N+]=[N-]",
    "c1cc[nH]c1",
    "C[n+]1cc[nH]c1",
    "[O-][n+]1ccccc1",
    "O=c1[nH]cnc2[nH]cnc12",
    "c1cc[o+]cc1",
    "[cH-]1cccc1",
    "c1ccc2ccccc2c1",
    "C1=Cc2cccc3cccc1c23",
    "O=C1C=CC(=O)C=C1",
    "F[C@H](Cl)Br",
    "F/C=C/F",
    "FS(F)(F)(F)(F)F",
    "F[P-](F)(F)(F)(F)F",
    "[Na+].[Cl-]",
    "[NH4+]",
    "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)NCCc1c[nH]c2ccc(OCC#N)cc12",
]


def embedded(smiles: str) -> Chem.Mol:
    return embed(Chem.AddHs(Chem.MolFromSmiles(smiles)), seed=7, time_limit=None)


BATCH = MoleculeBatch.from_rdkit(map(embedded, SMILES))
X = BATCH.to_padded(with_bonds=True)
NITRILE = MoleculeBatch.from_arrays(  # HCN, listed N, H, C
    [[7, 1, 6]],
    [[[1.16, 0, 0], [-1.06, 0, 0], [0, 0, 0]]],
    bonds=[[[2, 0, 3], [1, 2, 1]]],
)
WATER = MoleculeBatch.from_arrays([[8, 1, 1]], [[[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]])
RADICAL = MoleculeBatch.from_arrays([[8, 1]], [[[0, 0, 0], [0.96, 0, 0]]])


def names(batch: MoleculeBatch) -> list[tuple[str, str]]:
    mols = batch.to_rdkit()
    return [(Chem.MolToInchi(mol), text) for mol, text in zip(mols, batch.smiles, strict=True)]


def test_each_atom_lists_its_bonds_by_partner():
    expected = [[8 * 2 + 3], [8 * 2 + 1], [8 * 0 + 3, 8 * 1 + 1]]
    columns = bond_columns(NITRILE, max_atoms=4)
    assert columns.shape == (1, 4, MAX_BONDS) and columns.dtype == np.float32
    for atom, values in enumerate(expected):
        assert columns[0, atom].tolist() == values + [0] * (MAX_BONDS - len(values))
    assert not columns[0, 3].any()
    assert NITRILE.to_padded(4, with_bonds=True).shape == (1, 4, 11)


def test_aromatic_is_what_rdkit_says_of_the_whole_molecule():
    table = Drugs3DTable.sample()
    batch = table.to_batch()[:200]
    kinds = bond_kinds(batch.atomic_numbers, batch.offsets, batch.graphs)
    assert np.array_equal(kinds == AROMATIC, table.aromatic[: len(kinds)])
    assert np.array_equal(kinds[kinds != AROMATIC], batch.graphs.bonds[kinds != AROMATIC, 2])
    phenyl = MoleculeBatch.from_rdkit([embedded("[c]1ccccc1")])  # to which its electron matters
    phenyl = MoleculeBatch.from_padded(phenyl.to_padded(with_bonds=True))
    assert (bond_kinds(phenyl.atomic_numbers, phenyl.offsets, phenyl.graphs) == AROMATIC).sum() == 6
    quinone = SMILES.index("O=C1C=CC(=O)C=C1")
    assert set(np.unique(X[quinone, :, 5:] % 8)) == {0, 1, 2}


def test_molecules_come_back_from_columns():
    back = MoleculeBatch.from_padded(X)
    assert names(back) == names(BATCH)
    assert back.charges.tolist() == BATCH.charges.tolist()
    assert np.array_equal(back.to_padded(with_bonds=True)[:, :, 3:], X[:, :, 3:])
    assert [len(back.graph(i).bonds) for i in range(len(back))] == [
        len(BATCH.graph(i).bonds) for i in range(len(BATCH))
    ]


@pytest.mark.parametrize("kind", ["disk", "numpy"])
def test_they_come_back_from_datasets_and_files(kind, tmp_path):
    dataset = BATCH.to_dataset(bonds=True)
    dataset.y[:] = np.arange(len(dataset))[:, None]
    if kind == "disk":
        dataset = dc.data.DiskDataset.from_numpy(
            dataset.X, dataset.y, dataset.w, dataset.ids, data_dir=str(tmp_path / "set")
        )
    train, rest = dc.splits.RandomSplitter().train_test_split(dataset, frac_train=0.5, seed=1)
    scaled = dc.trans.NormalizationTransformer(transform_y=True, dataset=dataset).transform(dataset)
    assert np.array_equal(scaled.X, X) and scaled.X.dtype == np.float32
    expected = dict(zip(dataset.ids, names(BATCH), strict=True))
    for part in (train, rest):
        batch = MoleculeBatch.from_padded(part.X)
        assert names(batch) == [expected[name] for name in part.ids]
        batch.to_sdf(tmp_path / "part.sdf")
        read = MoleculeBatch.read(tmp_path / "part.sdf")
        assert names(read) == names(batch)
        assert read.formal_charges().tolist() == batch.formal_charges().tolist()


def test_bonds_not_given_are_perceived_and_else_unknown():
    mixed = MoleculeBatch.concatenate([WATER, RADICAL, NITRILE])
    assert bond_columns(WATER)[0, :, 0].tolist() == [-1, -1, -1]
    columns = mixed.to_padded(with_bonds=True)[:, :, 5:]
    assert columns[0, 0].tolist() == [9, 17, 0, 0, 0, 0]
    assert columns[1, :2, 0].tolist() == [-1, -1] and not columns[1, :, 1:].any()
    back = MoleculeBatch.from_padded(mixed.to_padded(with_bonds=True))
    assert back.graphs.bonds_given.tolist() == [True, False, True]
    assert mixed.with_bonds().graphs.bonds_given.tolist() == [True, False, True]
    assert MoleculeBatch.from_padded(mixed[:0].to_padded(with_bonds=True)).smiles == []
    atom = MoleculeBatch.from_arrays([[10]], [[[0, 0, 0]]]).to_padded(with_bonds=True)
    assert not atom[:, :, 4:].any()


def test_perceived_charges_come_with_perceived_bonds():
    alanine = BATCH[0]
    bare = MoleculeBatch.from_arrays(alanine.numbers, alanine.positions)
    assert names(bare.with_bonds()) == names(alanine)
    assert np.array_equal(bare.to_padded(with_bonds=True), alanine.to_padded(with_bonds=True))
    assert BATCH.with_bonds() is BATCH


@pytest.mark.parametrize(
    ("numbers", "bonds", "message"),
    [
        ([53] + 7 * [9], [[0, i, 1] for i in range(1, 8)], r"atom 0 \(I\) with 7 bonds"),
        ([5, 7], [[1, 0, 17]], "a bond of the type dative"),
        ([42, 42], [[0, 1, 4]], "a bond of the type quadruple"),
        ([1, 1], [[0, 1, 21]], "a bond of the type zero"),
    ],
)
def test_bonds_that_columns_cannot_hold_are_refused_by_name(numbers, bonds, message):
    positions = np.arange(3 * len(numbers)).reshape(-1, 3)
    odd = MoleculeBatch.from_arrays([numbers], [positions], bonds=[bonds])
    with pytest.raises(MoleculeError, match=f"molecule 2 has .*{message}.*bonds=False"):
        MoleculeBatch.concatenate([NITRILE, WATER, odd]).to_padded(with_bonds=True)


@pytest.mark.parametrize(
    ("atom", "values", "message"),
    [
        (0, [19.5], "no whole numbers"),
        (0, [np.nan], "no whole numbers"),
        (0, [8 * 2 + 5], "kind of bond that does not exist"),
        (0, [8 * 3 + 1], "name an atom that does not exist"),
        (0, [1], "join an atom to itself"),
        (0, [-9], "below 0"),
        (0, [-1], "of some atoms"),
        (0, [8 * 2 + 2], "other ends say"),
        (0, [0], "other ends say"),
        (1, [8 * 2 + 1, 8 * 0 + 1], "other ends say"),
        (2, [3, 3, 9], "name an atom twice"),
    ],
)
def test_columns_that_are_no_bonds_are_refused_by_name(atom, values, message):
    broken = np.concatenate([NITRILE.to_padded(with_bonds=True)] * 2)
    broken[1, atom, 5:] = values + [0] * (MAX_BONDS - len(values))
    with pytest.raises(MoleculeError, match=f"molecule 1, atom .*{message}.*featurized"):
        MoleculeBatch.from_padded(broken)


def test_aromatic_bonds_without_a_kekule_structure_have_a_reason():
    pyrrole = X[SMILES.index("c1cc[nH]c1")][None].copy()
    pyrrole = np.concatenate([X[:1], pyrrole])
    bonds = pyrrole[1, :, 5:]
    nitrogen = int(np.flatnonzero(pyrrole[1, :, 3] == 7)[0])
    hydrogen = int(max(bonds[nitrogen]) // 8)
    assert pyrrole[1, hydrogen, 3] == 1
    bonds[hydrogen] = 0
    bonds[nitrogen, 2] = 0
    with pytest.raises(MoleculeError, match="molecule 1 has aromatic bonds without a Kekule"):
        MoleculeBatch.from_padded(pyrrole)
    counts = (pyrrole[:, :, 3] > 0).sum(1)
    atoms = pyrrole[pyrrole[:, :, 3] > 0]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    graphs, failures = from_bond_columns(
        atoms[:, 5:], atoms[:, 3].astype(int), offsets, atoms[:, 4]
    )
    assert list(failures) == [1] and graphs.bonds_given.tolist() == [True, False]
    assert len(graphs.bonds) == graphs.bond_offsets[1] == graphs.bond_offsets[2]
