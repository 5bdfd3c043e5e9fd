"""The result of asking a generator for property values, and its tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from deepchem_ead.metrics.conditional_results import (
    PropertyResult,
    RequestResult,
    SecondOpinion,
    find_result,
)
from deepchem_ead.metrics.conditional_rows import CONDITIONAL_ROWS, ConditionalRow
from deepchem_ead.metrics.conditional_table import error_table, number, share_table

if TYPE_CHECKING:
    import pandas as pd

    from deepchem_ead.chem.molecules import MoleculeBatch

__all__ = ["ConditionalReport", "PropertyResult", "RequestResult", "SecondOpinion"]


@dataclass(frozen=True)
class ConditionalReport:
    """What came of asking for properties.

    Attributes
    ----------
    properties : list of PropertyResult
        One for each property of each request, heat capacities in both conventions.
    requests : list of RequestResult
    settings : dict
        n, seed, guidance_scale and the other arguments of the generation.
    records : pandas.DataFrame
        One row for each molecule and property: asked, task, molecule (number in its request),
        target, prediction, second_prediction (labels' unit, NaN where not judged), target_size (0
        if none was drawn), n_atoms, valid, strict, novel, smiles, within (this property), hit (all
        of the request).
    molecules : dict of str to MoleculeBatch
        The generated molecules by request ("gap", "gap+mu").
    """

    properties: list[PropertyResult]
    requests: list[RequestResult]
    settings: dict[str, Any]
    records: pd.DataFrame = field(repr=False, compare=False)
    molecules: dict[str, MoleculeBatch] = field(repr=False, compare=False, default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        """What a reader of the numbers must know, one sentence each."""
        texts = [text for result in self.properties for text in _warnings(result)]
        return list(dict.fromkeys(texts))

    def result(self, task: str, asked: Sequence[str] | str | None = None) -> PropertyResult:
        """The result of a property, of the first request it belongs to unless ``asked`` says which.

        Raises
        ------
        KeyError
            If it was not asked for.
        """
        return find_result(self.properties, task, asked)

    def to_dict(self) -> dict[str, Any]:
        """Everything but records and molecules, JSON-ready: what is not a number is None."""
        parts = {
            "settings": self.settings,
            "properties": [asdict(result) for result in self.properties],
            "requests": [asdict(result) for result in self.requests],
            "warnings": self.warnings,
        }
        return _plain(parts)

    def table(
        self, rows: Iterable[ConditionalRow] = CONDITIONAL_ROWS, name: str = "generated"
    ) -> str:
        """Aligned text: errors in the field's units with other results beside them, then shares.

        Parameters
        ----------
        rows : iterable of ConditionalRow
            Published results by default; ``()`` for none.
        name : str
            What the rows of this report are called.

        Returns
        -------
        str
        """
        parts = [
            error_table(self.properties, self.requests, list(rows), name),
            share_table(self.properties, self.requests),
        ]
        return "\n\n".join([*parts, *(f"Note: {text}." for text in self.warnings)])

    def __str__(self) -> str:
        return self.table()


def _warnings(result: PropertyResult) -> Iterable[str]:
    if result.task not in result.asked:
        return  # the other convention of one that is
    name = result.task if len(result.asked) == 1 else f"{result.task} of {' + '.join(result.asked)}"
    missing = result.n - result.n_judged
    if missing:
        yield (
            f"{name}: the oracle could not judge {missing:,} of {result.n:,} molecules; errors are "
            "over the others, shares over all"
        )
    floor = result.baselines["floor"]
    if floor > result.tolerance:
        yield (
            f"{result.task}: the oracle's own error on real molecules, {number(floor)} "
            f"{result.unit}, is above the tolerance of {number(result.tolerance)}: shares within "
            "it mean little"
        )
    if result.n_outside:
        yield f"{name}: {result.n_outside:,} of {result.n:,} requests lie outside the data"
    if result.second and result.second.fooled:
        yield (
            f"{name}: the second oracle sees an error of {number(result.second.mae)}, the first "
            f"{number(result.mae)} {result.unit}; they are {number(result.second.disagreement)} "
            f"apart, on real molecules {number(result.second.real_disagreement)}: the first looks "
            "fooled"
        )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
