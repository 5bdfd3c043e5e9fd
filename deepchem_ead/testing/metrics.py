"""What every metric promises, as a class of tests to inherit from."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.metrics import METRICS, GenerativeMetric
from deepchem_ead.molnet.sample import load_sample

_ROWS = (0, 300, 700, 1100, 1500, 1900)


class MetricTests:
    """Inherit, set the name, and pytest holds the metric to the contract.

    Attributes
    ----------
    metric : str
        Name in `deepchem_ead.metrics.METRICS`.
    options : dict
        What `GenerativeMetric` is given besides.
    lowest, highest : float
        Values it can have.
    tolerance : float
        By which turning and shifting molecules may change it.

    Examples
    --------
    >>> class TestMine(MetricTests):
    ...     metric = "validity"
    """

    metric: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}
    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 1.0
    tolerance: ClassVar[float] = 1e-6

    def compute(self, molecules: MoleculeBatch) -> float:
        """Its value, with some molecules of QM9 as the reference."""
        found = GenerativeMetric(self.metric, **self.options)
        value = found.compute_metric(molecules, reference=_molecules()[:3])
        assert isinstance(value, float)
        return value

    def test_its_name_is_that_of_results(self):
        assert self.metric in METRICS
        assert GenerativeMetric(self.metric, **self.options).name == self.metric

    def test_values_are_in_their_range_and_repeatable(self):
        molecules = _molecules()
        value = self.compute(molecules)
        assert self.lowest <= value <= self.highest
        assert self.compute(molecules) == value

    def test_broken_molecules_are_judged_and_not_refused(self):
        numbers, positions = _arrays()
        positions[1][0] = np.nan
        numbers[2], positions[2] = numbers[2][:0], positions[2][:0]
        positions[3] = positions[3] * 5
        broken = MoleculeBatch.from_arrays(numbers, positions)
        for molecules in (broken, broken[[1, 2]]):
            assert self.lowest <= self.compute(molecules) <= self.highest

    def test_neither_order_nor_place_matter(self):
        numbers, positions = _arrays()
        value = self.compute(MoleculeBatch.from_arrays(numbers, positions))
        random = np.random.default_rng(0)
        rotation = np.linalg.qr(random.normal(size=(3, 3)))[0]
        rotation *= np.linalg.det(rotation)
        orders = [random.permutation(len(n)) for n in numbers]
        moved = MoleculeBatch.from_arrays(
            [n[order] for n, order in zip(numbers, orders, strict=True)][::-1],
            [(x @ rotation + 3)[o] for x, o in zip(positions, orders, strict=True)][::-1],
        )
        assert abs(self.compute(moved) - value) <= self.tolerance


def _arrays() -> tuple[list[np.ndarray], list[np.ndarray]]:
    batch = _molecules()
    return [n.copy() for n in batch.numbers], [x.astype(np.float64) for x in batch.positions]


def _molecules() -> MoleculeBatch:
    table, _ = load_sample()
    numbers, positions = zip(*map(table.numbers_and_positions, _ROWS), strict=True)
    return MoleculeBatch.from_arrays(numbers, positions)
