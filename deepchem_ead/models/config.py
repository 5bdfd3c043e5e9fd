"""Everything that defines an EAD model, in one validated record, and the named presets."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path

import yaml

from deepchem_ead.chem.elements import parse_elements
from deepchem_ead.diffusion import FRAMES

#: Fields that give the weights their meaning: two models may exchange weights only if they agree.
STRUCTURE = (
    "elements", "max_atoms", "variable_size", "include_charge", "type_scale", "charge_scale",
    "n_layers", "n_features", "timesteps", "schedule_precision", "frame", "gradient_clipping",
)  # fmt: skip


@dataclass(frozen=True)
class EADConfig:
    """Configuration of an EAD model: data, network, process, training and sampling defaults.

    Attributes
    ----------
    elements : str
        Elements the model knows, comma separated.
    max_atoms : int
        Largest molecule.
    variable_size : bool
        True: every molecule is padded with dummy atoms to ``max_atoms`` and the model finds the
        size itself (EAD). False: molecules have their own size, drawn from the training set's
        histogram when generating (EDM).
    include_charge : bool
        Give the network the atomic number as one more feature, as EDM does on QM9.
    type_scale, charge_scale : float
        Divisors of the one-hot atom types and of the atomic numbers (EDM: 4 and 10).
    n_layers, n_features : int
        Layers and width of the EGNN.
    timesteps : int
        Noise levels T.
    schedule_precision : float
        Precision s of the noise schedule.
    interval : int
        Largest offset C of an atom's level from its molecule's; 0 is synchronous diffusion (EDM).
    p_sync : float
        Share of training molecules whose atoms all have the same level.
    frame : str
        Treatment of translations, "quotient" (exact) or "edm" (see `diffusion.frames`).
    dummy_weight : float
        Weight of dummy atoms in the loss.
    precision : str
        "fp32", "bf16" or "auto": arithmetic of the large matrix products in the network.
    learning_rate : float
    learning_rate_decay : str
        "none", or "cosine": from ``learning_rate`` to zero over one call of ``fit``.
    warmup_steps : int
        Steps of linear warm-up at the start of ``fit``.
    weight_decay : float
        Of AdamW.
    gradient_clipping : bool
        Clip the gradient's norm at 1.5 times the mean plus 2 standard deviations of the last 50
        steps (EDM).
    batch_size : int
    ema_decay : float
        Decay of the exponential moving average of the weights, which is what generates.
    repeat_rule : str
        What a stalled atom does when generating, unless ``generate`` is told otherwise.
    seed : int
        Seed of initial weights, shuffling and training noise.
    """

    elements: str = "H,C,N,O,F"
    max_atoms: int = 29
    variable_size: bool = True
    include_charge: bool = True
    type_scale: float = 4.0
    charge_scale: float = 10.0
    n_layers: int = 9
    n_features: int = 256
    timesteps: int = 1000
    schedule_precision: float = 1e-5
    interval: int = 29
    p_sync: float = 0.0
    frame: str = "quotient"
    dummy_weight: float = 1.0
    precision: str = "auto"
    learning_rate: float = 1e-4
    learning_rate_decay: str = "none"
    warmup_steps: int = 0
    weight_decay: float = 1e-12
    gradient_clipping: bool = True
    batch_size: int = 64
    ema_decay: float = 0.9999
    repeat_rule: str = "repaint"
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            kind = {"bool": bool, "int": int, "float": float, "str": str}[str(field.type)]
            value = getattr(self, field.name)
            if kind is float and isinstance(value, int) and not isinstance(value, bool):
                object.__setattr__(self, field.name, float(value))
            elif not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise ValueError(f"{field.name} must be of type {field.type}, not {value!r}")
        parse_elements(self.elements)
        positive = ("max_atoms", "n_layers", "n_features", "timesteps", "batch_size",
                    "type_scale", "charge_scale", "learning_rate")  # fmt: skip
        for name in positive:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        for name in ("interval", "warmup_steps", "weight_decay", "dummy_weight", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        for name in ("p_sync", "ema_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], not {getattr(self, name)}")
        choices = {
            "frame": tuple(FRAMES),
            "precision": ("fp32", "bf16", "auto"),
            "learning_rate_decay": ("none", "cosine"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}"
                )

    @classmethod
    def load(cls, preset: str | Path | None = None, **overrides) -> EADConfig:
        """A configuration from a preset name, a YAML file or the defaults, with changes.

        Raises
        ------
        ValueError
            If the preset or a field is unknown; the message lists what there is.
        """
        values = {} if preset is None else _read_yaml(preset)
        return cls.from_dict({**values, **overrides})

    @classmethod
    def from_dict(cls, values: dict) -> EADConfig:
        """A configuration from a plain dictionary; unknown keys are an error."""
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else f" among {', '.join(known)}"
                raise ValueError(f"there is no option {name!r}{hint}")
        return cls(**values)

    def to_dict(self) -> dict:
        """The configuration as a plain dictionary."""
        return asdict(self)

    def structural_differences(self, other: EADConfig) -> dict[str, tuple]:
        """Fields that forbid an exchange of weights, with this and the other's value."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in STRUCTURE}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def preset_names() -> list[str]:
    """The presets that come with the package."""
    folder = resources.files("deepchem_ead.models") / "presets"
    return sorted(f.name[: -len(".yaml")] for f in folder.iterdir() if f.name.endswith(".yaml"))


def _read_yaml(preset: str | Path) -> dict:
    path = Path(preset)
    if path.suffix in (".yaml", ".yml"):
        if not path.exists():
            raise ValueError(f"there is no configuration file {str(path)!r}")
        text = path.read_text()
    elif str(preset) in preset_names():
        text = (resources.files("deepchem_ead.models") / "presets" / f"{preset}.yaml").read_text()
    else:
        raise ValueError(
            f"there is no preset {str(preset)!r}; there are {', '.join(preset_names())}, "
            "or give the path of a YAML file"
        )
    values = yaml.safe_load(text)
    if not isinstance(values, dict):
        raise ValueError(f"{preset}: a configuration is a mapping of options to values")
    return values
