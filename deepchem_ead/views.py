"""How molecules are looked at: `viz` draws them, `chem` only knows these names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepchem_ead.registry import Registry

#: "view" (3D), "grid" (a picture) and "page" (HTML): functions whose first argument is a batch.
VIEWS: Registry[Callable[..., Any]] = Registry("view")
for _name in ("view", "grid", "page"):
    VIEWS.register_lazily(_name, "deepchem_ead.viz")
