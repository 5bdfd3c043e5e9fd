r"""Do reverse transition kernels keep the bounds of their theory? Measured on a network.

    python -m benchmarks.rtk_bounds MODEL --out FOLDER [--n 8] [--levels 50 100 ... 1000]

Where ``log p_s`` has a Hessian within ``-1 / tau_s^2`` and ``1 / tau_s^2``, the kernel of a step
with ``tau_s^2 / tau_t^2 = r`` has curvatures ``1 - (1 - r) lambda`` between ``2 r - 1`` and 1, in
units of ``1 / v^2``: at least 1/3 at ``r = 2/3`` (see `deepchem_ead.sampling.rtk`). Here lambda are
the eigenvalues of the Jacobian of the denoiser by the state, which is the covariance of the clean
data given the noisy ones over ``tau_s^2`` (Tweedie's formula), and the bounds are ``0 <= lambda <=
2``. They are computed in full, of the symmetric part, for molecules of QM9's test part noised to
each level. Draws ``rtk_bounds.png`` and prints a Markdown table; ``rtk_bounds.json`` keeps levels
that are finished.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib
import numpy as np
import torch

from benchmarks.from_level import real_molecules
from benchmarks.tables import markdown
from deepchem_ead import EADModel, MoleculeBatch
from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.diffusion import AtomLayout, Denoiser, DiffusionProcess
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.request import Request
from deepchem_ead.sampling.grids import KERNEL_RATIO, resolve_grid

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

LEVELS = (25, 50, 100, 150, 200, 250, 300, 350, 400, 500, 700, 1000)
#: Ratio of variances of the largest step that the theory allows.
RATIO = KERNEL_RATIO**-2
GRIDS = {"as large as the theory allows": None, "100 even steps": 100, "25 even steps": 25}


def jacobian(
    process: DiffusionProcess,
    denoiser: Denoiser,
    w: torch.Tensor,
    level: float,
    context: torch.Tensor | None = None,
) -> torch.Tensor:
    """Of the estimate of a molecule by its state ``w`` (A, D), all atoms at one level: (AD, AD).

    Each row is the gradient of a copy of the molecule.
    """
    n_atoms, n_columns = w.shape
    size = w.numel()
    copies = w.detach().repeat(size, 1).requires_grad_()
    layout = AtomLayout.from_counts([n_atoms] * size)
    levels = torch.full((len(copies),), float(level), dtype=torch.float64)
    told = None if context is None else context.expand(size, -1)
    with torch.enable_grad():
        estimate = process.predict_clean(denoiser, copies, levels, layout, told)
        chosen = estimate.reshape(size, size).diagonal().sum()
        (rows,) = torch.autograd.grad(chosen, copies)
    return rows.reshape(size, size)


def spectrum(matrix: torch.Tensor) -> tuple[np.ndarray, float]:
    """Eigenvalues of the symmetric part, and the norm of the rest as a share of the whole."""
    matrix = matrix.double()
    odd = (matrix - matrix.T) / 2
    found = torch.linalg.eigvalsh(matrix - odd)
    return found.numpy(), float(odd.norm() / matrix.norm())


def measure(model: EADModel, molecules: MoleculeBatch, level: int) -> dict[str, list[float]]:
    """Smallest and largest eigenvalue, and what is not symmetric, of each molecule."""
    request = Request(model, 1, options=SamplingOptions(closed_shell=False))
    process = request.process(fixed_size=True)
    context = request.context(slice(0, 1), fixed_size=True)
    tau = float(process.schedule.tau_at(torch.tensor([float(level)], dtype=torch.float64)))
    found: dict[str, list[float]] = {"smallest": [], "largest": [], "asymmetry": []}
    for k in range(len(molecules)):
        numbers, positions = molecules.atoms(k)
        kinds = model.encoding.table[model.encoding.types_of(numbers, np.zeros_like(numbers))]
        clean = torch.cat([torch.from_numpy(positions - positions.mean(0)).float(), kinds], 1)
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(k))
        w = (clean + tau * noise).float()
        values, odd = spectrum(jacobian(process, model.model.sampling_denoiser, w, level, context))
        found["smallest"].append(float(values[0]))
        found["largest"].append(float(values[-1]))
        found["asymmetry"].append(odd)
    return found


def ratios(model: EADModel, levels: np.ndarray, steps: int | None) -> np.ndarray:
    """``tau_s^2 / tau_t^2`` of the step of a grid that leads to each level, or near it.

    NaN above the levels that a step leads to.
    """
    if steps is None:
        return np.full(len(levels), RATIO)
    schedule = model.config.make_noise_schedule()
    grid = resolve_grid(steps, schedule)
    tau = schedule.tau_at(grid).numpy()
    return np.interp(levels, grid[:-1].numpy(), (tau[:-1] / tau[1:]) ** 2, right=np.nan)


def draw(model: EADModel, found: dict[int, dict[str, list[float]]], path: Path) -> None:
    """Eigenvalues beside their bounds, and the smallest curvature of kernels of several grids."""
    levels = np.array(sorted(found))
    low, high = (np.array([found[t][name] for t in levels]) for name in ("smallest", "largest"))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    left.axhspan(0, 2, color="tab:green", alpha=0.12, label="bounds of the theory")
    for values, name in ((high, "largest"), (low, "smallest")):
        (line,) = left.plot(levels, np.median(values, 1), marker="o", ms=3, label=f"{name}, median")
        left.fill_between(levels, values.min(1), values.max(1), color=line.get_color(), alpha=0.2)
    left.set(xlabel="level", ylabel="eigenvalue of the denoiser's Jacobian", yscale="symlog")
    left.set_yticks([-1, 0, 1, 2, 5, 10], ["-1", "0", "1", "2", "5", "10"])
    left.legend(fontsize=7)
    for name, steps in GRIDS.items():
        curvature = 1 - (1 - ratios(model, levels, steps))[:, None] * high
        (line,) = right.plot(levels, np.median(curvature, 1), marker="o", ms=3, label=name)
        right.fill_between(
            levels, curvature.min(1), curvature.max(1), color=line.get_color(), alpha=0.2
        )
    right.axhline(1 / 3, color="grey", ls="--", lw=1, label="1/3, which the theory needs")
    right.axhline(0, color="black", lw=0.8)
    right.set(xlabel="level after the step", ylabel="smallest curvature of the kernel, 1 / v²")
    right.legend(fontsize=7)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def table(model: EADModel, found: dict[int, dict[str, list[float]]]) -> str:
    """Markdown: medians and extremes by level."""
    head = ["level", "smallest eigenvalue", "largest eigenvalue", "not symmetric",
            *(f"{name}: log-concave, as much as the theory says" for name in GRIDS)]  # fmt: skip
    body = []
    for level in sorted(found):
        row, cells = found[level], [str(level)]
        for name in ("smallest", "largest"):
            values = np.array(row[name])
            cells.append(f"{np.median(values):.2f} ({values.min():.2f} to {values.max():.2f})")
        cells.append(f"{100 * np.median(row['asymmetry']):.0f} %")
        for steps in GRIDS.values():
            curvature = 1 - (1 - ratios(model, np.array([level]), steps)) * np.array(row["largest"])
            shares = f"{np.mean(curvature > 0):.0%}, {np.mean(curvature >= 1 / 3):.0%}"
            cells.append(shares if np.isfinite(curvature).all() else "-")
        body.append(cells)
    return markdown(head, body)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="folder of a model, or the name of one that is shipped")
    parser.add_argument("--out", type=Path, default=Path("runs/rtk-bounds"))
    parser.add_argument("--n", type=int, default=8, help="molecules of a level")
    parser.add_argument("--levels", type=int, nargs="+", default=list(LEVELS))
    arguments = parser.parse_args()
    model = EADModel.from_pretrained(arguments.model)
    molecules = real_molecules(arguments.n)
    arguments.out.mkdir(parents=True, exist_ok=True)
    kept = arguments.out / "rtk_bounds.json"
    records = json.loads(kept.read_text()) if kept.exists() else {}
    for level in arguments.levels:
        if len(records.get(str(level), {}).get("largest", ())) != arguments.n:
            records[str(level)] = measure(model, molecules, level)
            with atomic_path(kept) as temporary:
                temporary.write_text(json.dumps(records))
    found = {level: records[str(level)] for level in arguments.levels}
    draw(model, found, arguments.out / "rtk_bounds.png")
    text = table(model, found)
    (arguments.out / "rtk_bounds.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
