"""Tags of centres and sides of double bonds: of geometries, of graphs, and where they are told."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import AllChem

from deepchem_ead import MoleculeBatch
from deepchem_ead.chem.bond_columns import bond_columns
from deepchem_ead.chem.centres import possible_centres
from deepchem_ead.chem.graph_stereo import graph_stereo
from deepchem_ead.diffusion import AtomLayout, Shown, Stereo, signed_volumes, stereo_of
from deepchem_ead.diffusion.stereo import told_sides
from deepchem_ead.generation.given import _told_of_each

SPECIFIED = {  # number of centres and of pairs across double bonds, each in both directions
    "C[C@H](O)F": (1, 0),
    "C[C@@H](O)[C@H](F)N": (2, 0),
    "O[C@H]1CC[C@@H]1N": (2, 0),
    "C[C@H]1C[C@@H](F)C1": (2, 0),
    "C[S@](=O)CC": (1, 0),
    "C[S@@](=O)CC": (1, 0),
    "C[P@](F)CC": (1, 0),
    "CC[N@+](C)(F)CCO": (1, 0),
    "C[C@@H]1[C@@H](C)N1": (2, 0),
    "F/C=C\\C": (0, 8),
    "F/C=C/[C@H](O)C#N": (1, 8),
    "C/C=N/O": (0, 4),
    "C/C=N\\O": (0, 4),
    "F/N=N/C": (0, 2),
    "CC/C(F)=C(\\C)CC": (0, 8),
    "C/C=C/C=C\\C": (0, 16),
    "CC(C)C": (0, 0),
}


@cache
def embedded(smiles: str):
    """A molecule with hydrogens and a geometry, its columns of bonds, and its layout."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=3) == 0
    batch = MoleculeBatch.from_rdkit([mol])
    columns = torch.from_numpy(bond_columns(batch)[0]).long()
    centres = torch.from_numpy(possible_centres(batch.atomic_numbers, columns.numpy()))
    x = torch.tensor(mol.GetConformer().GetPositions())
    return mol, x, columns, centres, AtomLayout.from_counts([len(x)])


@pytest.mark.parametrize("smiles", SPECIFIED)
def test_what_a_graph_says_is_what_its_geometry_is(smiles):
    mol, x, columns, centres, layout = embedded(smiles)
    graph = graph_stereo(mol)
    told = _told_of_each([graph], layout)
    tagged, sided = told.tags != 0, told.sides != 0
    assert (int(tagged.sum()), int(sided.sum())) == SPECIFIED[smiles]
    volumes = signed_volumes(x, told.nodes(layout)).values
    assert (volumes * told.tags)[tagged].numpy() == pytest.approx(1, abs=0.75)
    assert centres[tagged].all()  # training tells of them, too
    seen = stereo_of(x, columns, centres, layout)
    assert torch.equal(seen.sides[sided], told.sides[sided])
    again = signed_volumes(x, seen.nodes(layout)).values.sign()
    assert torch.equal(again[seen.tags != 0].long(), seen.tags[seen.tags != 0])


def test_a_mirror_image_has_the_other_tags_and_the_same_sides():
    _, x, columns, centres, layout = embedded("F/C=C/[C@H](O)C#N")
    here, there = (stereo_of(y, columns, centres, layout) for y in (x, -x))
    assert here.tags.any() and torch.equal(here.tags, -there.tags)
    assert torch.equal(here.sides, there.sides)


def test_volumes_of_regular_and_flat_neighbourhoods_and_where_they_grow():
    corners = torch.tensor([[1.0, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]]).double()
    nodes = torch.tensor([[0, 1, 2, 3], [1, 0, 2, 3]])
    values = signed_volumes(corners, nodes).values
    assert values.abs().numpy() == pytest.approx(1, abs=0.01) and values.sum() == 0
    flat = corners * torch.tensor([1, 1, 0])
    assert not signed_volumes(flat, nodes).values.any()
    assert signed_volumes(0 * corners, nodes).values.isfinite().all()
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    found = signed_volumes(x, nodes[:1])
    offset = x - x[3]
    (slope,) = torch.autograd.grad(torch.linalg.det(offset[:3]), x)
    ratio = found.directions[0] / slope
    torch.testing.assert_close(ratio, ratio[:1, :1].expand(4, 3))
    assert ratio[0, 0] > 0


def test_only_what_lies_among_known_atoms_is_told():
    _, x, columns, centres, layout = embedded("F/C=C/[C@H](O)C#N")
    everything = stereo_of(x, columns, centres, layout)
    (centre,) = everything.tags.nonzero().flatten().tolist()
    for node in range(layout.n_nodes):
        known = torch.arange(layout.n_nodes) != node
        told = stereo_of(x, columns, centres, layout, known)
        around = [centre, *everything.neighbours[centre].tolist()]
        assert told.tags.any() == (node not in around)
        i, j = layout.pairs
        touched = (everything.sides != 0) & ((i == node) | (j == node))
        assert not told.sides[touched].any()
    at_the_bond = torch.arange(layout.n_nodes) != 1
    assert not stereo_of(x, columns, centres, layout, at_the_bond).sides.any()


def test_a_share_is_shown_alike_for_both_directions():
    _, x, columns, centres, layout = embedded("C/C=C/C=C\\C")
    i, j = layout.pairs
    numbers = set()
    for seed in range(20):
        draws = torch.rand(layout.n_nodes, generator=torch.Generator().manual_seed(seed))
        sides = stereo_of(
            x, columns, centres, layout, shown=Shown(torch.tensor([0.5]), draws)
        ).sides
        table = torch.zeros(layout.n_nodes, layout.n_nodes, dtype=torch.int64)
        table[i, j] = sides
        assert torch.equal(table, table.T)
        numbers.add(int((sides != 0).sum()))
    assert numbers == {0, 8, 16}


def test_molecules_side_by_side_are_told_what_each_is_told():
    names = ["F/C=C/[C@H](O)C#N", "C/C=C/C=C\\C", "C[C@@H](O)[C@H](F)N"]
    parts = [embedded(name) for name in names]
    layout = AtomLayout.from_counts([len(part[1]) for part in parts])
    x, columns, centres = (torch.cat([part[k] for part in parts]) for k in (1, 2, 3))
    together = stereo_of(x, columns, centres, layout)
    alone = [stereo_of(*part[1:4], part[4]) for part in parts]
    for name in Stereo._fields:
        assert torch.equal(getattr(together, name), torch.cat([getattr(a, name) for a in alone]))
    pairs = told_sides(together, layout, x)
    assert torch.equal(pairs[:, 0] - pairs[:, 1], together.sides.double())
    first = layout.expand(torch.tensor([False, True, False]))
    taken = together.take(first, first[layout.pairs.first])
    assert all(map(torch.equal, taken, alone[1]))


@pytest.mark.parametrize(
    ("smiles", "candidates"),
    [("CC(C)(C)C", 1), ("CCC", 0), ("C[NH+](C)C", 1), ("CN(C)C", 1), ("CC(=O)C", 0),
     ("CS(C)=O", 1), ("COC", 0), ("FC(F)F", 1), ("C1CC1", 0)],
)  # fmt: skip
def test_atoms_that_may_be_centres(smiles, candidates):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    batch = MoleculeBatch.from_rdkit([mol])
    found = possible_centres(batch.atomic_numbers, bond_columns(batch)[0])
    assert found.sum() == candidates
    padded = np.pad(batch.atomic_numbers, (0, 3)), np.pad(bond_columns(batch)[0], ((0, 3), (0, 0)))
    assert np.array_equal(possible_centres(*padded), np.pad(found, (0, 3)))
