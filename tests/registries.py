"""All registries, and how a test that registers something leaves them as they were."""

from __future__ import annotations

import gc

import pytest

import deepchem_ead.judging  # noqa: F401  (defines the registries of what is judged)
from deepchem_ead.registry import Registry


def registries() -> dict[str, Registry]:
    """Every registry there is, by the kind of its parts."""
    return {each.what: each for each in gc.get_objects() if isinstance(each, Registry)}


def restore_registries(patch: pytest.MonkeyPatch) -> None:
    """Forget what is registered from now on once the patch is undone."""
    for each in registries().values():
        patch.setattr(each, "_parts", dict(each._parts))
