"""What a network says about pairs of atoms, from what it says about each of the two."""

from __future__ import annotations

from torch import Tensor, nn

from deepchem_ead.denoisers.egnn import by_rows
from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.kernels.pair_weights import N_RADIAL, radial_features
from deepchem_ead.kernels.pairs import Pairs

#: Width of the hidden features of a pair.
N_HIDDEN = 64

#: Blocks of rows that are worked off together without gradients: there are more pairs than atoms.
BLOCKS_AT_ONCE = 5


class PairOutputs(nn.Module):
    r"""Invariant numbers of each pair of atoms, exactly the same for (i, j) and (j, i)::

        z_ij = silu(A n_i + A n_j + (B n_i) * (B n_j) + C r(|x_i - x_j|) + E (pairs_ij + pairs_ji))
        out_ij = mlp(z_ij)

    with n_i an atom's features and r(d) Gaussians of log(1 + d). Each two of which one is the
    other's reverse are computed once.

    Parameters
    ----------
    n_features : int
        Of an atom.
    n_outputs : int
        Numbers of a pair.
    n_pair_columns : int
        Columns of pairs that are told, W.
    """

    def __init__(self, n_features: int, n_outputs: int, n_pair_columns: int = 0) -> None:
        super().__init__()
        self.n_outputs = n_outputs
        #: A and B, one below the other: what the network has to apply to each atom's features.
        self.atoms = nn.Linear(n_features, 2 * N_HIDDEN)
        self.radial = nn.Linear(N_RADIAL, N_HIDDEN, bias=False)
        self.told = nn.Linear(n_pair_columns, N_HIDDEN, bias=False) if n_pair_columns else None
        self.mlp = nn.Sequential(
            nn.Linear(N_HIDDEN, N_HIDDEN), nn.SiLU(), nn.Linear(N_HIDDEN, n_outputs)
        )

    def forward(
        self, atoms: Tensor, x: Tensor, layout: AtomLayout, told: Tensor | None = None
    ) -> Tensor:
        """The numbers of all pairs, (E, K), in the order of `AtomLayout.pairs`.

        Parameters
        ----------
        atoms : Tensor, (A, 2 `N_HIDDEN`)
            `atoms` of each atom's features.
        x : Tensor, (A, 3)
            Positions, whose distances are read.
        layout : AtomLayout
        told : Tensor, (E, W), optional
            Columns of each pair.
        """
        pairs = Pairs.of(layout)
        edges = pairs.once.edges
        i, j, back = (t.index_select(0, edges) for t in (pairs.first, pairs.second, pairs.reverse))

        first, second = atoms.chunk(2, 1)

        def of_pairs(i: Tensor, j: Tensor, edge: Tensor, back: Tensor) -> Tensor:
            """The numbers of some pairs."""
            a, a_other, b, b_other = (t.index_select(0, k) for t in (first, second) for k in (i, j))
            squares = (x.index_select(0, i) - x.index_select(0, j)).square()
            # Term by term: a library reduction may order three terms by where they stand.
            d2 = squares[:, 0] + squares[:, 1] + squares[:, 2]
            z = self.radial(radial_features(d2)) + (a + a_other) + b * b_other
            if self.told is not None and told is not None:
                z = z + self.told(told.index_select(0, edge) + told.index_select(0, back))
            return self.mlp(nn.functional.silu(z))

        numbers = by_rows(of_pairs, i, j, edges, back, blocks_at_once=BLOCKS_AT_ONCE)
        return numbers.index_select(0, pairs.once.number)
