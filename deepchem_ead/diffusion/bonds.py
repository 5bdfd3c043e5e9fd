"""Bonds between pairs of atoms: what is given of them, what a denoiser is told and says.

A bond is all but a function of positions and kinds, so that it needs no noise of its own: the bonds
between two atoms are given, or they are not known and the denoiser says what they are. It is told
those that are given and, of the others, its own earlier estimate.

Everything about pairs is in the order of `AtomLayout.pairs` and the same for both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from deepchem_ead.bonding import BOND_KINDS, BOND_STRIDE
from deepchem_ead.diffusion.layout import AtomLayout

#: Columns of `Seen.pairs` about bonds, and how many.
BOND_COLUMNS: Mapping[str, int] = {"bonds": len(BOND_KINDS), "given bonds": 1}

#: Kind of a bond that nobody knows: it is not learned from.
UNKNOWN_BOND = -1


class Bonds(NamedTuple):
    """Kinds of the bonds of molecules, as far as they are known.

    Attributes
    ----------
    kinds : Tensor, (E,) int64
        Numbers of `BOND_KINDS`, or `UNKNOWN_BOND`.
    given : Tensor, (E,) bool
        Pairs whose kind the denoiser is told.
    evidence : Tensor, (E, K), optional
        What the noisy rows of the other pairs say, in a process where bonds have noise of their own
        (`bond_noise`): logarithms of the likelihoods of the kinds. None: nothing.
    eps : Tensor, (E, K), optional
        In training, standard normal draws of that noise, the same for both directions.
    """

    kinds: Tensor
    given: Tensor
    evidence: Tensor | None = None
    eps: Tensor | None = None

    @classmethod
    def nothing(cls, layout: AtomLayout) -> Bonds:
        """None are given."""
        kinds = torch.zeros_like(layout.pairs.first)
        return cls(kinds, kinds > 0)

    @classmethod
    def join(cls, parts: Iterable[Bonds]) -> Bonds:
        """Those of several batches, one after the other, without what was drawn for them."""
        parts = list(parts)
        evidence = [part.evidence for part in parts if part.evidence is not None]
        return cls(
            torch.cat([part.kinds for part in parts]),
            torch.cat([part.given for part in parts]),
            torch.cat(evidence) if evidence else None,
        )

    @property
    def certain(self) -> Tensor:
        """The kinds that are given, (E, K) bool; none where they are not."""
        every = torch.arange(len(BOND_KINDS), device=self.kinds.device)
        # What is given and not known, which should not be, is the first kind as it is elsewhere.
        return (self.kinds.clamp_min(0).unsqueeze(1) == every) & self.given.unsqueeze(1)

    def map(self, function: Callable[[Tensor], Tensor]) -> Bonds:
        """With a function applied to every array of pairs."""
        kinds, given, *rest = self
        rest = [None if rows is None else function(rows) for rows in rest]
        return Bonds(function(kinds), function(given), *rest)

    def take(self, pairs: Tensor) -> Bonds:
        """Those of some pairs, by their rows or as (E,) bool."""
        return self.map(lambda rows: rows[pairs])

    def to(self, device: torch.device | str) -> Bonds:
        """The same on another device."""
        return self.map(lambda rows: rows.to(device))


def bonds_of_pairs(columns: Tensor, layout: AtomLayout) -> Tensor:
    """Kind of the bond of every pair, (E,) int64, from the bonds of every atom.

    Parameters
    ----------
    columns : Tensor, (A, S) int64
        `BOND_STRIDE` times the partner, counted in its molecule, plus the kind for each bond of an
        atom; 0 where it has no more; -1 in the first column of atoms of molecules whose bonds are
        unknown.
    layout : AtomLayout
    """
    first = layout.pairs.first
    n = layout.counts[layout.index]
    place = torch.arange(layout.n_nodes, device=n.device) - layout.starts[layout.index]
    partner, kind = bond_partners(columns)
    pair = pair_rows(layout).unsqueeze(1) + (partner - place.unsqueeze(1) - 1) % n.unsqueeze(1)
    # What is no bond goes to a row of its own, which is cut off: a graph knows no other choice.
    pair = torch.where(kind > 0, pair, len(first))
    kinds = kind.new_zeros(len(first) + 1).index_put_((pair.flatten(),), kind.flatten())[:-1]
    unknown = columns[:, 0] < 0
    return torch.where(unknown[first] | unknown[layout.pairs.second], UNKNOWN_BOND, kinds)


def bond_partners(columns: Tensor) -> tuple[Tensor, Tensor]:
    """Partner, by its place in the molecule, and kind of each bond of atoms (A, S); 0: none."""
    bonds = columns.clamp_min(0)
    return bonds // BOND_STRIDE, bonds % BOND_STRIDE


def pair_rows(layout: AtomLayout) -> Tensor:
    """Where the pairs of each node begin, (A,): j = i + 1, ..., i + n - 1 (mod n) in turn."""
    before = layout.counts * (layout.counts - 1)
    place = torch.arange(layout.n_nodes, device=before.device) - layout.starts[layout.index]
    rows = (before.cumsum(0) - before)[layout.index]
    return rows + place * (layout.counts[layout.index] - 1)


def among(atoms: Tensor, layout: AtomLayout) -> Tensor:
    """Pairs (E,) bool of which both atoms are among these (A,) bool."""
    i, j = layout.pairs
    return atoms[i] & atoms[j]


def told_bonds(
    bonds: Bonds | None, previous: Tensor | None, layout: AtomLayout, like: Tensor
) -> Tensor:
    """`BOND_COLUMNS` of `Seen.pairs`, (E, 6).

    Probabilities of the kinds, 1 for a given one, 0 where nothing is known; and whether it is
    given.

    Parameters
    ----------
    bonds : Bonds, optional
    previous : Tensor, (E, K), optional
        An earlier estimate, 0 or NaN where there is none.
    layout : AtomLayout
    like : Tensor
        Of the wanted type.
    """
    n = layout.pairs.first.shape[0]
    if previous is None and bonds is not None:
        return torch.cat([bonds.certain, bonds.given.unsqueeze(1)], 1).to(like.dtype)
    found = like.new_zeros(n, len(BOND_KINDS)) if previous is None else previous.to(like.dtype)
    found = torch.where(found.isfinite(), found, 0.0)
    if bonds is None:
        return torch.cat([found, found.new_zeros(n, 1)], 1)
    given = bonds.given.unsqueeze(1).to(like.dtype)
    return torch.cat([_certain_where_given(found, bonds), given], 1)


def bond_probabilities(out: Tensor, bonds: Bonds | None) -> Tensor:
    """Of the kinds of each pair (E, K): certain where given, else what a denoiser says."""
    p = _logits(out, bonds).softmax(1)
    return p if bonds is None else _certain_where_given(p, bonds)


def _logits(out: Tensor, bonds: Bonds | None) -> Tensor:
    """What a denoiser says by everything else, with what pairs' own rows say: Bayes' rule."""
    logits = out[:, : len(BOND_KINDS)]
    if bonds is None or bonds.evidence is None:
        return logits
    return logits + bonds.evidence.to(logits.dtype)


def _certain_where_given(p: Tensor, bonds: Bonds) -> Tensor:
    """Probabilities (E, K), 1 for the kind of a given bond."""
    kinds = one_hot(bonds.kinds.clamp_min(0), len(BOND_KINDS)).to(p.dtype)
    return torch.where(bonds.given.unsqueeze(1), kinds, p)


def bond_error(out: Tensor, bonds: Bonds, layout: AtomLayout) -> Tensor:
    """Cross-entropy (nats) of the bonds that are to be found, summed over each molecule, (B,)."""
    asked = ~bonds.given & (bonds.kinds >= 0)
    error = cross_entropy(_logits(out, bonds), bonds.kinds.clamp_min(0), reduction="none")
    error = torch.where(asked, error, 0.0)
    by_atom = error.new_zeros(layout.n_nodes).index_add_(0, layout.pairs.first, error)
    return layout.sum(by_atom) / 2  # every pair is there twice
