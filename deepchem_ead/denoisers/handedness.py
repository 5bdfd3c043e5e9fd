"""How an O(3)-equivariant network learns from tags which of two mirror images is meant."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from deepchem_ead.denoisers.egnn import by_rows
from deepchem_ead.denoisers.layers import bounded
from deepchem_ead.diffusion import Seen, Stereo, signed_volumes

#: Width of the hidden features of a centre and a neighbour.
N_HIDDEN = 32
#: Columns that are told of each atom: tag times volume of the estimate and of the reference, and
#: whether there is a tag; of the centre that it is, and summed over those that it is bonded to.
N_COLUMNS = 6


class Centres(NamedTuple):
    """Centres of a batch that may have tags.

    Attributes
    ----------
    nodes : Tensor, (R, 4)
        Neighbours, as nodes of the batch.
    tags : Tensor, (R,)
        1, -1, or 0 for those without a tag.
    atoms : Tensor, (R,) int64, or None
        Which nodes they are; None: all, in their order.
    """

    nodes: Tensor
    tags: Tensor
    atoms: Tensor | None

    @classmethod
    def of(cls, seen: Seen, stereo: Stereo) -> Centres:
        """All nodes, or without gradients, where looking costs nothing, those that have tags."""
        nodes, tags = stereo.nodes(seen.layout), stereo.tags.to(seen.x.dtype)
        if torch.is_grad_enabled() or tags.device.type != "cpu":
            return cls(nodes, tags, None)
        atoms = tags.nonzero()[:, 0]
        return cls(nodes[atoms], tags[atoms], atoms)

    def take(self, rows: Tensor) -> Tensor:
        """Rows of the centres, from those of all nodes."""
        return rows if self.atoms is None else rows[self.atoms]

    def put(self, rows: Tensor, like: Tensor) -> Tensor:
        """Rows of all nodes, as many as ``like`` has, from those of the centres; 0 elsewhere."""
        if self.atoms is None:
            return rows
        return rows.new_zeros(len(like), rows.shape[1]).index_copy_(0, self.atoms, rows)

    def spread(self, rows: Tensor, like: Tensor) -> Tensor:
        """Sums over the centres that name a node of rows (R, 4, K), for all nodes."""
        sums = rows.new_zeros(len(like), rows.shape[2])
        return sums.index_add_(0, self.nodes.flatten(), rows.flatten(0, 1))


class Tagged(NamedTuple):
    """Centres and what their neighbourhoods look like.

    Attributes
    ----------
    centres : Centres
    scalars : Tensor, (R, K)
        Tag times volume of the present estimate first, then of what else there is; 0 without a tag.
    pushes : Tensor, (R, 4, 3)
        In which the neighbours move towards what the tag says.
    """

    centres: Centres
    scalars: Tensor
    pushes: Tensor

    @classmethod
    def of(cls, x: Tensor, centres: Centres, *others: Tensor) -> Tagged:
        """Of the positions of an estimate; ``others`` are scalars (R,) or more (R, k)."""
        nodes, tags, _ = centres
        volumes = signed_volumes(x, nodes)
        columns = [(tags * volumes.values).unsqueeze(1)]
        columns += [other.unsqueeze(1) if other.dim() == 1 else other for other in others]
        pushes = tags.view(-1, 1, 1) * volumes.directions
        return cls(centres, torch.cat(columns, 1), pushes)


class Gates(nn.Module):
    r"""Moves of the neighbours of tagged centres, pseudovectors times tags::

        z_ik  = silu(A f_i + B f_k + C s_i)        centre i, neighbour k
        e_k   = - sum_i (w . z_ik) tag_i d V_i / d x_k

    with f an atom's features and s the scalars of `Tagged`. They begin with w = 0.

    Parameters
    ----------
    n_features : int
        Of an atom.
    n_scalars : int
        Of a centre.
    """

    def __init__(self, n_features: int, n_scalars: int) -> None:
        super().__init__()
        #: A and B, one below the other.
        self.atoms = nn.Linear(n_features, 2 * N_HIDDEN)
        self.scalars = nn.Linear(n_scalars, N_HIDDEN, bias=False)
        self.out = nn.Linear(N_HIDDEN, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, atoms: Tensor, tagged: Tagged) -> Tensor:
        """Moves (A, 3), from `atoms` of the features (A, 2 `N_HIDDEN`)."""
        centre, neighbour = atoms.chunk(2, 1)
        centres = tagged.centres
        others = neighbour[centres.nodes].flatten(1)
        gates = by_rows(self._gates, centres.take(centre), tagged.scalars, others)
        return -centres.spread(gates.unsqueeze(2) * tagged.pushes, atoms)

    def _gates(self, centre: Tensor, scalars: Tensor, others: Tensor) -> Tensor:
        own = (centre + self.scalars(scalars)).unsqueeze(1)
        return self.out(nn.functional.silu(own + others.unflatten(1, (4, -1)))).squeeze(2)


class Handedness(nn.Module):
    """What a network makes of tags, before its blocks and behind them.

    Before them the estimate of the clean molecule is turned towards what the tags say, and each
    atom is told how far it, and the reference, is. The blocks, which know distances only, can take
    an inverted centre apart as well as put a right one together. Behind them their estimate is
    turned once more.

    Parameters
    ----------
    in_features, n_features : int
        Columns that the network is told of an atom, and its hidden width.
    """

    def __init__(self, in_features: int, n_features: int) -> None:
        super().__init__()
        self.first = Gates(in_features, 2)
        self.last = Gates(n_features, 3)

    def before(self, seen: Seen, step: Tensor | float) -> tuple[Seen, Tensor, Tagged | None]:
        """What the blocks see, the move (A, 3) that has been made, and where tags are."""
        centres = None if seen.stereo is None else Centres.of(seen, seen.stereo)
        if centres is None or not len(centres.tags):
            columns = seen.h.new_zeros(len(seen.h), N_COLUMNS)
            return seen.replace(h=torch.cat([seen.h, columns], 1)), torch.zeros_like(seen.x), None
        nodes, tags, _ = centres
        earlier = None
        if seen.reference is not None:
            earlier = tags * signed_volumes(seen.reference.detach(), nodes).values
        tagged = _with_reference(seen.x, centres, earlier)
        move = bounded(self.first(by_rows(self.first.atoms, seen.h), tagged))
        x = seen.x - step * move
        tagged = _with_reference(x, centres, earlier)
        own = torch.cat([tagged.scalars, tags.abs().unsqueeze(1)], 1)
        around = centres.spread(own.unsqueeze(1).expand(-1, nodes.shape[1], -1), x)
        columns = torch.cat([centres.put(own, x), around], 1)
        return seen.replace(x=x, h=torch.cat([seen.h, columns], 1)), move, tagged

    def after(self, x: Tensor, atoms: Tensor, before: Tagged) -> Tensor:
        """The last move (A, 3) of an estimate (A, 3), from `last.atoms` of the features."""
        return bounded(self.last(atoms, Tagged.of(x, before.centres, before.scalars)))


def _with_reference(x: Tensor, centres: Centres, earlier: Tensor | None) -> Tagged:
    """Tags at an estimate and at the reference, for which the estimate itself may stand."""
    found = Tagged.of(x, centres)
    scalars = found.scalars if earlier is None else earlier.unsqueeze(1)
    return found._replace(scalars=torch.cat([found.scalars, scalars], 1))
