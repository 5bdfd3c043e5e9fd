"""Everything that defines an EAD model, in one validated record, and the named presets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import ClassVar

from deepchem_ead.chem.elements import parse_elements
from deepchem_ead.denoisers import DENOISERS, DenoiserOptions
from deepchem_ead.diffusion import (
    FEATURE_TARGETS,
    FRAMES,
    LEVEL_FEATURES,
    NOISE_SCHEDULES,
    POSITION_TARGETS,
)
from deepchem_ead.generator.settings import Settings, structural
from deepchem_ead.optim.clipping import CLIPPING_RULES
from deepchem_ead.optim.rate import DECAYS
from deepchem_ead.sampling import resolve_repeat_rule, resolve_schedule


@dataclass(frozen=True)
class EADConfig(Settings):
    """Configuration of an EAD model: data, network, process, training and sampling defaults.

    Attributes
    ----------
    elements : str
        Elements the model knows, comma separated.
    max_atoms : int
        Largest molecule.
    variable_size : bool
        True: molecules are padded with dummy atoms and the model finds the size itself (EAD).
        False: molecules have their own size, drawn from the training set's histogram when
        generating (EDM).
    dummy_padding : str
        "full": every molecule is padded to ``max_atoms`` (EAD). "random": to a number of nodes
        drawn between its own and ``max_atoms``, which costs fewer pairs.
    p_fixed_size : float
        Share of training molecules without dummy atoms in a model of variable size. The network
        is told, and can then be asked for molecules of a given size.
    conditions : str
        Names of the properties the model is conditioned on, comma separated (or a sequence of
        names). Empty: an unconditional model.
    p_uncond : float
        Share of training molecules whose properties are all hidden from a conditional model, so
        that it can generate without conditions and be guided (see `noising.training_conditions`).
    include_charge : bool
        Give the network the atomic number as one more feature, as EDM does on QM9.
    type_scale, charge_scale : float
        Divisors of the one-hot atom types and of the atomic numbers (EDM: 4 and 10).
    feature_target : str
        "noise": the network predicts the noise of the features (EDM, EAD). "types": it predicts
        the type of each atom (see `diffusion.TypeTarget`).
    position_target : str
        "noise": the network predicts the noise of the positions (EDM, EAD). "residual": what it is
        beyond the estimate for a cloud of atoms (see `diffusion.PositionResidual`).
    position_scale : float
        Standard deviation of that cloud in Angstrom.
    self_conditioning : bool
        The network is told its previous estimate of the clean molecule: in sampling that of the
        step before, in training in half of the steps that from a slightly noisier state (see
        `DiffusionProcess`). Only for the attention denoiser.
    composition : bool
        Atoms are told how many of each kind their molecule seems to have (see `DiffusionProcess`).
        Only with ``feature_target="types"``.
    composition_weight : float
        Weight in the loss of the squared error of the expected numbers of atoms of each type.
    quotient_loss : bool
        The loss leaves out errors in the positions that a rotation of the molecule explains
        (quotient-space diffusion). Only with ``frame="quotient"``.
    denoiser : str
        "egnn", the network of EDM and EAD, "attention", or what an extension registers
        (`deepchem_ead.denoisers.DENOISERS`).
    n_layers, n_features : int
        Layers and width of the denoiser.
    n_heads : int
        Attention heads, of denoisers that have some.
    denoiser_options : dict
        Other options of the denoiser, fields of its ``Options``. They can also be given by their
        names, as if they were fields of the configuration.
    level_features : str
        How the network is told an atom's level: "linear" (EDM) or "fourier", see
        `deepchem_ead.diffusion.LEVEL_FEATURES`.
    timesteps : int
        Noise levels T.
    noise_schedule : str
        How the noise grows with the level: "polynomial_2" (EDM) or "cosine", see
        `deepchem_ead.diffusion.NOISE_SCHEDULES`.
    schedule_precision : float
        Precision s of the noise schedule.
    interval : int
        Largest offset C of an atom's level from its molecule's; 0 is synchronous diffusion (EDM).
    p_sync : float
        Share of training molecules whose atoms all have the same level.
    level_power : float
        Powers above 1 draw low levels more often in training (see `diffusion.sample_levels`).
    frame : str
        Treatment of translations, "quotient" (exact) or "edm" (see `diffusion.frames`).
    dummy_weight : float
        Weight of dummy atoms in the loss.
    precision : str
        "fp32", "bf16" or "auto": arithmetic of the large matrix products in the network.
    learning_rate : float
    learning_rate_decay : str
        "none", "cosine": from ``learning_rate`` to zero over one call of ``fit``, or "wsd":
        constant, and to zero in the last 30 % of it (see `models.rate`).
    warmup_steps : int
        Steps of linear warm-up at the start of ``fit``.
    weight_decay : float
        Of AdamW.
    amsgrad : bool
        AdamW keeps the largest second moments (EDM) instead of the recent ones. Only a new run
        heeds it: a restored optimiser brings its own.
    gradient_clipping : bool
        Clip the gradient's norm.
    clipping_rule : str
        Where: "edm", at 1.5 times the mean plus 2 standard deviations of the last 50 steps, or
        "median", at twice their median (see `models.clipping`).
    batch_size : int
    ema_decay : float
        Decay of the exponential moving average of the weights, which is what generates.
    sampling_schedule, repeat_rule : str
        Which atoms lose their noise when, and what a stalled atom does, when generating, unless
        ``generate`` is told otherwise. Options follow a colon: "random-coin:probability=0.6".
    sizes : str
        Who says how many atoms a molecule has when generating, unless ``generate`` is told
        otherwise: "free", the model where it knows dummy atoms, or "drawn", the training data
        (given the properties asked for, if there are any).
    closed_shell : bool
        Generated molecules have an even number of electrons, unless ``generate`` is told otherwise.
    noise_scale, autoguidance_scale : float
        The same for these arguments of ``generate``: the former for molecules of given sizes, the
        latter where there is a weak model.
    sampling_steps : int
        The same for its ``steps``, at most ``timesteps``; 0 is all of these.
    seed : int
        Seed of initial weights, shuffling and training noise.
    """

    FORMER: ClassVar[dict] = {"sampling_steps": 0}

    elements: str = structural("H,C,N,O,F", same_states=True, may_widen=True)
    max_atoms: int = structural(29, may_widen=True)
    variable_size: bool = structural(True, same_states=True)
    dummy_padding: str = structural("full", may_widen=True)
    p_fixed_size: float = structural(0.0, may_widen=True)
    conditions: str = structural("", may_widen=True)
    p_uncond: float = 0.1
    include_charge: bool = structural(True, same_states=True)
    type_scale: float = structural(4.0, same_states=True)
    charge_scale: float = structural(10.0, same_states=True)
    feature_target: str = structural("noise")
    position_target: str = structural("noise")
    position_scale: float = structural(1.5)
    self_conditioning: bool = structural(False, may_widen=True)
    composition: bool = structural(False, may_widen=True)
    composition_weight: float = 0.0
    quotient_loss: bool = False
    denoiser: str = structural("egnn")
    n_layers: int = structural(9)
    n_features: int = structural(256)
    n_heads: int = structural(8)
    denoiser_options: dict = structural(default_factory=dict)
    level_features: str = structural("linear")
    timesteps: int = structural(1000, same_states=True)
    noise_schedule: str = structural("polynomial_2", same_states=True)
    schedule_precision: float = structural(1e-5, same_states=True)
    interval: int = 29
    p_sync: float = 0.0
    level_power: float = 1.0
    frame: str = structural("quotient", same_states=True)
    dummy_weight: float = 1.0
    precision: str = "auto"
    learning_rate: float = 1e-4
    learning_rate_decay: str = "none"
    warmup_steps: int = 0
    weight_decay: float = 1e-12
    amsgrad: bool = True
    gradient_clipping: bool = structural(True, may_widen=True)
    clipping_rule: str = "edm"
    batch_size: int = 64
    ema_decay: float = 0.9999
    sampling_schedule: str = "adaptive"
    repeat_rule: str = "repaint"
    sizes: str = "free"
    closed_shell: bool = False
    noise_scale: float = 1.0
    autoguidance_scale: float = 0.0
    sampling_steps: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        names = self.conditions
        if not isinstance(names, str) and isinstance(names, Iterable):
            names = ",".join(map(str, names))
        if isinstance(names, str):
            names = ",".join(name.strip() for name in names.split(","))
            object.__setattr__(self, "conditions", names)
        self.check(
            positive=(
                "max_atoms", "n_layers", "n_features", "n_heads", "timesteps",
                "batch_size", "level_power", "type_scale", "charge_scale", "learning_rate",
                "position_scale",
            ),
            not_negative=(
                "interval", "warmup_steps", "weight_decay", "dummy_weight", "noise_scale",
                "composition_weight",
                "autoguidance_scale", "sampling_steps", "seed",
            ),
            shares=("p_sync", "p_fixed_size", "p_uncond", "ema_decay"),
            choices={
                "frame": tuple(FRAMES),
                "noise_schedule": tuple(NOISE_SCHEDULES),
                "feature_target": FEATURE_TARGETS,
                "position_target": POSITION_TARGETS,
                "dummy_padding": ("full", "random"),
                "sizes": ("free", "drawn"),
                "level_features": tuple(LEVEL_FEATURES),
                "clipping_rule": CLIPPING_RULES,
                "precision": ("fp32", "bf16", "auto"),
                "learning_rate_decay": DECAYS,
            },
        )  # fmt: skip
        self.network_options  # noqa: B018  (refuses what the denoiser does not know)
        for name, resolve in (
            ("sampling_schedule", resolve_schedule),
            ("repeat_rule", resolve_repeat_rule),
        ):
            try:
                resolve(getattr(self, name))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        if self.self_conditioning and "reference" not in DENOISERS[self.denoiser].reads:
            reading = [name for name, network in DENOISERS.items() if "reference" in network.reads]
            raise ValueError(
                f"self_conditioning needs a denoiser that reads an earlier estimate, such as "
                f"denoiser={reading[0]!r}; {self.denoiser!r} does not"
            )
        for name, use in (
            ("composition", "evidence it sums"),
            ("composition_weight", "probabilities it sums"),
            ("closed_shell", "probabilities it changes"),
        ):
            if getattr(self, name) and self.feature_target != "types":
                raise ValueError(f"{name} needs feature_target='types', whose {use}")
        if self.quotient_loss and self.frame != "quotient":
            raise ValueError(f"quotient_loss needs frame='quotient', not {self.frame!r}")
        parse_elements(self.elements)
        conditions = self.condition_names
        if not all(conditions) or len(set(conditions)) < len(conditions):
            raise ValueError(f"conditions={self.conditions!r}: name each property once")

    @classmethod
    def from_dict(cls, values: dict) -> EADConfig:
        """A configuration from a plain dictionary; unknown keys are an error.

        Options of the denoiser may stand among the others.
        """
        own = {field.name for field in fields(cls)}
        network = DENOISERS[values.get("denoiser", cls.denoiser)]
        theirs = {field.name for field in fields(network.Options)} - own
        options = {**values.get("denoiser_options", {})}
        options |= {name: value for name, value in values.items() if name in theirs}
        kept = {name: value for name, value in values.items() if name not in theirs}
        return super().from_dict({**kept, "denoiser_options": options})

    @property
    def network_options(self) -> DenoiserOptions:
        """The options of the denoiser, those among the configuration's own fields included."""
        network = DENOISERS[self.denoiser]
        known = [field.name for field in fields(network.Options)]
        for name in self.denoiser_options:
            if name not in known:
                raise ValueError(
                    f"the denoiser {self.denoiser!r} has no option {name!r}; it has "
                    f"{', '.join(known)}"
                )
        own = {field.name for field in fields(self)} & set(known)
        return network.Options(**{n: getattr(self, n) for n in own} | self.denoiser_options)

    def structural_differences(self, other: EADConfig) -> dict[str, tuple]:
        """Fields that forbid an exchange of weights, with this and the other's value."""
        found = super().structural_differences(other)
        mine, theirs = (replace(c.network_options, precision="auto") for c in (self, other))
        if mine == theirs:  # an option that is given is no other than one that is the default
            found.pop("denoiser_options", None)
        return found

    @property
    def condition_names(self) -> tuple[str, ...]:
        """The properties the model is conditioned on."""
        return tuple(self.conditions.split(",")) if self.conditions else ()


def preset_names() -> list[str]:
    """The presets that come with the package."""
    return EADConfig.preset_names()
