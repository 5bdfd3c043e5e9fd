"""What came of asking a generator for a property, in numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class SecondOpinion:
    """What an independently trained oracle says. Errors in the field's unit.

    Attributes
    ----------
    mae, standard_error : float
        Mean absolute error against the request by its predictions.
    n_judged : int
    disagreement : float
        Mean absolute difference of the two oracles on the generated molecules.
    real_disagreement, floor : float
        The same on real molecules of the dataset, and this oracle's error there.
    fooled : bool
        The error it sees exceeds the one the first oracle sees by more than the difference of the
        oracles' errors on real molecules, two standard errors and a tenth: the molecules suit the
        first oracle rather than the request.
    """

    mae: float
    standard_error: float
    n_judged: int
    disagreement: float
    real_disagreement: float
    floor: float
    fooled: bool


@dataclass(frozen=True)
class PropertyResult:
    """How well one property was met. Errors in the field's unit.

    Attributes
    ----------
    asked : tuple of str
        Properties that were asked for together.
    task : str
        The one judged here.
    unit : str
    n, n_judged : int
        Molecules, and those among them for which the oracle gave a number; errors are over these.
    mae, standard_error, median : float
        Of the absolute error against the request; NaN if nothing could be judged.
    valid_mae : float
        Mean absolute error of the molecules that are valid (EDM's protocol).
    tolerance : float
    within : float
        Share of all n molecules within the tolerance.
    n_outside : int
        Requests beyond the labels of the dataset.
    baselines : dict
        Measured errors to compare with: "floor", the oracle on real molecules (those that requests
        were drawn from); where they were drawn also "atoms", "mean" and "shuffled".
    second : SecondOpinion or None
    """

    asked: tuple[str, ...]
    task: str
    unit: str
    n: int
    n_judged: int
    mae: float
    standard_error: float
    median: float
    valid_mae: float
    tolerance: float
    within: float
    n_outside: int
    baselines: dict[str, float]
    second: SecondOpinion | None = None


@dataclass(frozen=True)
class RequestResult:
    """How many of the molecules of one request are good for something: shares of all n.

    Attributes
    ----------
    asked : tuple of str
    n : int
    judged : float
        The oracle gave a number for every property.
    valid, strict : float
        Valid by EDM's protocol, and by the strict one.
    within : float
        Every property within its tolerance.
    hits : float
        Valid, in one piece, novel, within every tolerance, and the first such molecule with its
        SMILES.
    strict_hits : float
        Those of the hits that the strict protocol accepts, too.
    chance : float
        Random molecules of the dataset that are within every tolerance of another one's labels.
    size_kept : float or None
        Share with the number of atoms of the drawn molecule; None where requests were given.
    """

    asked: tuple[str, ...]
    n: int
    judged: float
    valid: float
    strict: float
    within: float
    hits: float
    strict_hits: float
    chance: float
    size_kept: float | None


def find_result(
    results: Iterable[PropertyResult], task: str, asked: Sequence[str] | str | None = None
) -> PropertyResult:
    """See :meth:`ConditionalReport.result`."""
    asked = (asked,) if isinstance(asked, str) else asked
    for result in results:
        if result.task == task and (asked is None or result.asked == tuple(asked)):
            return result
    raise KeyError(f"{task!r} was not asked for" + (f" in {asked}" if asked else ""))
