"""Several recipes side by side, at equal processor time or equal steps: errors by noise level.

    OMP_NUM_THREADS=1 python -m benchmarks.side_by_side "denoiser=egnn" "denoiser=attention" \
        --seconds 25 --set n_layers=4 n_features=64 [--steps 300] [--seeds 0 1 2]

Each recipe is a list of options, separated by spaces, beside those that all have in common. One
process trains all of them in turns on the second half of EDM's training part of QM9, at a constant
rate, and measures what `benchmarks.recipe` does; besides that the denoising loss of the validation
molecules as they are trained on (dummy atoms, levels of their own), which compares only between
recipes that predict the same, and for a network that is not equivariant what a rotation changes.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from benchmarks.recipe import LEVELS, errors_by_level
from deepchem_ead import EADModel, load_qm9_3d
from deepchem_ead.commands.options import parse_option
from deepchem_ead.diffusion import Outputs, Seen, turn_at_random
from deepchem_ead.molnet.splits import edm_halves
from deepchem_ead.testing import equivariance_error

COMMON = {"learning_rate_decay": "none", "ema_decay": 0.99, "precision": "fp32"}


def train(options: dict, dataset, seconds: float | None, steps: int | None) -> EADModel:
    """A model trained for so many seconds of the processor, or steps."""
    model = EADModel(**{**COMMON, **options})
    limit = float("inf") if seconds is None else time.process_time() + seconds

    def stop(model: EADModel, step: int) -> None:
        if step == steps or time.process_time() >= limit:
            model.stop_training()

    model.fit(dataset, nb_epoch=1000, checkpoint_interval=0, callbacks=stop)
    return model


@torch.no_grad()
def rotation_errors(model: EADModel, X: np.ndarray) -> dict[int, tuple[float, float]]:
    """What turning the molecules at random changes in what is said about positions, by level.

    Root mean square, as a share of that of the output itself; and the largest difference, relative
    to the largest output (`equivariance_error`).
    """
    encoding, network, process = model.encoding, model.model.eval(), model.model.process
    encoded = encoding.encode(X, n_nodes=encoding.count_atoms(X))
    layout, clean, denoiser = encoded.layout, encoded.clean, network.sampling_denoiser
    generator, errors, asked = torch.Generator().manual_seed(0), {}, []

    def listening(seen: Seen) -> Outputs:
        asked.append(seen)
        return denoiser(seen)

    for level in LEVELS:
        levels = torch.full((layout.n_nodes,), level)
        noise = process.draw_noise(torch.randn(clean.shape, generator=generator), layout)
        process.predict_noise(listening, process.add_noise(clean, levels, noise), levels, layout)
        seen = asked.pop()
        x, expected = (
            turn_at_random(vectors, layout, torch.Generator().manual_seed(1))
            for vectors in (seen.x, denoiser(seen).dx)
        )
        missed = denoiser(seen.replace(x=x)).dx - expected
        largest = equivariance_error(denoiser, seen.x, seen.h, layout)["rotation"]["displacements"]
        errors[level] = float(missed.norm() / expected.norm()), largest
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="+", metavar='"OPTION=VALUE ..."')
    limits = parser.add_mutually_exclusive_group(required=True)
    limits.add_argument("--seconds", type=float, help="of the processor, for each")
    limits.add_argument("--steps", type=int, help="for each")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--molecules", type=int, default=200, help="validation molecules")
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    arguments = parser.parse_args()
    common = {"preset": "qm9-small"} | dict(map(parse_option, arguments.set))
    _, (training, valid, _), _ = load_qm9_3d()
    half = training.select(np.sort(edm_halves(len(training))[1]))
    # At random, for parts of QM9 begin with the smallest molecules.
    rows = np.random.default_rng(0).choice(len(valid), arguments.molecules, replace=False)
    measured = valid.select(np.sort(rows))
    title = ["recipe", "parameters", "steps", "ms a step", "loss", *map(str, LEVELS)]
    print("| " + " | ".join(title) + " |\n" + "|---" * len(title) + "|", flush=True)
    for seed in arguments.seeds:
        for recipe in arguments.recipes:
            options = common | dict(map(parse_option, recipe.split())) | {"seed": seed}
            began = time.process_time()
            model = train(options, half, arguments.seconds, arguments.steps)
            steps, seconds = model.get_global_step(), time.process_time() - began
            size = sum(p.numel() for p in model.model.denoiser.parameters())
            loss = model.evaluate(measured, "denoising_loss")["denoising_loss"]
            cells = [f"{recipe}, seed {seed}", f"{size:,}", f"{steps:,}"]
            cells += [f"{1e3 * seconds / steps:.0f}", f"{loss:.4f}"]
            found = errors_by_level(model, measured.X)
            cells += [f"{error:.3f} / {100 * right:.1f}" for error, right in found]
            print("| " + " | ".join(cells) + " |", flush=True)
            if not model.model.denoiser.equivariant:
                errors = rotation_errors(model, measured.X)
                cells = [f"{share:.3f} (largest {most:.3f})" for share, most in errors.values()]
                print(
                    "| - what a rotation changes | | | | | " + " | ".join(cells) + " |", flush=True
                )


if __name__ == "__main__":
    main()
