"""Closed-shell Lewis structures on a bond graph, by integer programming.

Given which atoms are bonded, choose for every atom a valence state (formal charge q, valence v) and
for every bond an order L in 1..3 that minimise

    sum_atoms cost(q, v) + 0.01 sum_bonds (L - 1) (d / Angstrom - o)

subject to: the orders at each atom sum to v; the charges sum to the molecule's charge; L differs
by at most one from the order o that EDM reads from the length; a charged carbon is compensated.
The second term is small enough never to trade against a charge: among equally good structures it
picks the one whose multiple bonds are short. Exact, so the answer does not depend on the order of
the atoms (which RDKit's ``DetermineBondOrders`` does not guarantee, e.g. for nitroarenes).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from rdkit import Chem

#: element -> (formal charge, valence, cost). Neutral group valences are free; hypervalent P, S and
#: halogens are cheaper than charges; charges cost less where they are common (N+, O-).
VALENCE_STATES: dict[str, tuple[tuple[int, int, float], ...]] = {
    "H": ((0, 1, 0.0),),
    "B": ((0, 3, 0.0), (-1, 4, 1.0)),
    "C": ((0, 4, 0.0), (-1, 3, 4.0), (1, 3, 4.0)),
    "N": ((0, 3, 0.0), (1, 4, 1.0), (-1, 2, 2.0)),
    "O": ((0, 2, 0.0), (-1, 1, 1.0), (1, 3, 2.0)),
    "F": ((0, 1, 0.0), (-1, 0, 1.0)),
    "Al": ((0, 3, 0.0), (-1, 4, 1.0)),
    "Si": ((0, 4, 0.0),),
    "P": ((0, 3, 0.0), (0, 5, 0.5), (1, 4, 1.0)),
    "S": ((0, 2, 0.0), (0, 4, 0.5), (0, 6, 0.5), (-1, 1, 1.0), (1, 3, 1.5)),
    "Cl": ((0, 1, 0.0), (0, 3, 0.5), (0, 5, 0.5), (0, 7, 0.5), (-1, 0, 1.0)),
    "As": ((0, 3, 0.0), (0, 5, 0.5), (1, 4, 1.0)),
    "Br": ((0, 1, 0.0), (0, 3, 0.5), (0, 5, 0.5), (-1, 0, 1.0)),
    "I": ((0, 1, 0.0), (0, 3, 0.5), (0, 5, 0.5), (0, 7, 0.5), (-1, 0, 1.0)),
    "Hg": ((0, 2, 0.0),),
    "Bi": ((0, 3, 0.0), (0, 5, 0.5)),
}

_LENGTH_WEIGHT = 0.01
_TIME_LIMIT = 2.0  # seconds, so that no sample can stall an evaluation


@cache
def _states(number: int) -> tuple[tuple[int, int, float], ...]:
    return VALENCE_STATES.get(Chem.GetPeriodicTable().GetElementSymbol(number), ())


@cache
def _group_valence(number: int) -> int:
    """Valence of the cost-free neutral state."""
    return next((v for _, v, cost in _states(number) if cost == 0.0), -1)


def group_valences(numbers: np.ndarray) -> np.ndarray:
    """Valence of each element's ordinary neutral state, -1 for unlisted elements: (n,) int."""
    return np.array([_group_valence(int(number)) for number in numbers], dtype=np.int64)


