"""Stereo of a given graph: which way centres are turned, and on which side substituents stand.

A network that treats mirror images alike cannot know either from distances. It is told a tag of
each centre that is given: the sign of the triple product of its neighbours in the order in which
the tag names them. Mirroring a molecule turns the sign of both, and so does exchanging two names.
So what is made of tags and triple products together respects every symmetry of molecules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from deepchem_ead.bonding import BOND_KINDS
from deepchem_ead.diffusion.bonds import bond_partners, pair_rows
from deepchem_ead.diffusion.layout import AtomLayout

#: Columns of `Seen.pairs` about double bonds between two atoms, and how many: cis and trans.
STEREO_COLUMNS: Mapping[str, int] = {"sides": 2}

#: Number of the kind of bond on whose two sides something stands.
DOUBLE = BOND_KINDS.index("double")
#: Neighbours that the tag of a centre names.
N_NEIGHBOURS = 4
#: Smaller volumes (of `signed_volumes`) are called flat: no side is the right one.
FLAT = 0.1
#: Smaller cosines of the dihedral angle say neither cis nor trans.
TWISTED = 0.5

#: Added to the size of a centre (Angstrom), so that neighbours in one place have no volume.
_LEAST_SIZE = 0.1
#: Triple product and cross product of the corners of a regular tetrahedron in the unit sphere.
_VOLUME, _FACE = 16 / 3**1.5, 4 / 3**0.5
#: Neighbours of an end of a double bond beside the other end, at most.
_BESIDE = 2


class Stereo(NamedTuple):
    """What is told about the stereo of molecules.

    Attributes
    ----------
    neighbours : Tensor, (A, 4) int64
        Neighbours of each centre by their place in their molecule; where it has three, the centre
        itself stands for the fourth. Anything where there is no tag.
    tags : Tensor, (A,) int64
        1 or -1, the sign of ``(a - d) . ((b - d) x (c - d))`` of the neighbours a, b, c, d; 0 where
        nothing is told.
    sides : Tensor, (E,) int64
        1 for two atoms on the same side (cis) of the double bond between them, -1 on opposite
        sides, 0 where nothing is told; in the order of `AtomLayout.pairs`.
    """

    neighbours: Tensor
    tags: Tensor
    sides: Tensor

    def to(self, device: torch.device | str) -> Stereo:
        """The same on another device."""
        return Stereo(*(tensor.to(device) for tensor in self))

    def take(self, nodes: Tensor, pairs: Tensor) -> Stereo:
        """Of some nodes and pairs, which are whole molecules."""
        return Stereo(self.neighbours[nodes], self.tags[nodes], self.sides[pairs])

    def nodes(self, layout: AtomLayout) -> Tensor:
        """`neighbours` as nodes of the batch, (A, 4)."""
        return self.neighbours + layout.expand(layout.starts).unsqueeze(1)

    @classmethod
    def nothing(cls, layout: AtomLayout) -> Stereo:
        """Nothing is told."""
        tags = torch.zeros_like(layout.index)
        sides = torch.zeros_like(layout.pairs.first)
        return cls(tags.unsqueeze(1).expand(-1, N_NEIGHBOURS), tags, sides)


class Volumes(NamedTuple):
    """Signed volumes of centres.

    Attributes
    ----------
    values : Tensor, (A,)
        1 and -1 for regular tetrahedra, 0 for flat ones.
    directions : Tensor, (A, 4, 3)
        In which each neighbour moves for a larger value, of about unit length.
    """

    values: Tensor
    directions: Tensor


def signed_volumes(x: Tensor, nodes: Tensor) -> Volumes:
    """Volumes of the tetrahedra of nodes (A, 4), as shares of a regular one of their size.

    The size is the root mean square distance of the four from their mean.
    """
    corners = x[nodes]
    *others, last = corners.unbind(1)
    a, b, c = (corner - last for corner in others)
    faces = [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)]
    faces.append(-(faces[0] + faces[1] + faces[2]))
    # Term by term: a library reduction may order terms by where they stand.
    middle = (corners[:, 0] + corners[:, 1] + corners[:, 2] + corners[:, 3]) / 4
    offsets = corners - middle.unsqueeze(1)
    squares = _dot(offsets, offsets)
    size = (squares[:, 0] + squares[:, 1] + squares[:, 2] + squares[:, 3]) / 4 + _LEAST_SIZE**2
    values = _dot(a, faces[0]) / (_VOLUME * size * size.sqrt())
    return Volumes(values, torch.stack(faces, 1) / (_FACE * size)[:, None, None])


def _dot(u: Tensor, v: Tensor) -> Tensor:
    """Inner products (...,) of vectors (..., 3)."""
    products = u * v
    return products[..., 0] + products[..., 1] + products[..., 2]


class Shown(NamedTuple):
    """Which centres and double bonds are told, of those that could be.

    Attributes
    ----------
    share : Tensor, (B,)
        Of each molecule.
    draws : Tensor, (A,)
        Uniform random numbers.
    """

    share: Tensor
    draws: Tensor

    def centres(self, layout: AtomLayout) -> Tensor:
        """Centres (A,) bool."""
        return self.draws < layout.expand(self.share)

    def bonds(self, i: Tensor, j: Tensor, layout: AtomLayout) -> Tensor:
        """Bonds between nodes i and j, alike from both ends."""
        return (self.draws[i] + self.draws[j]) % 1 < self.share[layout.index[i]]


def stereo_of(
    positions: Tensor,
    columns: Tensor,
    centres: Tensor,
    layout: AtomLayout,
    known: Tensor | None = None,
    shown: Shown | None = None,
) -> Stereo:
    """The stereo that molecules have where they stand.

    Nothing here waits for the device of the molecules.

    Parameters
    ----------
    positions : Tensor, (A, 3)
        Angstrom.
    columns : Tensor, (A, S) int64
        Bonds of each atom, as of `bonds_of_pairs`.
    centres : Tensor, (A,) bool
        Atoms whose handedness is worth telling.
    layout : AtomLayout
    known : Tensor, (A,) bool, optional
        Atoms whose bonds to each other are given; all by default. Of centres and double bonds whose
        neighbours are not among them nothing is told.
    shown : Shown, optional
        All by default.
    """
    partners, kinds = bond_partners(columns)
    # Double bonds first, then the others.
    order = torch.where(kinds == DOUBLE, 0, 2 - (kinds > 0).int()).argsort(dim=1, stable=True)
    partners, kinds = partners.gather(1, order), kinds.gather(1, order)
    known = torch.ones_like(centres) if known is None else known
    own = torch.arange(layout.n_nodes, device=columns.device)
    start = layout.expand(layout.starts)
    partners = torch.where(kinds > 0, partners, (own - start).unsqueeze(1))
    nodes = partners + start.unsqueeze(1)
    degree = (kinds > 0).sum(1)
    among_known = known & known[nodes[:, :N_NEIGHBOURS]].all(1)

    told = centres & among_known & (degree >= N_NEIGHBOURS - 1) & (degree <= N_NEIGHBOURS)
    if shown is not None:
        told = told & shown.centres(layout)
    volumes = signed_volumes(positions, nodes[:, :N_NEIGHBOURS]).values
    tags = torch.where(told & (volumes.abs() > FLAT), volumes.sign(), 0.0).to(torch.int64)
    sides = _sides(positions, nodes, kinds, degree, known, layout, shown)
    return Stereo(partners[:, :N_NEIGHBOURS], tags, sides)


def _sides(
    x: Tensor,
    nodes: Tensor,
    kinds: Tensor,
    degree: Tensor,
    known: Tensor,
    layout: AtomLayout,
    shown: Shown | None,
) -> Tensor:
    """`Stereo.sides`; a - i = j - b are called by these letters, in tensors (A, 2, 2).

    An end has one double bond, which is its first, and one or two neighbours beside.
    """
    n = len(nodes)
    is_end = (kinds[:, 0] == DOUBLE) & (kinds[:, 1] != DOUBLE) & (degree <= 1 + _BESIDE)
    beside, exists = nodes[:, 1 : 1 + _BESIDE], kinds[:, 1 : 1 + _BESIDE] > 0
    i, j = torch.arange(n, device=nodes.device), nodes[:, 0]
    bond = is_end & is_end[j] & (nodes[j, 0] == i) & known & known[j]
    if shown is not None:
        bond = bond & shown.bonds(i, j, layout)
    a, b = beside, beside[j]
    axis = x[j] - x[i]
    length = _dot(axis, axis).unsqueeze(1) + _LEAST_SIZE**2

    def across(end: Tensor, other: Tensor) -> Tensor:
        """From an end (A,) to its neighbours (A, 2), without what is along the bond."""
        v = x[other] - x[end].unsqueeze(1)
        along = _dot(v, axis.unsqueeze(1)) / length
        return v - along.unsqueeze(2) * axis.unsqueeze(1)

    u, v = across(i, a).unsqueeze(2), across(j, b).unsqueeze(1)
    cosine = _dot(u, v) * (_dot(u, u) * _dot(v, v) + _LEAST_SIZE**4).rsqrt()
    a, b = a.unsqueeze(2).expand_as(cosine), b.unsqueeze(1).expand_as(cosine)
    there = (exists & known[beside]).unsqueeze(2) & (exists[j] & known[beside[j]]).unsqueeze(1)
    there = there & bond.view(n, 1, 1) & (a != b) & (cosine.abs() > TWISTED)
    side = torch.where(there, cosine.sign(), 0.0).to(torch.int64)
    n_pairs = len(layout.pairs.first)
    # What is no pair goes to a row of its own, which is cut off.
    pair = pair_rows(layout)[a] + (b - a - 1) % layout.counts[layout.index].view(n, 1, 1)
    pair = torch.where(side != 0, pair, n_pairs)
    found = side.new_zeros(n_pairs + 1).index_put_((pair.flatten(),), side.flatten())
    return found[:-1]


def told_sides(stereo: Stereo | None, layout: AtomLayout, like: Tensor) -> Tensor:
    """`STEREO_COLUMNS` of `Seen.pairs`, (E, 2): 1 for cis, 1 for trans.

    Parameters
    ----------
    stereo : Stereo, optional
    layout : AtomLayout
    like : Tensor
        Of the wanted type.
    """
    if stereo is None:
        return like.new_zeros(len(layout.pairs.first), 2)
    return torch.stack([stereo.sides > 0, stereo.sides < 0], 1).to(like.dtype)
