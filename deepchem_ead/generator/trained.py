"""What generation needs of a trained generator, and one read from files without DeepChem."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from deepchem_ead.generator import pretrained
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.generator.network import EADNetwork
from deepchem_ead.generator.warm_start import TrainedWeights


class Generator(Protocol):
    """A trained generator: an `EADModel`, or a `TrainedGenerator`.

    Attributes
    ----------
    config : EADConfig
    encoding : AtomEncoding
    model : EADNetwork
    weak_model : Generator or None
        A weak version of it, for autoguidance.
    device : torch.device
    """

    config: EADConfig
    encoding: AtomEncoding
    model: EADNetwork

    @property
    def weak_model(self) -> Generator | None: ...
    @property
    def device(self) -> torch.device: ...


@dataclass(eq=False)
class TrainedGenerator:
    """A generator for use, not for training: see `Generator`."""

    config: EADConfig
    encoding: AtomEncoding
    model: EADNetwork
    weak_model: TrainedGenerator | None = None

    @property
    def device(self) -> torch.device:
        return self.model.size_counts.device

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        device: torch.device | str | None = None,
        precision: str | None = None,
    ) -> TrainedGenerator:
        """Read trained weights.

        Parameters
        ----------
        name : str or Path
            As `EADModel.from_pretrained` takes it.
        device : torch.device or str, optional
            A GPU if there is one by default.
        precision : str, optional
            Arithmetic of the network; that of the configuration by default.

        Raises
        ------
        CheckpointError
            If there is no such model, or its files are damaged.
        """
        weights = TrainedWeights.from_pretrained(name)
        values = weights.config.to_dict()
        if precision is not None:
            values["precision"] = precision
        config = EADConfig.from_dict(values)
        encoding = AtomEncoding(config)
        with torch.random.fork_rng(devices=[]):  # its initial weights are nobody's business
            network = EADNetwork(config, encoding)
        weights.load_into(network, config)
        weights.load_counts_into(network)
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        found = cls(config, encoding, network.to(device).eval())
        weak = pretrained.find(name) / pretrained.WEAK
        if (weak / pretrained.CONFIG).is_file():
            found.weak_model = cls.from_pretrained(weak, device)
        return found
