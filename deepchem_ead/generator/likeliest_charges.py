"""The likeliest bonds of a molecule together with its formal charges, whose sum may be known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from deepchem_ead.chem.bond_kinds import AROMATIC
from deepchem_ead.chem.elements import symbol_of
from deepchem_ead.chem.lewis import VALENCE_STATES

#: What a unit of cost of a valence state (`VALENCE_STATES`) takes, nats. In QM9 0.4 % of nitrogen
#: is N+ and 0.2 % of oxygen O-, which come in pairs: 5.4 to 6 nats for two units.
NATS_PER_COST = 3.0
#: What a net charge takes where the total charge is not known, nats per unit.
NET_CHARGE = 1.0
#: Orders that are less likely than the likeliest of their pair by more, nats, are impossible.
MAX_LOSS = 10.0
#: Between equally likely structures: charges as they were told, then negative ones.
_TOLD, _POSITIVE = 0.1, 0.01
#: Seconds after which the search gives up.
_TIME_LIMIT = 2.0


class Structure(NamedTuple):
    """Orders (P,) of the bonds of all pairs, kekulised, and formal charges (n,), both int64."""

    orders: np.ndarray
    charges: np.ndarray


def likeliest_structure(
    numbers: np.ndarray,
    told: np.ndarray,
    ends: np.ndarray,
    log_p: np.ndarray,
    total: int | None = None,
) -> Structure | None:
    """Bonds and formal charges by the largest joint probability, exact, by integer programming.

    The probability of the bonds times that of the charges, every atom in one of the states of
    `deepchem_ead.chem.lewis.VALENCE_STATES`. An aromatic bond counts as single or double.

    Parameters
    ----------
    numbers : ndarray, (n,) int64
    told : ndarray, (n,) int64
        Formal charges that decide between equally likely structures.
    ends : ndarray, (P, 2) int64
        The two atoms of each pair.
    log_p : ndarray, (P, K)
        Logarithms of the probabilities of `deepchem_ead.diffusion.BOND_KINDS`.
    total : int, optional
        What the charges add up to.

    Returns
    -------
    Structure or None
        None if there is no structure: unpaired electrons, bonds that are too unlikely, or an
        element whose valences are not known.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # takes a moment to import

    states = [
        (atom, charge, valence, NATS_PER_COST * cost + _tie(charge, int(told[atom])))
        for atom, number in enumerate(numbers.tolist())
        for charge, valence, cost in VALENCE_STATES.get(symbol_of(number), ())
    ]
    pairs, orders, losses = _options(log_p)
    n, n_states, n_orders = len(numbers), len(states), len(pairs)
    if not n_states:
        return None
    atom, charge, valence, cost = np.array(states).T
    atom = atom.astype(np.int64)
    # Columns: states, orders of pairs, and the net charge of either sign.
    matrix = np.zeros((2 * n + len(log_p) + 1, n_states + n_orders + 2))
    right = np.zeros(len(matrix))
    matrix[atom, np.arange(n_states)] = 1
    right[:n] = 1
    columns = n_states + np.arange(n_orders)
    matrix[n + pairs, columns] = 1
    right[n : n + len(log_p)] = 1
    filled = n + len(log_p)  # orders at each atom add up to its valence
    matrix[filled + atom, np.arange(n_states)] = -valence
    for end in ends[pairs].T:
        matrix[filled + end, columns] = orders
    matrix[-1, :n_states] = charge
    matrix[-1, -2:] = (-1, 1)
    most = np.ones(matrix.shape[1])
    most[-2:] = np.abs(charge).sum() if total is None else 0
    right[-1] = 0 if total is None else total
    # Of the aromatic bonds of an atom one at most is double.
    double = np.zeros((n, matrix.shape[1]))
    aromatic = (orders == 2) & (log_p.argmax(1)[pairs] == AROMATIC)
    for end in ends[pairs[aromatic]].T:
        double[end, columns[aromatic]] = 1
    answer = milp(
        np.concatenate([cost, losses, [NET_CHARGE, NET_CHARGE]]),
        integrality=np.ones(matrix.shape[1]),
        bounds=Bounds(np.zeros(matrix.shape[1]), most),
        constraints=[
            LinearConstraint(matrix, right, right),
            LinearConstraint(double, -np.inf, 1),
        ],
        options={"mip_rel_gap": 0.0, "time_limit": _TIME_LIMIT},
    )
    if answer.x is None:
        return None
    chosen = np.rint(answer.x).astype(np.int64)
    found = np.zeros(len(log_p), np.int64)
    np.add.at(found, pairs, chosen[columns] * orders)
    charges = np.zeros(n, np.int64)
    np.add.at(charges, atom, chosen[:n_states] * charge.astype(np.int64))
    return Structure(found, charges)


def _options(log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs, orders that they may have, and the nats that these take."""
    losses = log_p.max(1, keepdims=True) - log_p
    by_order = losses[:, :AROMATIC].copy()
    for order in (1, 2):
        by_order[:, order] = np.minimum(by_order[:, order], losses[:, AROMATIC])
    pairs, orders = (by_order <= MAX_LOSS).nonzero()
    return pairs, orders, by_order[pairs, orders]


def _tie(charge: int, told: int) -> float:
    return _TOLD * abs(charge - told) + _POSITIVE * charge
