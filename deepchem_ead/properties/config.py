"""Everything that defines a property model, in one validated record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from deepchem_ead.chem.elements import parse_elements
from deepchem_ead.generator.run_sections import FitOptions
from deepchem_ead.generator.sections import PRECISIONS
from deepchem_ead.generator.settings import Settings, structural


@dataclass(frozen=True)
class LabelOptions(Settings):
    """What is learned, and from which molecules.

    Attributes
    ----------
    tasks : str
        Names of the predicted properties, comma separated.
    elements : str
        Elements the model knows, comma separated.
    max_atoms : int
        Largest molecule.
    estimates_of : str
        Learn from molecules as this generator estimates them from noise (a name or folder, as
        `EADModel.from_pretrained` takes it), to guide it; see `CleanEstimates`. Empty: learn from
        the molecules themselves.
    max_tau : float
        Largest noise-to-signal ratio (Angstrom) of those estimates.
    composition_baseline : bool
        Predict what is left after a linear regression of the labels on the numbers of atoms of
        each element, fitted on the training set and kept with the weights.
    """

    tasks: str = structural("")
    elements: str = structural("H,C,N,O,F")
    max_atoms: int = structural(29)
    estimates_of: str = ""
    max_tau: float = 0.0
    composition_baseline: bool = structural(True)

    def __post_init__(self) -> None:
        if not isinstance(self.tasks, str) and isinstance(self.tasks, Iterable):
            object.__setattr__(self, "tasks", ",".join(map(str, self.tasks)))
        super().__post_init__()
        self.check(positive=("max_atoms",), not_negative=("max_tau",))
        parse_elements(self.elements)
        if bool(self.estimates_of) != (self.max_tau > 0):
            raise ValueError(
                f"estimates_of={self.estimates_of!r} and max_tau={self.max_tau:g} go together: "
                "name the generator and the largest noise-to-signal ratio (2.0, say), or neither"
            )
        names = self.task_names
        if not all(names) or len(set(names)) < len(names):
            raise ValueError(f"tasks={names}: name at least one property, each once")

    @property
    def task_names(self) -> list[str]:
        """The tasks as a list."""
        return [name.strip() for name in self.tasks.split(",")]


@dataclass(frozen=True)
class PropertyNetworkOptions(Settings):
    """The network.

    Attributes
    ----------
    n_layers, n_features : int
        Message passes and width of the EGNN (EDM's classifier: 7 and 128).
    precision : str
        "fp32", "bf16" or "auto": arithmetic of the large matrix products in the network.
    """

    n_layers: int = structural(7)
    n_features: int = structural(128)
    precision: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(positive=("n_layers", "n_features"), choices={"precision": PRECISIONS})


@dataclass(frozen=True)
class PropertyFitOptions(FitOptions):
    """`FitOptions` with the defaults of a property model."""

    learning_rate: float = 1e-3
    learning_rate_decay: str = "cosine"
    warmup_steps: int = 200
    ema_decay: float = 0.999


@dataclass(frozen=True)
class PropertyConfig(PropertyFitOptions, PropertyNetworkOptions, LabelOptions):
    """Configuration of an `EGNNPropertyModel`: data and tasks, network and training.

    It is made of the sections `LabelOptions`, `PropertyNetworkOptions` and `PropertyFitOptions`,
    as `EADConfig` is of its own.
    """

    PRESETS: ClassVar[str] = "properties/presets"
    SECTIONS: ClassVar[dict[str, type[Settings]]] = {
        "data": LabelOptions,
        "network": PropertyNetworkOptions,
        "training": PropertyFitOptions,
    }
