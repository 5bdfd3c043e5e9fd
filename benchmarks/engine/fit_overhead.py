"""What ``fit`` costs beyond the network: a bare training loop and ``EADModel.fit`` in turns.

``python -m benchmarks.fit_overhead`` trains the qm9-small network on real QM9 molecules both ways,
alternating in one process, and prints milliseconds a step and the ratio. The bare loop gets its
batches encoded and noised beforehand and does nothing but forward, loss, backward and AdamW.
"""

from __future__ import annotations

import argparse
import time

import deepchem as dc
import numpy as np

from deepchem_ead import EADModel
from deepchem_ead.molnet.sample import load_sample
from deepchem_ead.training.batches import ShuffledBatches
from deepchem_ead.training.optimizer import default_optimizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, help="steps per measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    arguments = parser.parse_args()

    table, _ = load_sample()
    rows = 64 * arguments.steps
    X = np.resize(table.to_padded(29), (rows, 29, 4))
    dataset = dc.data.NumpyDataset(X, np.zeros((rows, 1)), np.ones((rows, 1)))
    model = EADModel("qm9-small", precision=arguments.precision, learning_rate_decay="none")
    model._ensure_built()
    batches = [
        model._prepare_batch(([batch.X], [batch.y], [batch.w]))
        for batch in ShuffledBatches(dataset, 64, seed=0).epoch(0)
    ]
    optimizer = default_optimizer(1e-3, 1e-12)._create_pytorch_optimizer(
        model.model.denoiser.parameters()
    )

    def bare() -> None:
        model.model.train()
        for inputs, _, (weight,) in batches:
            optimizer.zero_grad()
            loss = model.model(inputs)
            ((loss * weight).sum() / weight.sum()).backward()
            optimizer.step()

    def fit() -> None:
        model.fit(dataset, nb_epoch=1, checkpoint_interval=0)

    times: dict[str, list[float]] = {"bare loop": [], "fit": []}
    for _ in range(arguments.rounds):
        for name, work in (("bare loop", bare), ("fit", fit)):
            began = time.perf_counter()
            work()
            times[name].append((time.perf_counter() - began) / arguments.steps)
    best = {name: min(values) for name, values in times.items()}
    for name, seconds in best.items():
        print(f"{name:10s} {1e3 * seconds:8.1f} ms a step (minimum of {arguments.rounds})")
    print(f"fit costs {100 * (best['fit'] / best['bare loop'] - 1):.1f} % over the bare loop")


if __name__ == "__main__":
    main()
