"""Train a model with everything on the device; needs no DeepChem and no RDKit.

    python -m benchmarks.train_resident --data FILE --out DIR --minutes 20 [--pause-after 9]
        [--preset paper-qm9 | FILE.yaml] [--set batch_size=256 learning_rate=5e-4 ...]

FILE is what `benchmarks.pack_qm9` wrote. DIR receives checkpoints, ``curve.csv`` and, in
``model/``, the weights for `EADModel.from_pretrained`. Called again with the same arguments it
continues where it stopped; ``--minutes`` is the time of the whole run, over all calls. The learning
rate falls with the time, so a run planned for 20 minutes is finished after 20 minutes.
"""

from __future__ import annotations

import argparse
import csv
import logging
import time
from pathlib import Path

import torch
import yaml

from benchmarks import torch_only

torch_only.prepare()

from benchmarks.pack_qm9 import unpack  # noqa: E402
from deepchem_ead.generator.config import EADConfig  # noqa: E402
from deepchem_ead.kernels import pair_torch  # noqa: E402
from deepchem_ead.training.curve import COLUMNS, read_curve  # noqa: E402
from deepchem_ead.training.resident import ResidentTrainer  # noqa: E402


class Report:
    """Prints a line now and then, and keeps every block's mean loss in a CSV file."""

    def __init__(self, path: Path, batch_size: int, step: int, every: float) -> None:
        rows = read_curve(path) if path.exists() else []
        self.path, self.batch_size, self.every = path, batch_size, every
        self._shown, self._before, self._losses = time.perf_counter(), None, []
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(row for row in rows if row["step"] <= step)

    def __call__(self, block: dict) -> None:
        with open(self.path, "a", newline="") as file:
            csv.writer(file).writerow(
                [
                    block["step"],
                    f"{block['epoch']:.3f}",
                    f"{block['seconds']:.1f}",
                    f"{block['loss']:.5f}",
                ]
            )
        self._losses.append(block["loss"])
        now = time.perf_counter()
        if self._before is not None and now - self._shown < self.every:
            return
        loss = sum(self._losses) / len(self._losses)
        line = f"step {block['step']:,}  epoch {block['epoch']:.2f}  {block['seconds']:.0f} s"
        line += f"  loss {loss:.4f}"
        if self._before is not None:
            seconds = block["seconds"] - self._before["seconds"]
            steps = block["step"] - self._before["step"]
            line += f"  {steps * self.batch_size / seconds:,.0f} molecules/s"
        print(line, flush=True)
        self._shown, self._before, self._losses = now, block, []


def settings(words: list[str]) -> dict:
    """``["n_layers=4"]`` as ``{"n_layers": 4}``."""
    pairs = [word.split("=", 1) for word in words]
    # YAML reads 5e-4 as text.
    values = [(name, yaml.safe_load(text)) for name, text in pairs]
    return {name: _number(value) for name, value in values}


def _number(value):
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="file written by benchmarks.pack_qm9")
    parser.add_argument("--out", required=True, help="folder of the run")
    parser.add_argument("--preset", default="paper-qm9", help="preset or YAML file")
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    parser.add_argument("--minutes", type=float, help="time of the whole run")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--pause-after", type=float, metavar="MINUTES", help="of this call")
    parser.add_argument("--checkpoint-minutes", type=float, default=2.0)
    parser.add_argument("--device")
    parser.add_argument("--no-graph", action="store_true", help="without a CUDA graph")
    parser.add_argument("--tf32", action="store_true", help="tf32 in products of float32 matrices")
    parser.add_argument(
        "--compile-pairs", action="store_true", help="torch.compile the attention denoiser's pairs"
    )
    parser.add_argument("--block-steps", type=int, default=50)
    parser.add_argument("--show-seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if arguments.tf32:
        torch.set_float32_matmul_precision("high")
    if arguments.compile_pairs:
        pair_torch._dense_attention = torch.compile(pair_torch._dense_attention)

    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    config = EADConfig.load(arguments.preset, **settings(arguments.set))
    began = time.perf_counter()
    X, properties = unpack(arguments.data)
    trainer = ResidentTrainer(
        X,
        config,
        out,
        arguments.device,
        graph=not arguments.no_graph,
        block_steps=arguments.block_steps,
        properties=properties,
    )
    continued = trainer.restore()
    name = torch.cuda.get_device_name() if trainer.device.type == "cuda" else "CPU"
    print(
        f"{trainer.molecules.n_molecules:,} molecules, {trainer.molecules.steps_per_epoch} steps "
        f"of {config.batch_size} an epoch, on {name}; ready after "
        f"{time.perf_counter() - began:.1f} s; "
        + (f"continuing from step {trainer.global_step:,}" if continued else "a new run"),
        flush=True,
    )
    report = Report(
        out / "curve.csv", config.batch_size, trainer.global_step, arguments.show_seconds
    )
    loss = trainer.fit(
        arguments.epochs,
        arguments.minutes,
        arguments.pause_after,
        arguments.checkpoint_minutes,
        report,
    )
    trainer.save_pretrained(out / "model")
    print(
        f"step {trainer.global_step:,}, epoch "
        f"{trainer.global_step / trainer.molecules.steps_per_epoch:.2f}, "
        f"{trainer.elapsed:.0f} s, loss {loss:.4f}: {out / 'model'}"
    )


if __name__ == "__main__":
    main()
