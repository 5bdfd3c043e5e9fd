"""The same short training run in fp32 and bf16: loss curves and samples side by side.

    python -m benchmarks.precision --out FOLDER [--preset qm9-small] [--set n_features=64 ...]
        [--steps 1500] [--n 1000]

Both runs have the same initial weights, batches and noise; each samples in its own precision with
the same initial noise and sizes, and the fp32 weights are sampled in bf16 as well. Parts that are
in the folder already are kept. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from deepchem_ead import EADModel, MoleculeBatch, evaluate_molecules
from deepchem_ead.commands.jobs.datasets import training_data
from deepchem_ead.commands.options import parse_option

PRECISIONS = ("fp32", "bf16")


def train(folder: Path, options: dict, precision: str, n_steps: int, data) -> None:
    """Train ``n_steps`` steps; the model's folder appears last."""
    model = EADModel(precision=precision, **options)
    n = n_steps * model.batch_size
    epochs, losses, began = -(-n // len(data)), [], time.perf_counter()
    if epochs == 1:
        # So that the rate has fallen to zero at the last step; data begin with small molecules.
        data = data.select(np.sort(np.random.default_rng(0).permutation(len(data))[:n]))
    model.fit(
        data,
        nb_epoch=epochs,
        callbacks=lambda model, step: losses.append(model.last_loss),
        checkpoint_interval=0,
    )
    record = {"losses": losses, "seconds": time.perf_counter() - began}
    (folder / f"{precision}.json").write_text(json.dumps(record))
    model.save_pretrained(folder / precision)


def curves(folder: Path, n_rows: int = 10) -> str:
    """Markdown: mean losses of equal parts of the runs, and the spread of their difference."""
    runs = [json.loads((folder / f"{name}.json").read_text()) for name in PRECISIONS]
    losses = np.array([run["losses"] for run in runs])
    lines = ["| steps | fp32 | bf16 | difference |", "|---|---|---|---|"]
    for part in np.array_split(np.arange(losses.shape[1]), n_rows):
        exact, rounded = losses[:, part]
        difference = rounded - exact
        error = difference.std(ddof=1) / len(part) ** 0.5
        lines.append(
            f"| {part[0]:,} - {part[-1] + 1:,} | {exact.mean():.4f} | {rounded.mean():.4f} | "
            f"{difference.mean():+.4f} ± {error:.4f} |"
        )
    seconds = " | ".join(f"{run['seconds']:.0f} s" for run in runs)
    return "\n".join([*lines, f"| all | {seconds} | |"])


def samples(folder: Path, n: int, steps: int) -> str:
    """Markdown: metrics of molecules of either run, generating those that are missing."""
    lines = [
        "| trained in | sampled in | n | atom | molecule | valid | connected |",
        "|---|---|---|---|---|---|---|",
    ]
    for trained, sampled in (("fp32", "fp32"), ("bf16", "bf16"), ("fp32", "bf16")):
        path = folder / f"{trained}-in-{sampled}.xyz"
        if not path.exists():
            model = EADModel.from_pretrained(folder / trained, precision=sampled)
            model.generate(
                n, schedule="synchronous", n_atoms="histogram", steps=steps, seed=0
            ).to_xyz(path)
        report = evaluate_molecules(MoleculeBatch.read(path))
        shares = [report.atom_stability, report.molecule_stability, report.validity]
        cells = " | ".join(f"{100 * share:.1f}" for share in [*shares, report.connected])
        lines.append(f"| {trained} | {sampled} | {report.n_molecules:,} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", default="qm9-small")
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    parser.add_argument("--steps", type=int, default=1500, help="of training")
    parser.add_argument("--n", type=int, default=1000, help="molecules")
    parser.add_argument("--levels", type=int, default=250, help="steps of sampling")
    arguments = parser.parse_args()
    folder = arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    data = None
    for precision in PRECISIONS:
        if not (folder / precision).exists():
            data = training_data("qm9") if data is None else data
            options = {"preset": arguments.preset} | dict(map(parse_option, arguments.set))
            train(folder, options, precision, arguments.steps, data)
    text = f"{curves(folder)}\n\n{samples(folder, arguments.n, arguments.levels)}"
    (folder / "table.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
