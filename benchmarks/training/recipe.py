"""What a change of the recipe is worth: a few minutes of training, then errors by noise level.

    OMP_NUM_THREADS=1 python -m benchmarks.recipe --minutes 4 | --steps 1468 [--preset qm9]
        [--precision bf16] [--set feature_target=noise batch_size=64 ...] [--out FOLDER]
    python -m benchmarks.recipe --model FOLDER        # only measures

Trains on the second half of EDM's training part of QM9 and measures, on 1,000 validation molecules
drawn at random (the same for every recipe, with the same noise) at their own size, at synchronous
levels: the squared error of the noise of the positions per coordinate, and the share of atoms whose
type the estimate of the clean molecule has right. Both mean the same whatever the network predicts,
so that recipes can be compared; losses cannot.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from deepchem_ead import EADModel, load_qm9_3d
from deepchem_ead.commands.options import parse_option
from deepchem_ead.diffusion import forward_step
from deepchem_ead.molnet.splits import edm_halves

#: A step of 250.
AHEAD = 4
N_MOLECULES = 1000
LEVELS = (10, 25, 50, 100, 150, 200, 300, 400, 500, 650, 800, 950)


@torch.no_grad()
def errors_by_level(
    model: EADModel, X: np.ndarray, told: bool = False
) -> list[tuple[float, float]]:
    """Error of the positions' noise and share of right types at each of `LEVELS`.

    ``told``: with the estimate from `AHEAD` levels further up as the previous one.
    """
    encoding, network, process = model.encoding, model.model.eval(), model.model.process
    encoded = encoding.encode(X, n_nodes=encoding.count_atoms(X))
    clean, layout, table = encoded.clean, encoded.layout, encoding.table
    n = layout.n_molecules
    unknown = torch.full((n, len(model.config.condition_names)), torch.nan, dtype=torch.float64)
    context = network.context(torch.ones(n, dtype=torch.bool), unknown)
    # Two, so that the noise of a level is the same in every table.
    generator, more = (torch.Generator().manual_seed(seed) for seed in (0, 1))
    found = []
    for level in LEVELS:
        levels = torch.full((layout.n_nodes,), level)
        tau = process.schedule.tau_at(levels)
        noise = process.draw_noise(torch.randn(clean.shape, generator=generator), layout)
        w = process.add_noise(clean, levels, noise)
        rest = (layout, context)
        if told:
            further = process.schedule.tau_at(levels + AHEAD)
            extra = process.draw_noise(torch.randn(clean.shape, generator=more), layout)
            noisier = forward_step(w, tau, further, extra)
            denoiser = network.sampling_denoiser
            rest += (process.predict_clean(denoiser, noisier, levels + AHEAD, *rest),)
        eps = process.predict_noise(network.sampling_denoiser, w, levels, *rest)
        missed = eps[:, :3] - process.frame.project(noise[:, :3], tau, layout)
        features = (w - tau.float().unsqueeze(1) * eps)[:, 3:]
        types = [torch.cdist(f, table).argmin(1) for f in (features, clean[:, 3:])]
        right = (types[0] == types[1]).float().mean()
        found.append((float(missed.square().mean()), float(right)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="measure this trained model")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--steps", type=int, help="instead of minutes")
    parser.add_argument("--preset", default="qm9")
    parser.add_argument("--precision", default="bf16", choices=["fp32", "bf16"])
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    parser.add_argument("--out", help="keep the trained model in this folder")
    arguments = parser.parse_args()
    if arguments.model:
        model = EADModel.from_pretrained(arguments.model, precision=arguments.precision)
    else:
        changes = {"precision": arguments.precision} | dict(map(parse_option, arguments.set))
        model = EADModel(preset=arguments.preset, **changes)
    _, (train, valid, _), _ = load_qm9_3d(bonds=model.config.bonds)
    # At random, for parts of QM9 begin with the smallest molecules.
    chosen = np.random.default_rng(0).choice(len(valid), N_MOLECULES, replace=False)
    X = valid.X[np.sort(chosen)]
    if not arguments.model:
        began = time.perf_counter()
        half = train.select(np.sort(edm_halves(len(train))[1]))
        if arguments.steps:
            n_molecules = arguments.steps * model.batch_size
            epochs = -(-n_molecules // len(half))
            part = np.random.default_rng(0).permutation(len(half))[: n_molecules // epochs]
            model.fit(half.select(np.sort(part)), nb_epoch=epochs, checkpoint_interval=0)
        else:
            model.fit(half, nb_epoch=1000, minutes=arguments.minutes, checkpoint_interval=0)
        steps, seconds = model.get_global_step(), time.perf_counter() - began
        print(f"{steps:,} steps of {model.batch_size}, {seconds / steps:.3f} s each")
    print("| level | " + " | ".join(map(str, LEVELS)) + " |")
    print("|---" * (len(LEVELS) + 1) + "|")
    for told in (False, True)[: 1 + model.config.self_conditioning]:
        found = errors_by_level(model, X, told)
        cells = [f"{error:.3f} / {100 * right:.1f}" for error, right in found]
        title = "told an estimate" if told else "positions / types right, %"
        print(f"| {title} | " + " | ".join(cells) + " |")
    if arguments.out:
        model.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()
