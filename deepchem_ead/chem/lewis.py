"""Closed-shell Lewis structures on a bond graph, by integer programming.

Given which atoms are bonded, choose for every atom a valence state (formal charge q, valence v) and
for every bond an order L in 1..3 that minimise

    sum_atoms cost(q, v) + 0.01 sum_bonds (L - 1) (d / Angstrom - o)

subject to: the orders at each atom sum to v; the charges sum to the molecule's charge; L differs
by at most one from the order o that EDM reads from the length; a charged carbon is compensated.
The second term is small enough never to trade against a charge: among equally good structures it
picks the one whose multiple bonds are short. Exact, so the answer does not depend on the order of
the atoms (which RDKit's ``DetermineBondOrders`` does not guarantee, e.g. for nitroarenes).

Most molecules need no integer programming: neutral states with their group valences cost nothing,
so that any way to spread the missing valences over the bonds is optimal in the first term, and a
short search finds the best in the second (:func:`_spread`).
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
    "Al": ((0, 3, 0.0), (-1, 4, 1.0), (-3, 6, 3.0)),
    "Si": ((0, 4, 0.0), (-1, 5, 1.0), (-2, 6, 2.0)),
    "P": ((0, 3, 0.0), (0, 5, 0.5), (1, 4, 1.0), (-1, 6, 3.0)),
    "S": ((0, 2, 0.0), (0, 4, 0.5), (0, 6, 0.5), (-1, 1, 1.0), (1, 3, 1.5)),
    "Cl": ((0, 1, 0.0), (0, 3, 0.5), (0, 5, 0.5), (0, 7, 0.5), (-1, 0, 1.0), (1, 2, 1.5)),
    "As": ((0, 3, 0.0), (0, 5, 0.5), (1, 4, 1.0), (-1, 6, 3.0)),
    "Br": ((0, 1, 0.0), (0, 3, 0.5), (0, 5, 0.5), (-1, 0, 1.0), (1, 2, 1.5)),
    "I": (
        (0, 1, 0.0), (0, 3, 0.5), (0, 5, 0.5), (0, 7, 0.5), (-1, 0, 1.0), (1, 2, 1.0),
        (-1, 2, 1.5), (-1, 4, 1.5),
    ),
    "Ge": ((0, 4, 0.0), (-2, 6, 2.0)),
    "Sn": ((0, 4, 0.0), (0, 2, 0.5), (-1, 5, 1.0), (-2, 6, 2.0)),
    "Pb": ((0, 4, 0.0), (0, 2, 0.5)),
    "Sb": ((0, 3, 0.0), (0, 5, 0.5), (1, 4, 1.0), (-1, 6, 3.0)),
    "Se": ((0, 2, 0.0), (0, 4, 0.5), (0, 6, 0.5), (-1, 1, 1.0), (1, 3, 1.5)),
    "Te": ((0, 2, 0.0), (0, 4, 0.5), (0, 6, 0.5), (1, 3, 1.5)),
    "Zn": ((0, 2, 0.0), (2, 0, 0.0)),
    "Hg": ((0, 2, 0.0),),
    "Bi": ((0, 3, 0.0), (0, 5, 0.5)),
    **{metal: ((1, 0, 0.0),) for metal in ("Li", "Na", "K", "Rb", "Cs", "Ag")},
    **{metal: ((2, 0, 0.0),) for metal in ("Mg", "Ca", "Sr", "Ba")},
    "Xe": ((0, 0, 0.0), (0, 2, 0.5), (0, 4, 0.5), (0, 6, 0.5)),
    **{gas: ((0, 0, 0.0),) for gas in ("He", "Ne", "Ar", "Kr")},
}  # fmt: skip

_LENGTH_WEIGHT = 0.01
_SEARCH_LIMIT = 4000  # bonds tried before integer programming takes over
_TIME_LIMIT = 2.0  # seconds, so that no sample can stall an evaluation


@cache
def _states(number: int) -> tuple[tuple[int, int, float], ...]:
    return VALENCE_STATES.get(Chem.GetPeriodicTable().GetElementSymbol(number), ())


@cache
def _group_valences() -> np.ndarray:
    """Valence of the cost-free neutral state by atomic number, -1 where there is none: (119,)."""
    found = [
        next((v for q, v, cost in _states(number) if q == 0 and cost == 0.0), -1)
        for number in range(1, 119)
    ]
    return np.array([-1, *found], dtype=np.int64)


def group_valences(numbers: np.ndarray) -> np.ndarray:
    """Valence of each element's ordinary neutral state, -1 for unlisted elements: (n,) int."""
    return _group_valences()[np.asarray(numbers, dtype=np.int64)]


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
    found = problem.neutral() if charge == 0 else None
    if found is None:
        found = problem.solve()
    if found is None:
        return None
    extra, charges = found
    best = np.zeros(bonded.shape, dtype=np.int8)
    first, second = problem.first, problem.second
    best[first, second] = best[second, first] = 1 + extra
    return best, charges