def lewis_structure(
    numbers: np.ndarray,
    bonded: np.ndarray,
    orders: np.ndarray,
    lengths: np.ndarray,
    charge: int = 0,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Find the best closed-shell structure.

    Parameters
    ----------
    numbers : array of int, shape (n,)
        Atomic numbers.
    bonded : array of bool, shape (n, n)
        Symmetric bond graph.
    orders : array of int, shape (n, n)
        Orders EDM reads from the lengths; 0 on a bonded pair means unknown.
    lengths : array of float, shape (n, n)
        Distances in Angstrom.
    charge : int
        Total charge.

    Returns
    -------
    (orders, charges) or None
        Orders (n, n) int8 and formal charges (n,) int; None where no structure exists.
    """
    if charge == 0 and np.array_equal(orders > 0, bonded):
        if np.array_equal(orders.sum(axis=1, dtype=np.int64), group_valences(numbers)):
            return orders, np.zeros(len(numbers), dtype=np.int64)  # nothing can cost less
    problem = _Problem(numbers, bonded, orders, lengths, charge)
    return problem.solve()


class _Problem:
    """Variables: one binary per (atom, state), then one integer per bond (its order minus one)."""

    def __init__(self, numbers, bonded, orders, lengths, charge):
        self.n_atoms, self.charge = len(numbers), charge
        self.degrees = bonded.sum(axis=1).tolist()
        first, second = np.nonzero(np.triu(bonded, 1))
        self.bonds = list(zip(first.tolist(), second.tolist(), strict=True))
        self.bond_orders = orders[first, second].astype(int)
        self.bond_lengths = lengths[first, second].astype(float)
        self.numbers = [int(number) for number in numbers]
        self.states = [
            (atom, q, v, cost)
            for atom, number in enumerate(self.numbers)
            for q, v, cost in _states(number)
            if v >= self.degrees[atom]
        ]

    def _bounds(self):
        known = self.bond_orders > 0
        low = np.where(known, np.clip(self.bond_orders - 2, 0, 2), 0)
        high = np.where(known, np.clip(self.bond_orders, 0, 2), 2)
        # A bond of an atom that has no valence to spare is single; the solver need not find out.
        spare = [0] * self.n_atoms
        for atom, _, v, _ in self.states:
            spare[atom] = max(spare[atom], v - self.degrees[atom])
        limit = np.array([min(spare[i], spare[j]) for i, j in self.bonds], dtype=int)
        high = np.minimum(high, limit)
        return low, high

    def _equalities(self, n_variables):
        n_states = len(self.states)
        matrix = np.zeros((2 * self.n_atoms + 1, n_variables))
        right = np.zeros(2 * self.n_atoms + 1)
        for column, (atom, q, v, _) in enumerate(self.states):
            matrix[atom, column] = 1.0  # one state an atom
            matrix[self.n_atoms + atom, column] = -(v - self.degrees[atom])
            matrix[-1, column] = q
        for k, (i, j) in enumerate(self.bonds):
            matrix[self.n_atoms + i, n_states + k] = 1.0
            matrix[self.n_atoms + j, n_states + k] = 1.0
        right[: self.n_atoms] = 1.0
        right[-1] = self.charge
        return matrix, right

    def _carbon_rows(self, n_variables):
        """Charged carbon <= oppositely charged hetero neighbours, unless the molecule is an ion."""
        neighbours = [set() for _ in range(self.n_atoms)]
        for i, j in self.bonds:
            neighbours[i].add(j)
            neighbours[j].add(i)
        rows = []
        for column, (atom, q, _, _) in enumerate(self.states):
            if self.numbers[atom] != 6 or q == 0 or q * self.charge > 0:
                continue
            row = np.zeros(n_variables)
            row[column] = 1.0
            for other, (site, p, _, _) in enumerate(self.states):
                if site in neighbours[atom] and self.numbers[site] != 6 and p * q < 0:
                    row[other] = -1.0
            rows.append(row)
        return rows

    def solve(self) -> tuple[np.ndarray, np.ndarray] | None:
        if len({atom for atom, *_ in self.states}) < self.n_atoms:
            return None  # an atom with more neighbours than any of its states allows
        low, high = self._bounds()
        if (low > high).any():
            return None
        # scipy.optimize takes a moment to import and most molecules never get here.
        from scipy.optimize import Bounds, LinearConstraint, milp

        n_states, n_variables = len(self.states), len(self.states) + len(self.bonds)
        cost = np.concatenate(
            [
                [state[3] for state in self.states],
                _LENGTH_WEIGHT * (self.bond_lengths - self.bond_orders),
            ]
        )
        matrix, right = self._equalities(n_variables)
        constraints = [LinearConstraint(matrix, right, right)]
        rows = self._carbon_rows(n_variables)
        if rows:
            constraints.append(LinearConstraint(np.array(rows), -np.inf, 0.0))
        answer = milp(
            cost,
            integrality=np.ones(n_variables),
            bounds=Bounds(
                np.concatenate([np.zeros(n_states), low]), np.concatenate([np.ones(n_states), high])
            ),
            constraints=constraints,
            options={"mip_rel_gap": 0.0, "time_limit": _TIME_LIMIT},
        )
        if answer.x is None:
            return None
        values = np.rint(answer.x).astype(int)
        charges = np.zeros(self.n_atoms, dtype=np.int64)
        for chosen, (atom, q, _, _) in zip(values[:n_states], self.states, strict=True):
            charges[atom] += chosen * q
        orders = np.zeros((self.n_atoms, self.n_atoms), dtype=np.int8)
        for (i, j), extra in zip(self.bonds, values[n_states:], strict=True):
            orders[i, j] = orders[j, i] = 1 + extra
        return orders, charges
