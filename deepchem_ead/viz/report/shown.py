"""What a page shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from deepchem_ead.chem.molecules import MoleculeBatch
    from deepchem_ead.metrics.conformers import ConformersReport
    from deepchem_ead.metrics.suites.suite import Suite


class ShownConformers(Protocol):
    """The reading half of `deepchem_ead.judging.ConformersJudged`, described there."""

    @property
    def report(self) -> ConformersReport: ...
    @property
    def without_reference(self) -> dict[str, int]: ...


class Shown(Protocol):
    """The reading half of `deepchem_ead.judging.Report`, described there."""

    @property
    def per_molecule(self) -> pd.DataFrame: ...
    @property
    def summary(self) -> pd.DataFrame: ...
    @property
    def suite(self) -> Suite: ...
    @property
    def info(self) -> dict[str, Any]: ...
    @property
    def failures(self) -> dict[str, int]: ...
    @property
    def molecules(self) -> MoleculeBatch: ...
    @property
    def rows_read(self) -> np.ndarray: ...
    @property
    def held_out(self) -> Shown | None: ...
    @property
    def conformers(self) -> ShownConformers | None: ...
    def __len__(self) -> int: ...


class Tested(NamedTuple):
    """What a test of a number of one set against that of another says.

    Attributes
    ----------
    difference, error : float
        Of the first set's number, and its standard error; NaN where the test knows none.
    p : float
        Probability of such a difference between equals, corrected for the number of tests.
    method : str
    """

    difference: float
    error: float
    p: float
    method: str
