"""The mathematics of asynchronous diffusion: noise schedules, levels, frames, targets."""

from deepchem_ead.bonding import BOND_KINDS
from deepchem_ead.diffusion.asked import Asked, Estimate, Estimator
from deepchem_ead.diffusion.bond_noise import EVIDENCE_COLUMNS, BondNoise, unordered
from deepchem_ead.diffusion.bonds import (
    BOND_COLUMNS,
    UNKNOWN_BOND,
    Bonds,
    among,
    bonds_of_pairs,
    pair_rows,
)
from deepchem_ead.diffusion.channels import (
    CHANNELS,
    any_channel,
    by_column,
    channel,
    joined,
    level_of,
    shifted,
    state_width,
)
from deepchem_ead.diffusion.closed_shells import ClosedShellTypes, closed_shell
from deepchem_ead.diffusion.direct import DirectObjective, LastEstimate, pseudo_huber
from deepchem_ead.diffusion.feature_targets import (
    FEATURE_TARGETS,
    NoiseTarget,
    TypeTarget,
    atoms_only,
    feature_target,
)
from deepchem_ead.diffusion.frames import (
    FRAMES,
    EDMFrame,
    Frame,
    PreconditionedFrame,
    QuotientFrame,
    project_noise,
)
from deepchem_ead.diffusion.kernels import (
    as_column,
    dpm_solver_2m_step,
    eta_step,
    forward_step,
    langevin_step,
    posterior_spread,
    spread_step,
)
from deepchem_ead.diffusion.layout import AtomLayout, PairIndex, SizeGroup
from deepchem_ead.diffusion.level_features import LEVEL_FEATURES, N_LEVEL_FEATURES, SIGMA_COLUMN
from deepchem_ead.diffusion.levels import sample_levels
from deepchem_ead.diffusion.noise_schedules import NOISE_SCHEDULES
from deepchem_ead.diffusion.position_targets import (
    POSITION_TARGETS,
    PositionNoise,
    PositionResidual,
    position_target,
)
from deepchem_ead.diffusion.process import DiffusionProcess, EarlierState
from deepchem_ead.diffusion.quotient import Orbits, inertia_tensor, project_rotation
from deepchem_ead.diffusion.rotations import random_turns, turn, turn_at_random, turned
from deepchem_ead.diffusion.schedule import NoiseSchedule
from deepchem_ead.diffusion.seen import Denoiser, Outputs, Seen
from deepchem_ead.diffusion.stereo import (
    STEREO_COLUMNS,
    Shown,
    Stereo,
    signed_volumes,
    stereo_of,
)
from deepchem_ead.diffusion.symmetry import (
    SYMMETRIES,
    AveragedSymmetry,
    KabschSymmetry,
    NoSymmetry,
    QuotientSymmetry,
    Symmetry,
    resolve_symmetry,
)

__all__ = [
    "BOND_COLUMNS",
    "BOND_KINDS",
    "CHANNELS",
    "EVIDENCE_COLUMNS",
    "FEATURE_TARGETS",
    "FRAMES",
    "LEVEL_FEATURES",
    "LastEstimate",
    "NOISE_SCHEDULES",
    "N_LEVEL_FEATURES",
    "POSITION_TARGETS",
    "SYMMETRIES",
    "STEREO_COLUMNS",
    "UNKNOWN_BOND",
    "Asked",
    "AtomLayout",
    "AveragedSymmetry",
    "BondNoise",
    "Bonds",
    "ClosedShellTypes",
    "Denoiser",
    "DiffusionProcess",
    "DirectObjective",
    "EDMFrame",
    "EarlierState",
    "Estimate",
    "Estimator",
    "Frame",
    "KabschSymmetry",
    "NoSymmetry",
    "NoiseSchedule",
    "SIGMA_COLUMN",
    "NoiseTarget",
    "Orbits",
    "Outputs",
    "PairIndex",
    "PositionNoise",
    "PositionResidual",
    "PreconditionedFrame",
    "QuotientFrame",
    "QuotientSymmetry",
    "Seen",
    "Shown",
    "SizeGroup",
    "Symmetry",
    "Stereo",
    "TypeTarget",
    "among",
    "any_channel",
    "as_column",
    "atoms_only",
    "bonds_of_pairs",
    "by_column",
    "channel",
    "closed_shell",
    "dpm_solver_2m_step",
    "eta_step",
    "feature_target",
    "forward_step",
    "inertia_tensor",
    "langevin_step",
    "joined",
    "level_of",
    "pair_rows",
    "position_target",
    "posterior_spread",
    "project_noise",
    "project_rotation",
    "pseudo_huber",
    "random_turns",
    "resolve_symmetry",
    "sample_levels",
    "shifted",
    "signed_volumes",
    "spread_step",
    "state_width",
    "turn",
    "stereo_of",
    "turn_at_random",
    "turned",
    "unordered",
]
