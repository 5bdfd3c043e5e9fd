"""The sections of a configuration that say what a model is: data, network and process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from deepchem_ead.chem.elements import parse_elements
from deepchem_ead.chem.kinds import format_kind, parse_kinds
from deepchem_ead.denoisers import DENOISERS, DenoiserOptions
from deepchem_ead.diffusion import (
    FEATURE_TARGETS,
    FRAMES,
    LEVEL_FEATURES,
    NOISE_SCHEDULES,
    POSITION_TARGETS,
    NoiseSchedule,
)
from deepchem_ead.generator.settings import Settings, structural
from deepchem_ead.parts import call_part

PRECISIONS = ("fp32", "bf16", "auto")


@dataclass(frozen=True)
class DataOptions(Settings):
    """Which molecules the model knows, and as which numbers.

    Attributes
    ----------
    elements : str
        Elements the model knows, comma separated.
    charged_kinds : str
        Kinds of charged atoms the model knows beside the elements, comma separated: "N+,O-".
        Empty: it knows no formal charges.
    bonds : bool
        The model knows bonds: it learns them, generates them, and can be given some of them.
    stereo : bool
        With bonds that are given the network is told the configuration of their centres and double
        bonds.
    max_atoms : int
        Largest molecule.
    variable_size : bool
        True: molecules are padded with dummy atoms and the model finds the size itself (EAD).
        False: molecules have their own size, drawn from the training set's histogram when
        generating (EDM).
    dummy_padding : str
        "full": every molecule is padded to ``max_atoms`` (EAD). "random": to a number of nodes
        drawn between its own and ``max_atoms``, which costs fewer pairs.
    max_dummies : int
        With random padding, most dummy atoms of a molecule; 0: only ``max_atoms`` limits them.
    p_fixed_size : float
        Share of training molecules without dummy atoms in a model of variable size. The network
        is told, and can then be asked for molecules of a given size; 1: it learns no others.
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
    """

    elements: str = structural("H,C,N,O,F", same_states=True, may_widen=True)
    charged_kinds: str = structural("", same_states=True, may_widen=True)
    bonds: bool = structural(False, may_widen=True)
    stereo: bool = structural(False, may_widen=True)
    max_atoms: int = structural(29, may_widen=True)
    variable_size: bool = structural(True, same_states=True)
    dummy_padding: str = structural("full", may_widen=True)
    max_dummies: int = structural(0, may_widen=True)
    p_fixed_size: float = structural(0.0, may_widen=True)
    conditions: str = structural("", may_widen=True)
    p_uncond: float = 0.1
    include_charge: bool = structural(True, same_states=True)
    type_scale: float = structural(4.0, same_states=True)
    charge_scale: float = structural(10.0, same_states=True)

    def __post_init__(self) -> None:
        names = self.conditions
        if not isinstance(names, str) and isinstance(names, Iterable):
            names = ",".join(map(str, names))
        if isinstance(names, str):
            names = ",".join(name.strip() for name in names.split(","))
            object.__setattr__(self, "conditions", names)
        super().__post_init__()
        self.check(
            positive=("max_atoms", "type_scale", "charge_scale"),
            not_negative=("max_dummies",),
            shares=("p_fixed_size", "p_uncond"),
            choices={"dummy_padding": ("full", "random")},
        )
        known = set(parse_elements(self.elements))
        charged = parse_kinds(self.charged_kinds) if self.charged_kinds else ()
        for kind in charged:
            if kind[0] not in known or not kind[1]:
                raise ValueError(
                    f"charged_kinds={self.charged_kinds!r}: {format_kind(kind)} is no charged atom "
                    f"of one of the elements {self.elements}"
                )
        conditions = self.condition_names
        if not all(conditions) or len(set(conditions)) < len(conditions):
            raise ValueError(f"conditions={self.conditions!r}: name each property once")

    def most_nodes(self, n_atoms: np.ndarray) -> np.ndarray:
        """With how many dummy atoms, and atoms, molecules of ``n_atoms`` (N,) may be padded."""
        if self.dummy_padding == "full" or not self.max_dummies:
            return np.full_like(n_atoms, self.max_atoms)
        return np.minimum(n_atoms + self.max_dummies, self.max_atoms)

    @property
    def meets_dummies(self) -> bool:
        """Whether dummy atoms are in its training data, so that it can find sizes."""
        return self.variable_size and self.p_fixed_size < 1

    @property
    def condition_names(self) -> tuple[str, ...]:
        """The properties the model is conditioned on."""
        return tuple(self.conditions.split(",")) if self.conditions else ()


@dataclass(frozen=True)
class NetworkOptions(Settings):
    """Which network estimates the noise, and what it is told.

    Attributes
    ----------
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
    channel_levels : bool
        The network is told the level of an atom's kind beside that of its position. Needed where
        they differ: a known kind at a place to be found.
    self_conditioning : bool
        The network is told its previous estimate of the clean molecule: in sampling that of the
        step before, in training in half of the steps that from a slightly noisier state (see
        `DiffusionProcess`). Only for the attention denoiser.
    composition : bool
        Atoms are told how many of each kind their molecule seems to have (see `DiffusionProcess`).
        Only with ``feature_target="types"``.
    precision : str
        "fp32", "bf16" or "auto": arithmetic of the large matrix products in the network.
    """

    denoiser: str = structural("egnn")
    n_layers: int = structural(9)
    n_features: int = structural(256)
    n_heads: int = structural(8)
    denoiser_options: dict = structural(default_factory=dict)
    level_features: str = structural("linear")
    channel_levels: bool = structural(False, may_widen=True)
    self_conditioning: bool = structural(False, may_widen=True)
    composition: bool = structural(False, may_widen=True)
    precision: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(
            positive=("n_layers", "n_features", "n_heads"),
            choices={"level_features": tuple(LEVEL_FEATURES), "precision": PRECISIONS},
        )
        self.network_options  # noqa: B018  (refuses what the denoiser does not know)
        if self.self_conditioning and "reference" not in DENOISERS[self.denoiser].reads:
            reading = [name for name, network in DENOISERS.items() if "reference" in network.reads]
            raise ValueError(
                f"self_conditioning needs a denoiser that reads an earlier estimate, such as "
                f"denoiser={reading[0]!r}; {self.denoiser!r} does not"
            )

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


@dataclass(frozen=True)
class ProcessOptions(Settings):
    """How noise grows with the levels, which levels occur, and what is estimated from it.

    Attributes
    ----------
    timesteps : int
        Noise levels T.
    noise_schedule : str
        How the noise grows with the level: "polynomial_2" (EDM) or "cosine", see
        `deepchem_ead.diffusion.NOISE_SCHEDULES`. Options follow a colon: "cosine:offset=0.01".
    schedule_precision : float
        Precision s of the noise schedule.
    interval : int
        Largest offset C of an atom's level from its molecule's; 0 is synchronous diffusion (EDM).
    p_sync : float
        Share of training molecules whose atoms all have the same level.
    level_power : float
        Powers above 1 draw low levels more often in training (see `diffusion.sample_levels`).
    frame : str
        Treatment of translations: "quotient" (exact), "preconditioned" (exact, and known atoms are
        seen as they are beside others at any level; needs ``position_target="residual"``) or
        "edm". See `diffusion.frames`.
    feature_target : str
        "noise": the network predicts the noise of the features (EDM, EAD). "types": it predicts
        the type of each atom (see `diffusion.TypeTarget`).
    bond_noise : bool
        Bonds that are not given have noise of their own, at the level of the noisier of two atoms,
        as types have (see `deepchem_ead.diffusion.bond_noise`). By default they are not known, and
        the network finds them.
    position_target : str
        "noise": the network predicts the noise of the positions (EDM, EAD). "residual": what it is
        beyond the estimate for a cloud of atoms (see `diffusion.PositionResidual`).
    position_scale : float
        Standard deviation of that cloud in Angstrom.
    """

    timesteps: int = structural(1000, same_states=True)
    noise_schedule: str = structural("polynomial_2", same_states=True)
    schedule_precision: float = structural(1e-5, same_states=True)
    interval: int = 29
    p_sync: float = 0.0
    level_power: float = 1.0
    frame: str = structural("quotient", same_states=True)
    feature_target: str = structural("noise")
    bond_noise: bool = structural(False)
    position_target: str = structural("noise")
    position_scale: float = structural(1.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(
            positive=("timesteps", "level_power", "position_scale"),
            not_negative=("interval",),
            shares=("p_sync",),
            choices={
                "frame": tuple(FRAMES),
                "feature_target": FEATURE_TARGETS,
                "position_target": POSITION_TARGETS,
            },
        )
        if self.frame == "preconditioned" and self.position_target != "residual":
            raise ValueError(
                "frame='preconditioned' needs position_target='residual', the output that belongs "
                f"to its input, not {self.position_target!r}"
            )
        self.make_noise_schedule()  # refuses names and options that are not known

    def make_noise_schedule(self) -> NoiseSchedule:
        """The tables of noise for each level."""
        return call_part(
            NOISE_SCHEDULES, self.noise_schedule, self.timesteps, self.schedule_precision
        )
