"""Everything that defines a property model, in one validated record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from deepchem_ead.chem.elements import parse_elements
from deepchem_ead.generator.settings import Settings, structural
from deepchem_ead.optim.rate import DECAYS


@dataclass(frozen=True)
class PropertyConfig(Settings):
    """Configuration of an `EGNNPropertyModel`: tasks, data, network and training.

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
    n_layers, n_features : int
        Message passes and width of the EGNN (EDM's classifier: 7 and 128).
    composition_baseline : bool
        Predict what is left after a linear regression of the labels on the numbers of atoms of
        each element, fitted on the training set and kept with the weights.
    precision : str
        "fp32", "bf16" or "auto": arithmetic of the large matrix products in the network.
    learning_rate : float
    learning_rate_decay : str
        "none", "cosine" or "wsd", as in `EADConfig`.
    warmup_steps : int
        Steps of linear warm-up at the start of ``fit``.
    weight_decay : float
        Of AdamW.
    amsgrad : bool
        As in `EADConfig`.
    gradient_clipping : bool
        Clip the gradient's norm at 1.5 times the mean plus 2 standard deviations of the last 50
        steps.
    batch_size : int
    ema_decay : float
        Decay of the exponential moving average of the weights, which is what predicts; 0 predicts
        with the last weights.
    seed : int
        Seed of initial weights and shuffling.
    """

    PRESETS: ClassVar[str] = "properties/presets"

    tasks: str = structural("")
    elements: str = structural("H,C,N,O,F")
    max_atoms: int = structural(29)
    estimates_of: str = ""
    max_tau: float = 0.0
    n_layers: int = structural(7)
    n_features: int = structural(128)
    composition_baseline: bool = structural(True)
    precision: str = "auto"
    learning_rate: float = 1e-3
    learning_rate_decay: str = "cosine"
    warmup_steps: int = 200
    weight_decay: float = 1e-12
    amsgrad: bool = True
    gradient_clipping: bool = structural(True)
    batch_size: int = 64
    ema_decay: float = 0.999
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.tasks, str) and isinstance(self.tasks, Iterable):
            object.__setattr__(self, "tasks", ",".join(map(str, self.tasks)))
        self.check(
            positive=("max_atoms", "n_layers", "n_features", "learning_rate", "batch_size"),
            not_negative=("warmup_steps", "weight_decay", "seed", "max_tau"),
            shares=("ema_decay",),
            choices={
                "precision": ("fp32", "bf16", "auto"),
                "learning_rate_decay": DECAYS,
            },
        )
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
