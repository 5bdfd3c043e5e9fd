"""The likeliest bonds of a molecule that give every atom a valence it can have."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from functools import cache
from itertools import count

import numpy as np

from deepchem_ead.chem.bond_kinds import AROMATIC, kekule_orders
from deepchem_ead.chem.elements import symbol_of
from deepchem_ead.chem.lewis import VALENCE_STATES

#: Assignments that are tried for a molecule before the likeliest one is taken as it is.
MAX_TRIED = 200
#: A kind that is less likely than the likeliest of its pair by so many nats is not tried.
MAX_LOSS = 8.0

#: Other kinds by pair.
_Changes = dict[int, int]


def likeliest_bonds(
    numbers: np.ndarray, charges: np.ndarray, ends: np.ndarray, log_p: np.ndarray
) -> np.ndarray:
    """Kind of the bond of each pair, (P,) int64, by the largest joint probability.

    Among the assignments in which aromatic bonds have a Kekule structure and every atom a valence
    of its element and charge (`deepchem_ead.chem.lewis.VALENCE_STATES`), found best first: pairs at
    atoms that do not fit are changed, the cheapest changes before others. What fits at once, as
    nearly all molecules of a trained model do, is looked at once. If nothing fits, the likeliest
    kinds of all pairs.

    Parameters
    ----------
    numbers, charges : ndarray, (n,) int64
    ends : ndarray, (P, 2) int64
        The two atoms of each pair.
    log_p : ndarray, (P, K)
        Logarithms of the probabilities of `deepchem_ead.diffusion.BOND_KINDS`; minus infinity for
        what is impossible, as all but one are where a bond is given.
    """
    best = log_p.argmax(1)
    losses = log_p.max(1, keepdims=True) - log_p
    search = _Search(losses, best, ends)
    for _ in range(MAX_TRIED):
        changes = search.cheapest()
        if changes is None:
            break
        kinds = best.copy()
        kinds[list(changes)] = list(changes.values())
        wrong = misfits(numbers, charges, ends, kinds)
        if not wrong.any():
            return kinds
        search.change_more(wrong)
    return best


class _Search:
    """Changes of the likeliest kinds, the cheapest first.

    Of what follows an assignment only the cheapest change waits; its next one is looked up when
    that has been taken, since most are never.
    """

    def __init__(self, losses: np.ndarray, best: np.ndarray, ends: np.ndarray) -> None:
        self._losses, self._ends = losses, ends
        self._possible = losses <= MAX_LOSS
        self._possible[np.arange(len(best)), best] = False
        self._order = count()
        self._waiting: list[tuple[float, int, _Changes, Iterator[tuple[float, _Changes]]]] = []
        self._seen: set[frozenset] = set()
        self._loss = 0.0
        self._latest: _Changes = {}
        self._wait(iter([(0.0, {})]))

    def cheapest(self) -> _Changes | None:
        """Kinds by pair of the cheapest assignment that was not taken yet; None: there is none."""
        if not self._waiting:
            return None
        self._loss, _, self._latest, siblings = heapq.heappop(self._waiting)
        self._wait(siblings)
        return self._latest

    def change_more(self, wrong: np.ndarray) -> None:
        """Go on from the latest assignment with one more change, at atoms (n,) that do not fit."""
        near = wrong[self._ends].any(1)
        near[list(self._latest)] = False
        pairs, kinds = (near[:, None] & self._possible).nonzero()
        losses = self._losses[pairs, kinds]
        order = losses.argsort(kind="stable")[:MAX_TRIED]
        loss, changes = self._loss, self._latest
        self._wait(
            (loss + float(losses[k]), changes | {int(pairs[k]): int(kinds[k])}) for k in order
        )

    def _wait(self, assignments: Iterator[tuple[float, _Changes]]) -> None:
        for loss, changes in assignments:
            key = frozenset(changes.items())
            if key not in self._seen:  # changed in another order
                self._seen.add(key)
                entry = (loss, next(self._order), changes, assignments)
                heapq.heappush(self._waiting, entry)
                return


def misfits(
    numbers: np.ndarray, charges: np.ndarray, ends: np.ndarray, kinds: np.ndarray
) -> np.ndarray:
    """Atoms (n,) bool whose bonds add up to no valence of theirs, or are of no Kekule structure.

    An atom of a kind that the table of valences does not know fits always.
    """
    bonded = kinds > 0
    ends, orders = ends[bonded], kinds[bonded]
    aromatic = orders == AROMATIC
    wrong = _out_of_reach(numbers, charges, ends, orders)
    if wrong.any():  # a search for Kekule structures of impossible bonds can take for ever
        return wrong
    if aromatic.any():
        found = kekule_orders(numbers, charges, np.concatenate([ends, orders[:, None]], 1))
        if found is None:
            wrong[ends[aromatic]] = True
            return wrong
        orders = np.asarray(found)
    valences = _at_atoms(ends, orders, len(numbers))
    for atom, (number, charge) in enumerate(zip(numbers.tolist(), charges.tolist(), strict=True)):
        allowed = _valences(number, charge)
        wrong[atom] = bool(allowed) and int(valences[atom]) not in allowed
    return wrong


def _out_of_reach(
    numbers: np.ndarray, charges: np.ndarray, ends: np.ndarray, kinds: np.ndarray
) -> np.ndarray:
    """Atoms (n,) bool to which no Kekule structure of their bonds gives a valence of theirs."""
    aromatic = _at_atoms(ends, kinds == AROMATIC, len(numbers))
    least = _at_atoms(ends, np.where(kinds == AROMATIC, 1, kinds), len(numbers))
    wrong = np.zeros(len(numbers), bool)
    for atom, (number, charge) in enumerate(zip(numbers.tolist(), charges.tolist(), strict=True)):
        allowed = _valences(number, charge)
        reached = {int(least[atom]), int(least[atom]) + bool(aromatic[atom])}
        wrong[atom] = bool(allowed) and not reached & allowed
    return wrong


def _at_atoms(ends: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Sums (n,) int64 over the bonds (b,) of each atom."""
    sums = np.zeros(n, np.int64)
    np.add.at(sums, ends.ravel(), np.repeat(values.astype(np.int64), 2))
    return sums


@cache
def _valences(number: int, charge: int) -> frozenset[int]:
    states = VALENCE_STATES.get(symbol_of(number), ())
    return frozenset(valence for q, valence, _ in states if q == charge)
