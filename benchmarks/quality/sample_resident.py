"""Generate molecules where DeepChem and RDKit are missing, for scoring elsewhere.

    python -m benchmarks.sample_resident --model DIR/model --out FILE.npz [--n 10000]
        [--batch-size 2500] [--schedule adaptive] [--steps 1000] [--seed 0]

FILE holds X (M, width, 4), x, y, z in Angstrom and the atomic number, as `Molecule3DFeaturizer`
makes it; molecules without atoms are rows of zeros.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import torch

from benchmarks import torch_only

torch_only.prepare()

from deepchem_ead.diffusion import AtomLayout  # noqa: E402
from deepchem_ead.generation.sizes import finds_size  # noqa: E402
from deepchem_ead.generator import pretrained  # noqa: E402
from deepchem_ead.generator.checkpoint import without_prefix  # noqa: E402
from deepchem_ead.generator.encoding import AtomEncoding  # noqa: E402
from deepchem_ead.generator.network import EADNetwork  # noqa: E402
from deepchem_ead.sampling import MoleculeNoise, resolve_schedule, sample  # noqa: E402


class Generator:
    """A model that generates on a device, asked for no properties."""

    def __init__(self, folder: str, device: torch.device, precision: str | None = None) -> None:
        tensors, config = pretrained.load(folder)
        self.config = config if precision is None else replace(config, precision=precision)
        self.encoding = AtomEncoding(self.config)
        network = EADNetwork(self.config, self.encoding)
        network.average.module.load_state_dict(without_prefix("denoiser", tensors))
        if network.embedding is not None:
            network.embedding_average.module.load_state_dict(without_prefix("embedding", tensors))
        self.sizes = tensors["size_counts"].numpy()
        self.network, self.device = network.to(device).eval(), device
        self.process = network.sampling_process(
            self.config.closed_shell, fixed_size=not finds_size(self.config, None)
        )

    def generate(self, first: int, n: int, seed: int, schedule: str | None, steps: int) -> list:
        """Atomic numbers and positions of molecules ``first`` to ``first + n - 1``."""
        config = self.config
        free = finds_size(config, None)
        if free:
            sizes = np.full(n, config.max_atoms)
        else:
            random = np.random.default_rng([seed, first])
            sizes = np.sort(random.choice(len(self.sizes), n, p=self.sizes / self.sizes.sum()))
        layout = AtomLayout.from_counts(sizes, device=self.device)
        rule = resolve_schedule(schedule or config.sampling_schedule)
        if hasattr(rule, "interval"):
            rule = replace(rule, interval=config.interval)
        result = sample(
            self.process,
            self.network.sampling_denoiser,
            layout,
            self.encoding.n_features,
            rule,
            repeat_rule=config.repeat_rule,
            noise=MoleculeNoise(seed, range(first, first + n), sizes, device=self.device),
            steps=steps,
            context=self._context(n, not free),
        )
        decoded = self.encoding.decode(result.states.cpu(), layout.to("cpu"), not free)
        return list(zip(*decoded, strict=True))

    def _context(self, n: int, fixed_size: bool) -> torch.Tensor | None:
        n_conditions = len(self.config.condition_names)
        return self.network.context(
            torch.full((n,), fixed_size, device=self.device),
            torch.full((n, n_conditions), torch.nan, dtype=torch.float64, device=self.device),
        )


def padded(molecules: list[tuple]) -> np.ndarray:
    """Molecules as X (M, width, 4)."""
    X = np.zeros((len(molecules), max(len(z) for z, _ in molecules), 4), np.float32)
    for row, (numbers, positions) in zip(X, molecules, strict=True):
        row[: len(numbers), :3], row[: len(numbers), 3] = positions, numbers
    return X


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder with model.safetensors")
    parser.add_argument("--out", required=True)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--batch-size", type=int, default=2_500)
    parser.add_argument("--schedule", help="the configuration's by default")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=["fp32", "bf16"])
    parser.add_argument("--tf32", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    if arguments.tf32:
        torch.set_float32_matmul_precision("high")
    generator = Generator(arguments.model, torch.device(arguments.device), arguments.precision)
    molecules: list[tuple] = []
    for first in range(0, arguments.n, arguments.batch_size):
        began = time.perf_counter()
        n = min(arguments.batch_size, arguments.n - first)
        molecules += generator.generate(
            first, n, arguments.seed, arguments.schedule, arguments.steps
        )
        np.savez_compressed(arguments.out, X=padded(molecules))  # what there is survives a stop
        print(f"{len(molecules):,} molecules, {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
