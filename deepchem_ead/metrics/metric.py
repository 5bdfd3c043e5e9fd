"""What a metric of generated molecules is, and what it can be given."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol, Self, runtime_checkable

from rdkit import Chem

from deepchem_ead.chem.molecules import MoleculeBatch
from deepchem_ead.chem.rdkit_io import bond_vocabulary
from deepchem_ead.metrics.inputs import as_batch
from deepchem_ead.metrics.view import MoleculeView
from deepchem_ead.registry import Registry


class Views:
    """Molecules as metrics want to see them, each view made once and shared by all metrics.

    Parameters
    ----------
    batch : MoleculeBatch
    """

    def __init__(self, batch: MoleculeBatch) -> None:
        self.batch = batch

    @classmethod
    def of(cls, molecules: Any) -> Self:
        """Views of a batch, a dataset or RDKit molecules; those that are views already stay."""
        return molecules if isinstance(molecules, cls) else cls(as_batch(molecules))

    def __len__(self) -> int:
        return len(self.batch)

    @cached_property
    def each(self) -> list[MoleculeView]:
        """One molecule each."""
        return views_of(self.batch)

    @cached_property
    def mols(self) -> list[Chem.Mol | None]:
        """RDKit molecules as `MoleculeBatch.to_rdkit` perceives them; None where invalid."""
        return [view.mol for view in self.each]

    @property
    def smiles(self) -> list[str | None]:
        """Their canonical SMILES; None where invalid."""
        return [view.smiles for view in self.each]


def views_of(batch: MoleculeBatch) -> list[MoleculeView]:
    """The molecules of a batch one by one; nothing is perceived yet."""
    sampled = bool(batch.info.get("sampled", False))
    names = batch.ids or [""] * len(batch)
    vocabulary = bond_vocabulary(batch.atomic_numbers)
    return [
        MoleculeView(
            *batch.atoms(i), int(batch.charges[i]), batch.graph(i), sampled, names[i], vocabulary
        )
        for i in range(len(batch))
    ]


@runtime_checkable
class Metric(Protocol):
    """A number for a set of generated molecules.

    Attributes
    ----------
    name : str
        Key in results, and the name it is registered by.
    needs : frozenset of str
        "reference", if it compares with known molecules.
    """

    name: str
    needs: frozenset[str]

    def __call__(self, views: Views, reference: Any = None) -> float:
        """The metric of the molecules; ``reference`` is None unless it is needed and known."""
        ...


#: Metrics by name: a `Metric`, or a function ``f(molecules, ...) -> float``.
METRICS: Registry[Metric | Callable[..., float]] = Registry("metric")
