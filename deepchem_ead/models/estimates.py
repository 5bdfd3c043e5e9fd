"""Molecules as a generator estimates them from noise: what a guide for high noise learns from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepchem_ead.chem.elements import parse_elements
from deepchem_ead.chem.ragged import WIDTHS
from deepchem_ead.diffusion import AtomLayout, channel
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.request import Request, type_probabilities
from deepchem_ead.generator.trained import TrainedGenerator
from deepchem_ead.training.noising import keyed_generator


class CleanEstimates:
    """Estimates ``x_hat`` of the clean molecule by a trained generator, at random noise levels.

    A model of properties that learned from molecules says nothing about the blurred ones a
    generator believes in at high noise. One that learned from estimates predicts the mean of the
    property over all molecules that may come of them.

    Parameters
    ----------
    name : str or Path
        The generator, as `EADModel.from_pretrained` takes it.
    elements : str
        Elements of the columns of types, comma separated: those of the generator, in any order.
    max_tau : float
        Largest noise-to-signal ratio (Angstrom). Levels are uniform up to there, one a molecule.
    seed : int
    precision : str
        Of the generator, as in `EADConfig`.
    device : torch.device or str, optional

    Raises
    ------
    ValueError
        If the elements are others than the generator's.
    """

    def __init__(
        self,
        name: str | Path,
        elements: str,
        max_tau: float,
        seed: int = 0,
        precision: str = "auto",
        device: torch.device | str | None = None,
    ) -> None:
        self.generator = TrainedGenerator.from_pretrained(name, device, precision)
        theirs, ours = [z for z, _ in self.generator.encoding.kinds], parse_elements(elements)
        if set(theirs) != set(ours):
            raise ValueError(
                f"estimates_of={name!s}: that model knows the elements "
                f"{self.generator.encoding.symbols}, this one {elements}; they must be the same"
            )
        self.columns, self.n_elements = [ours.index(element) for element in theirs], len(ours)
        tau = self.generator.model.process.schedule.tau
        #: The highest level.
        self.highest = int((tau <= max_tau).sum()) - 1
        self.seed = seed

    @torch.no_grad()
    def __call__(
        self, X: np.ndarray, ids: Sequence | None, step: int
    ) -> tuple[Tensor, Tensor, AtomLayout]:
        """Positions (A, 3), probabilities of types (A, E) and layout, molecules sorted by size.

        Molecules of equal size keep their order, as in `AtomEncoding.encode`. Noise depends on the
        seed and ``step`` only.
        """
        model, device = self.generator, self.generator.device
        encoding = model.encoding
        if encoding.has_bonds:  # which are not told here, nor are charges: the generator finds both
            X = np.pad(X[:, :, :4], ((0, 0), (0, 0), (0, WIDTHS[-1] - 4)))
        n_nodes = encoding.count_atoms(X, ids) if encoding.has_dummies else None
        encoded = encoding.encode(X, ids, n_nodes)
        layout, n = encoded.layout.to(device), len(X)
        draw = keyed_generator(self.seed, step)
        levels = torch.randint(self.highest + 1, (n,), generator=draw).to(device)
        eps = torch.randn(encoded.clean.shape, generator=draw).to(device)

        asked = Request(model, n, options=SamplingOptions(autoguidance_scale=0.0))
        process = asked.process(fixed_size=True)
        levels = layout.expand(levels)
        noise = process.draw_noise(eps, layout)
        x_hat = process.predict_clean(
            model.model.sampling_denoiser,
            process.add_noise(encoded.clean.to(device), levels, noise),
            levels,
            layout,
            asked.context(slice(None), fixed_size=True),
        )
        types = type_probabilities(channel(x_hat, "kinds"), self.columns, self.n_elements)
        return channel(x_hat, "positions").contiguous(), types, layout
