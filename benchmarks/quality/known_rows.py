"""What a generator makes of molecules half of whose atoms are given.

Usage: python -m benchmarks.known_rows [--n 50] [--model qm9]
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from deepchem_ead import EADModel, MoleculeBatch
from deepchem_ead.generation.job import GenerationSettings
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.request import Request
from deepchem_ead.molnet.sample import load_sample
from deepchem_ead.sampling import MoleculeNoise, Start, sample


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="qm9-1")
    parser.add_argument("--n", type=int, default=50)
    arguments = parser.parse_args()
    model = EADModel.from_pretrained(arguments.model, device="cpu")
    settings = GenerationSettings.resolve(
        model.config, SamplingOptions(seed=0, n_atoms="histogram")
    )
    table, _ = load_sample()
    X = table.to_padded(29)[-arguments.n :]
    request = Request(model, len(X))
    counts = model.encoding.count_atoms(X, None)
    encoded = model.encoding.encode(X, None, counts)
    layout, clean = encoded.layout, encoded.clean
    nearest = torch.cat([_half(x) for x in clean[:, :3].split(layout.counts.tolist())])
    for name, known in (("nothing", torch.zeros_like(nearest)), ("half of the atoms", nearest)):
        levels = torch.where(known, 0, model.config.timesteps)
        states = sample(
            request.process(True), model.model.sampling_denoiser, layout,
            model.encoding.n_features, settings.schedule, settings.stepper, settings.repeat_rule,
            MoleculeNoise(0, range(len(X)), layout.counts), settings.steps,
            context=request.context(slice(None), True), start=Start(clean, levels),
        ).states  # fmt: skip
        assert torch.equal(states[known], clean[known])
        numbers, positions = model.encoding.decode(states, layout, True)
        molecules = MoleculeBatch.from_arrays(numbers, positions, info={"sampled": True})
        valid = np.array([smiles is not None for smiles in molecules.smiles])
        share, n = valid.mean(), len(valid)
        print(f"{name} given: {share:.1%} +- {np.sqrt(share * (1 - share) / n):.1%} valid, n = {n}")


def _half(x: torch.Tensor) -> torch.Tensor:
    """The half of the atoms that is nearest to the first: a connected piece, nearly always."""
    order = (x - x[0]).norm(dim=1).argsort()
    given = torch.zeros(len(x), dtype=torch.bool)
    given[order[: len(x) // 2]] = True
    return given


if __name__ == "__main__":
    main()
