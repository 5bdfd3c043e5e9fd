"""Levels at which guidance acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from deepchem_ead.diffusion import AtomLayout


@dataclass(frozen=True)
class LevelWindow:
    """A molecule is guided while its noisiest atom is at one of these levels.

    Guidance costs evaluations, and what it can mend arises at some levels only.

    Parameters
    ----------
    low, high : float
        Both included.
    """

    low: float = 0.0
    high: float = float("inf")

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise ValueError(
                f"a window of levels leads from a low one to a high one, not from {self.low:g} to "
                f"{self.high:g}"
            )

    @classmethod
    def read(cls, value: str | Sequence[float] | Self | None) -> LevelWindow:
        """A window written as ``"200-400"`` or ``(200, 400)``; all levels for "" and None.

        Raises
        ------
        ValueError
            If it is none.
        """
        if isinstance(value, LevelWindow):
            return value
        if value is None or (isinstance(value, str) and not value.strip()):
            return cls()
        try:
            low, high = map(float, value.split("-") if isinstance(value, str) else value)
        except (TypeError, ValueError):
            raise ValueError(
                f"a window of levels is written as 200-400 or (200, 400), not {value!r}"
            ) from None
        return cls(low, high)

    @property
    def everywhere(self) -> bool:
        """Whether it leaves no level out."""
        return self == LevelWindow()

    def holds(self, levels: Tensor, layout: AtomLayout) -> Tensor:
        """Which molecules (B,) are guided at levels (A,) or (A, C) of their atoms."""
        noisiest = layout.max(levels if levels.dim() == 1 else levels.amax(1))
        return (noisiest >= self.low) & (noisiest <= self.high)

    def __str__(self) -> str:
        return f"{self.low:g}-{self.high:g}"
