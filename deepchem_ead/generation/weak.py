"""The weak model that a model is guided away from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepchem_ead.diffusion import DiffusionProcess
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.trained import Generator, TrainedGenerator
from deepchem_ead.sampling import AutoGuidance, GuidedProcess, LevelWindow


class WeakModel:
    """A weak model and how far to go away from it.

    Parameters
    ----------
    model : Generator
        The one that generates.
    weak : Generator, str or Path, optional
        A model or what `from_pretrained` accepts. Default: the weak model that came with
        ``model``'s weights.
    scale : float
        Autoguidance scale, see `AutoGuidance`.

    Raises
    ------
    ValueError
        If there is no weak model, or it describes molecules in another way.
    """

    def __init__(self, model: Generator, weak: Generator | str | Path | None, scale: float) -> None:
        weak = model.weak_model if weak is None else weak
        if weak is None:
            raise ValueError(
                "autoguidance needs a weak model, and these weights came without one: pass "
                "weak_model=, a smaller or less trained model of the same data"
            )
        if isinstance(weak, (str, Path)):
            weak = TrainedGenerator.from_pretrained(weak, model.device)
        for name in EADConfig.fields_that("same states"):
            mine, theirs = getattr(model.config, name), getattr(weak.config, name)
            if mine != theirs:
                raise ValueError(
                    f"a model cannot be guided by one that describes molecules in another way: "
                    f"{name} is {mine!r} in the model and {theirs!r} in the weak model"
                )
        self.network = weak.model.to(model.device)
        self.scale = scale
        names = model.config.condition_names
        # Column of the model's conditions of each of the weak model's, -1 where it has none.
        self._columns = [names.index(n) if n in names else -1 for n in weak.config.condition_names]

    def process(
        self,
        process: DiffusionProcess | GuidedProcess,
        closed_shell: bool,
        fixed_size: bool,
        window: LevelWindow,
    ) -> AutoGuidance:
        """The process guided away from the weak model's, see `EADNetwork.sampling_process`."""
        network = self.network
        return AutoGuidance(
            process,
            network.sampling_process(closed_shell, fixed_size),
            network.sampling_denoiser,
            network.n_context,
            self.scale,
            window,
        )

    def context(self, values: np.ndarray, fixed_size: bool) -> Tensor | None:
        """What the weak model is told of molecules asked for properties (B, P), (B, K)."""
        unknown = np.full((len(values), 1), np.nan)
        own = np.concatenate([values, unknown], 1)[:, self._columns]
        device = self.network.size_counts.device
        flags = torch.full((len(values),), fixed_size, device=device)
        return self.network.context(flags, torch.from_numpy(own).to(device))
