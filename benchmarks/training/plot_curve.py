"""Draw a training curve: ``python -m benchmarks.plot_curve runs/qm9/curve.csv curve.png``."""

from __future__ import annotations

import argparse

import matplotlib

from deepchem_ead.training.curve import read_curve

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curve")
    parser.add_argument("picture")
    arguments = parser.parse_args()
    rows = read_curve(arguments.curve)
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    axes.plot([r["seconds"] / 60 for r in rows], [r["loss"] for r in rows], lw=1.2)
    axes.set(
        xlabel="minutes of training",
        ylabel="denoising loss per degree of freedom",
        yscale="log",
    )
    axes.set_yticks([0.1, 0.2, 0.3, 0.5], ["0.1", "0.2", "0.3", "0.5"])
    axes.set_yticks([], minor=True)
    axes.grid(alpha=0.3)
    last = rows[-1]
    axes.set_title(f"{last['step']:,} steps, {last['epoch']:.1f} epochs", fontsize=10)
    figure.savefig(arguments.picture, dpi=150)


if __name__ == "__main__":
    main()
