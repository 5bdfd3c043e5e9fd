"""Everything that defines an EAD model, in one validated record, and the named presets."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, replace
from typing import ClassVar

from deepchem_ead.caller import warn_caller
from deepchem_ead.denoisers import DENOISERS
from deepchem_ead.diffusion import EDMFrame
from deepchem_ead.generator.run_sections import SamplingDefaults, TrainingOptions
from deepchem_ead.generator.sections import DataOptions, NetworkOptions, ProcessOptions
from deepchem_ead.generator.settings import Settings
from deepchem_ead.tasks import TaskMixture

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EADConfig(SamplingDefaults, TrainingOptions, ProcessOptions, NetworkOptions, DataOptions):
    """Configuration of an EAD model: data, network, process, training and sampling defaults.

    It is made of five sections, `DataOptions`, `NetworkOptions`, `ProcessOptions`,
    `TrainingOptions` and `SamplingDefaults`, whose documentation says what their fields mean, and
    is one of each: what trains needs no more of it than the fields of `TrainingOptions`. Every
    field has a name of its own, by which it can be given and read without its section.

    Examples
    --------
    >>> one = EADConfig.load("qm9-small", batch_size=8, training={"learning_rate": 1e-3})
    >>> two = EADConfig.load("qm9-small", **{"training.batch_size": 8, "learning_rate": 1e-3})
    >>> one == two, one.batch_size
    (True, 8)
    >>> sorted(one.sections())
    ['data', 'network', 'process', 'sampling', 'training']
    """

    SECTIONS: ClassVar[dict[str, type[Settings]]] = {
        "data": DataOptions,
        "network": NetworkOptions,
        "process": ProcessOptions,
        "training": TrainingOptions,
        "sampling": SamplingDefaults,
    }
    FORMER: ClassVar[dict] = {"sampling_steps": 0}

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, use in (
            ("composition", "evidence it sums"),
            ("composition_weight", "probabilities it sums"),
            ("closed_shell", "probabilities it changes"),
        ):
            if getattr(self, name) and self.feature_target != "types":
                raise ValueError(f"{name} needs feature_target='types', whose {use}")
        if TaskMixture.read(self.tasks).by_channel and not self.channel_levels:
            raise ValueError(
                f"tasks={self.tasks!r} give positions and kinds levels of their own, which the "
                "network has to be told: set channel_levels=True"
            )
        if self.bonds and "pairs" not in DENOISERS[self.denoiser].writes:
            writing = [name for name, network in DENOISERS.items() if "pairs" in network.writes]
            raise ValueError(
                f"bonds need a denoiser that says something about pairs, such as "
                f"denoiser={writing[0]!r}; {self.denoiser!r} does not"
            )
        if self.bond_noise and not self.bonds:
            raise ValueError(
                "bond_noise is noise of the bonds of a model that has some: bonds=True"
            )
        if self.symmetry != "none" and self.frame == EDMFrame.name:
            raise ValueError(
                f"symmetry={self.symmetry!r} needs frame='quotient' or 'preconditioned': the noise "
                f"of frame={self.frame!r} is not that of a molecule that may be anywhere"
            )
        if self.stereo and not self.bonds:
            raise ValueError("stereo is told with the bonds that are given: set bonds=True")
        if self.stereo and "stereo" not in DENOISERS[self.denoiser].reads:
            reading = [name for name, network in DENOISERS.items() if "stereo" in network.reads]
            raise ValueError(
                f"stereo needs a denoiser that is told it, such as denoiser={reading[0]!r}; "
                f"{self.denoiser!r} is not"
            )
        if self.objective == "direct":
            self._check_direct()

    def _check_direct(self) -> None:
        """Refuse what the direct objective cannot do."""
        for name, needed, why in (
            ("self_conditioning", True, "its network is told its earlier estimate"),
            ("position_target", "residual", "estimates are compared as positions at any noise"),
            ("symmetry", "none", "it leaves out rotations in its own way"),
        ):
            found = getattr(self, name)
            if found != needed:
                raise ValueError(
                    f"objective='direct' needs {name}={needed!r}, not {found!r}: {why}"
                )
        if self.meets_dummies:
            raise ValueError(
                "objective='direct' needs variable_size=False, or p_fixed_size=1: estimates are "
                "kept atom by atom, dummy atoms come and go"
            )

    @classmethod
    def from_dict(cls, values: dict) -> EADConfig:
        """A configuration from a plain dictionary; unknown keys are an error.

        Fields may stand in their sections or without them, and options of the denoiser among the
        others.
        """
        values = _with_symmetry(cls.flat(values))
        own = {field.name for field in fields(cls)}
        network = DENOISERS[values.get("denoiser", cls.denoiser)]
        theirs = {field.name for field in fields(network.Options)} - own
        options = {**values.get("denoiser_options", {})}
        options |= {name: value for name, value in values.items() if name in theirs}
        kept = {name: value for name, value in values.items() if name not in theirs}
        return super().from_dict({**kept, "denoiser_options": options})

    def warn_of_inexact_frame(self) -> None:
        """Say what EDM's frame neglects with levels that differ, if it matters."""
        error = EDMFrame.error_estimate(self.interval, self.timesteps)
        if self.frame == EDMFrame.name and error > 0.1:
            logger.warning(
                'frame="edm" neglects about %.2f standard deviations of noise at interval=%d: it '
                'is meant for reproduction, frame="quotient" is exact',
                error,
                self.interval,
            )

    def structural_differences(self, other: EADConfig) -> dict[str, tuple]:
        """Fields that forbid an exchange of weights, with this and the other's value."""
        found = super().structural_differences(other)
        mine, theirs = (replace(c.network_options, precision="auto") for c in (self, other))
        if mine == theirs:  # an option that is given is no other than one that is the default
            found.pop("denoiser_options", None)
        return found


def _with_symmetry(values: dict) -> dict:
    """Values with the name that ``quotient_loss`` has now."""
    values = dict(values)
    former = values.pop("quotient_loss", False)
    if not isinstance(former, bool):
        raise ValueError(f"quotient_loss must be of type bool, not {former!r}")
    if former:
        warn_caller("quotient_loss=True is called symmetry='quotient' now", DeprecationWarning)
        values.setdefault("symmetry", "quotient")
    return values


def preset_names() -> list[str]:
    """The presets that come with the package."""
    return EADConfig.preset_names()
