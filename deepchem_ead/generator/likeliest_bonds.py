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

#: Loss, order of discovery, and the pairs that are changed with their kinds.
_Entry = tuple[float, int, tuple[tuple[int, ...], tuple[int, ...]]]


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
    order = count(1)
    waiting: list[_Entry] = [(0.0, 0, ((), ()))]
    tried: set[tuple] = set()
    for left in range(MAX_TRIED - 1, -1, -1):
        if not waiting:
            break
        loss, _, changes = heapq.heappop(waiting)
        kinds = best.copy()
        kinds[list(changes[0])] = changes[1]
        wrong = misfits(numbers, charges, ends, kinds)
        if not wrong.any():
            return kinds
        new = 0
        for pair, kind in _alternatives(wrong, ends, losses, changes[0], best):
            if new == left:  # so many are cheaper that the others are never tried
                break
            more = dict(zip(*changes, strict=True)) | {pair: kind}
            key = tuple(sorted(more.items()))
            if key not in tried:
                tried.add(key)
                new += 1
                total = loss + losses[pair, kind]
                changed = (tuple(more), tuple(more.values()))
                heapq.heappush(waiting, (float(total), next(order), changed))
    return best


def _alternatives(
    wrong: np.ndarray, ends: np.ndarray, losses: np.ndarray, changed: tuple, best: np.ndarray
) -> Iterator[tuple[int, int]]:
    """Pairs at atoms that do not fit, unless they are changed already, and other kinds for them.

    The cheapest come first.
    """
    near = wrong[ends].any(1)
    near[list(changed)] = False
    possible = near[:, None] & (losses <= MAX_LOSS)
    possible[np.arange(len(best)), best] = False
    pairs, kinds = possible.nonzero()
    cheapest = losses[pairs, kinds].argsort(kind="stable")
    yield from zip(pairs[cheapest].tolist(), kinds[cheapest].tolist(), strict=True)


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
