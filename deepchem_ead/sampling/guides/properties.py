"""Guides: differentiable properties, and the values that molecules are drawn towards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from deepchem_ead.diffusion import AtomLayout
from deepchem_ead.sampling.guides.window import LevelWindow

#: Noise-to-signal ratio (Angstrom) below which an estimate looks like a molecule.
MOLECULE_LIKE = 0.5


class Guide(Protocol):
    """Differentiable properties of molecules, such as an `EGNNPropertyModel`.

    Attributes
    ----------
    tasks : sequence of str
        Names of the T properties.
    mad : sequence of float, (T,)
        Mean absolute deviations, their natural unit.
    elements : str or None
        Elements of the columns of ``type_probabilities``, comma separated; None for what does not
        look at types: the columns are then those of whatever generates.
    """

    @property
    def tasks(self) -> Sequence[str]: ...
    @property
    def mad(self) -> Sequence[float]: ...
    @property
    def elements(self) -> str | None: ...

    def property_of(
        self, positions: Tensor, type_probabilities: Tensor, layout: AtomLayout
    ) -> Tensor:
        """Properties (B, T) of positions (A, 3), Angstrom, and types (A, E); invariant."""


#: How to make a model that can guide from one that cannot: ``regressor`` predicts from what
#: ``featurizer`` makes, ``train`` is a dataset of structures.
DISTIL = """\
import deepchem as dc
from deepchem_ead import EGNNPropertyModel, MoleculeBatch
from deepchem_ead.models.predictors import as_predictor
judge = as_predictor(regressor, featurizer, tasks=["gap"])
labels = judge.predict(MoleculeBatch.from_padded(train.X))
guide = EGNNPropertyModel(judge.tasks)
guide.fit(dc.data.NumpyDataset(train.X, labels), nb_epoch=30)
"""


def no_gradient(model: object) -> str:
    """Why a model cannot guide, and what can be done with it instead."""
    return (
        f"a {type(model).__name__} cannot guide: that takes the gradient of a property by the "
        "coordinates and types of atoms, which it has not. Choose among generated molecules by it "
        "(design(..., predictor=as_predictor(regressor, featurizer, tasks=[...]))), or train a "
        f"model that can guide on its predictions:\n\n{DISTIL}"
    )


@dataclass(frozen=True)
class PropertyGuidance:
    """Target properties, and a differentiable model of them, to steer ``EADModel.generate`` with.

    Molecules are weighted by ``exp(-scale sum_k ((f_k - y_k) / MAD_k)^2)``; see `GradientGuidance`.

    Parameters
    ----------
    model : object
        With ``property_of(positions (A, 3), type_probabilities (A, E), layout) -> (B, T)``, such as
        an `EGNNPropertyModel`, or such a function itself.
    targets : mapping of str to value or sequence of values
        Wanted properties, all or some of the model's, as ``conditions`` of ``EADModel.generate``.
    scale : float
        Strength: a target is aimed at within ``MAD / sqrt(2 scale)``.
    max_change : float
        See `GradientGuidance`.
    max_tau : float
        See `GradientGuidance`. By default 0.5 Angstrom: below, an estimated molecule looks like
        one, which a model that learned from molecules needs (with guidance above 1 those of `qm9`
        fly apart), and guidance above gains little even with one that learned from estimates. What
        means something for any atoms, as their number does, can be infinity.
    levels : str or pair of float, optional
        Levels at which molecules are guided, "200-400" or ``(200, 400)``; by default those of
        ``guidance_levels``, or all.
    tasks : sequence of str, optional
        Names of the T columns; ``model.tasks`` by default.
    mad : sequence of float, optional
        Mean absolute deviations (T,) of the properties, their natural unit; ``model.mad`` by
        default.
    elements : str, optional
        Elements of the E columns, comma separated; ``model.elements`` by default.
    mean : sequence of float, optional
        Means (T,) of the properties; ``model.mean`` by default, if there is one. Targets far from
        it are warned about.

    Raises
    ------
    ValueError
        If the scale is not positive, or a target is none of the model's.
    """

    model: Any
    targets: Mapping[str, Any]
    scale: float = 30.0
    max_change: float = 2.0
    max_tau: float = MOLECULE_LIKE
    tasks: Sequence[str] = ()
    mad: Sequence[float] = ()
    elements: str | None = None
    mean: Sequence[float] | None = None
    levels: str | Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.levels is not None:
            object.__setattr__(self, "levels", str(LevelWindow.read(self.levels)))
        if not hasattr(self.model, "property_of") and not callable(self.model):
            raise ValueError(no_gradient(self.model))
        for name in ("scale", "max_change", "max_tau"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"the {name} of a guide must be positive, not {getattr(self, name)}"
                )
        for name in ("tasks", "mad", "elements"):
            value = getattr(self, name)
            if value is None or len(value) == 0:
                if not hasattr(self.model, name):
                    raise ValueError(f"the guiding model has no {name!r}; pass {name}=...")
                object.__setattr__(self, name, getattr(self.model, name))
        if self.mean is None:
            object.__setattr__(self, "mean", getattr(self.model, "mean", None))
        unknown = [name for name in self.targets if name not in self.tasks]
        if unknown or not self.targets:
            raise ValueError(
                f"targets={list(self.targets)}: choose among the guiding model's properties, "
                f"{', '.join(self.tasks)}"
            )

    @property
    def asked(self) -> list[str]:
        """The properties that have a target, in the model's order."""
        return [name for name in self.tasks if name in self.targets]

    @property
    def columns(self) -> list[int]:
        """Their columns among the model's."""
        return [column for column, name in enumerate(self.tasks) if name in self.targets]

    @property
    def property_of(self) -> Callable[[Tensor, Tensor, AtomLayout], Tensor]:
        """The differentiable function."""
        function: Callable[[Tensor, Tensor, AtomLayout], Tensor]
        function = getattr(self.model, "property_of", self.model)
        return function
