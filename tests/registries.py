"""All registries, and how a test that registers something leaves them as they were."""

from __future__ import annotations

import pytest

from deepchem_ead.denoisers import DENOISERS
from deepchem_ead.diffusion import NOISE_SCHEDULES
from deepchem_ead.metrics import METRICS
from deepchem_ead.molnet import DATASETS
from deepchem_ead.sampling import GRIDS, GUIDES, REPEAT_RULES, SCHEDULES, STEPPERS
from deepchem_ead.tasks import TASKS

REGISTRIES = (
    DENOISERS, NOISE_SCHEDULES, METRICS, DATASETS, SCHEDULES, STEPPERS, REPEAT_RULES, GUIDES, GRIDS,
    TASKS,
)  # fmt: skip


def restore_registries(patch: pytest.MonkeyPatch) -> None:
    """Forget what is registered from now on once the patch is undone."""
    for each in REGISTRIES:
        patch.setattr(each, "_parts", dict(each._parts))