class _Problem:
    """A bond graph with what each atom and bond may be.

    Attributes
    ----------
    first, second : numpy.ndarray
        The two atoms of each bond.
    low, high : numpy.ndarray
        Bounds of each bond's extra order (its order minus one).
    states : list of list
        For each atom its possible (charge, extra valence, cost): the extra orders of its bonds add
        up to the extra valence. Listed by :meth:`solve`, which few molecules need.
    """

    def __init__(self, numbers, bonded, orders, lengths, charge):
        self.charge = charge
        self.numbers = [int(number) for number in numbers]
        first, second = np.nonzero(bonded)
        upper = first < second
        self.first, self.second = first[upper], second[upper]
        self.bonds = list(zip(self.first.tolist(), self.second.tolist(), strict=True))
        known = orders[self.first, self.second].astype(int)
        self.weights = _LENGTH_WEIGHT * (lengths[self.first, self.second].astype(float) - known)
        self.degrees = bonded.sum(axis=1)
        self.low = np.where(known > 0, np.clip(known - 2, 0, 2), 0)
        self.high = np.where(known > 0, np.clip(known, 0, 2), 2)
        self.deficits = group_valences(numbers) - self.degrees
        self.states: list[list[tuple[int, int, float]]] = []

    def _find_states(self) -> None:
        """List the states; drop those that the bonds cannot fill, and orders that none allows.

        A bond of an atom that has no valence to spare is single; the solver need not find out.
        """
        self.states = [
            [(q, v - degree, cost) for q, v, cost in _states(number) if v >= degree]
            for number, degree in zip(self.numbers, self.degrees.tolist(), strict=True)
        ]
        n, changed = len(self.states), True
        while changed:
            spare = np.array([max((e for _, e, _ in s), default=0) for s in self.states] or [0])
            self.high = np.minimum(self.high, np.minimum(spare[self.first], spare[self.second]))
            least, most = (
                np.bincount(self.first, side, n) + np.bincount(self.second, side, n)
                for side in (self.low, self.high)
            )
            kept = [
                [state for state in own if least[i] <= state[1] <= most[i]]
                for i, own in enumerate(self.states)
            ]
            changed = sum(map(len, kept)) < sum(map(len, self.states))
            self.states = kept

    def neutral(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The best structure of neutral atoms with group valences; None if none is found."""
        if (self.deficits < 0).any() or (self.low > self.high).any():
            return None
        extra = _spread(self.bonds, self.deficits.tolist(), self.low, self.high, self.weights)
        return None if extra is None else (extra, np.zeros(len(self.numbers), dtype=np.int64))

    def solve(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Extra orders (b,) and formal charges (n,) of the best structure, or None."""
        self._find_states()
        if not all(self.states) or (self.low > self.high).any():
            return None
        # scipy.optimize takes a moment to import and most molecules never get here.
        from scipy.optimize import Bounds, LinearConstraint, milp

        columns = [(i, *state) for i, own in enumerate(self.states) for state in own]
        free = np.flatnonzero(self.high > self.low)
        n_states, n_variables = len(columns), len(columns) + len(free)
        matrix, right = self._equalities(columns, free)
        # Atoms with one state and nothing to share make rows that say nothing.
        used = matrix.any(axis=1)
        if right[~used].any():
            return None
        constraints = [LinearConstraint(matrix[used], right[used], right[used])]
        rows = self._carbon_rows(columns, n_variables)
        if rows:
            constraints.append(LinearConstraint(np.array(rows), -np.inf, 0.0))
        low = np.zeros(n_variables)
        # The only state of an atom is its state.
        low[:n_states] = [len(self.states[column[0]]) == 1 for column in columns]
        high = np.ones(n_variables)
        low[n_states:], high[n_states:] = self.low[free], self.high[free]
        answer = milp(
            np.concatenate([[column[3] for column in columns], self.weights[free]]),
            integrality=np.ones(n_variables),
            bounds=Bounds(low, high),
            constraints=constraints,
            options={"mip_rel_gap": 0.0, "time_limit": _TIME_LIMIT},
        )
        if answer.x is None:
            return None
        values = np.rint(answer.x).astype(int)
        charges = np.zeros(len(self.numbers), dtype=np.int64)
        for chosen, (atom, q, _, _) in zip(values[:n_states], columns, strict=True):
            charges[atom] += chosen * q
        extra = self.low.copy()
        extra[free] = values[n_states:]
        return extra, charges

    def _equalities(self, columns, free):
        """One state an atom; extra orders that fill it; charges that add up."""
        n, n_states = len(self.numbers), len(columns)
        matrix = np.zeros((2 * n + 1, n_states + len(free)))
        right = np.zeros(2 * n + 1)
        right[:n], right[-1] = 1.0, self.charge
        for column, (atom, q, extra, _) in enumerate(columns):
            matrix[atom, column] = 1.0
            matrix[n + atom, column] = -extra
            matrix[-1, column] = q
        for ends in (self.first, self.second):
            matrix[n + ends[free], n_states + np.arange(len(free))] = 1.0
            np.subtract.at(right, n + ends, np.where(self.high > self.low, 0, self.low))
        return matrix, right

    def _carbon_rows(self, columns, n_variables):
        """Charged carbon <= oppositely charged hetero neighbours, unless the molecule is an ion."""
        neighbours = [set() for _ in self.numbers]
        for i, j in self.bonds:
            neighbours[i].add(j)
            neighbours[j].add(i)
        rows = []
        for column, (atom, q, _, _) in enumerate(columns):
            if self.numbers[atom] != 6 or q == 0 or q * self.charge > 0:
                continue
            row = np.zeros(n_variables)
            row[column] = 1.0
            for other, (site, p, _, _) in enumerate(columns):
                if site in neighbours[atom] and self.numbers[site] != 6 and p * q < 0:
                    row[other] = -1.0
            rows.append(row)
        return rows


def _spread(bonds, deficits, low, high, weights) -> np.ndarray | None:
    """Extra orders within bounds that add up to each atom's deficit at the least weight.

    A search that always continues at the atom with the fewest open bonds, so that chains leave no
    choice and only rings branch. None if there is no solution, or none was found in time.
    """
    extra = np.asarray(low).copy()
    need = list(deficits)
    for k in np.flatnonzero(extra).tolist():
        for atom in bonds[k]:
            need[atom] -= int(extra[k])
    if min(need, default=0) < 0:
        return None
    room = (np.asarray(high) - extra).tolist()
    open_bonds: dict[int, set[int]] = {atom: set() for atom, wanted in enumerate(need) if wanted}
    for k, (i, j) in enumerate(bonds):
        if room[k] and need[i] and need[j]:
            open_bonds[i].add(k)
            open_bonds[j].add(k)
    pieces = _pieces(open_bonds, bonds)
    for piece in pieces:
        found = _Search(bonds, need, room, weights, {a: open_bonds[a] for a in piece}).best()
        if found is None:
            return None
        for k, value in found.items():
            extra[k] += value
    return extra


def _pieces(open_bonds: dict[int, set[int]], bonds) -> list[list[int]]:
    """Atoms that open bonds connect."""
    pieces, seen = [], set()
    for start in open_bonds:
        if start in seen:
            continue
        piece, stack = [], [start]
        seen.add(start)
        while stack:
            atom = stack.pop()
            piece.append(atom)
            for k in open_bonds[atom]:
                other = bonds[k][0] if bonds[k][1] == atom else bonds[k][1]
                if other not in seen:
                    seen.add(other)
                    stack.append(other)
        pieces.append(piece)
    return pieces


class _Search:
    """All ways to fill the needs of a few connected atoms; see :func:`_spread`."""

    def __init__(self, bonds, need, room, weights, open_bonds):
        self.bonds, self.need, self.room, self.open = bonds, need, room, open_bonds
        self.weights = weights.tolist()
        self.tries, self.cost, self.chosen = 0, np.inf, None
        self.values: dict[int, int] = {}

    def best(self) -> dict[int, int] | None:
        """Extra order of each bond that gets one; None if there is no way or too many."""
        self._go_on(0.0)
        return None if self.tries > _SEARCH_LIMIT else self.chosen

    def _go_on(self, cost: float) -> None:
        wanting = [atom for atom in self.open if self.need[atom]]
        if not wanting:
            if cost < self.cost:
                self.cost, self.chosen = cost, dict(self.values)
            return
        atom = min(wanting, key=lambda a: len(self.open[a]))
        if not self.open[atom]:
            return
        k = min(self.open[atom])
        i, j = self.bonds[k]
        self.open[i].discard(k)
        self.open[j].discard(k)
        last = len(self.open[atom]) == 0
        most = min(self.room[k], self.need[i], self.need[j])
        for value in range(self.need[atom] if last else 0, most + 1):
            self.tries += 1
            if self.tries > _SEARCH_LIMIT:
                break
            self.need[i] -= value
            self.need[j] -= value
            self.values[k] = value
            self._go_on(cost + value * self.weights[k])
            del self.values[k]
            self.need[i] += value
            self.need[j] += value
        self.open[i].add(k)
        self.open[j].add(k)
