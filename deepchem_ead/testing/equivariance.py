"""How far a denoiser is from respecting the symmetries of molecules."""

from __future__ import annotations

import torch
from torch import Tensor

from deepchem_ead.diffusion import AtomLayout, Denoiser, Outputs, Seen

SYMMETRIES = ("rotation", "reflection", "translation", "permutation")


@torch.no_grad()
def equivariance_error(
    denoiser: Denoiser, x: Tensor, h: Tensor, layout: AtomLayout, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Largest difference that each symmetry makes, relative to the largest output (at least 1).

    Every molecule is rotated, reflected, shifted and has its atoms permuted by transformations of
    its own: displacements should turn with it, features should stay, and both should follow the
    atoms. What is said about pairs should stay and follow the pairs.

    Parameters
    ----------
    denoiser : callable
        ``denoiser(seen) -> Outputs``.
    x, h : Tensor, (A, 3) and (A, F)
        Coordinates and invariant features, e.g. of real molecules at mixed noise levels.
    layout : AtomLayout
        Which atoms form a molecule.
    seed : int
        Of the random transformations.

    Returns
    -------
    dict
        For each of `SYMMETRIES` the errors of "displacements", "features" and, where the denoiser
        says something about pairs, "pairs".
    """
    generator = torch.Generator().manual_seed(seed)
    n = layout.n_molecules
    random = torch.randn(n, 3, 3, generator=generator, dtype=torch.float64)
    orthogonal = torch.linalg.qr(random)[0]
    sign = torch.linalg.det(orthogonal).sign()
    rotation = orthogonal * sign.view(n, 1, 1)
    shift = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    permutation = torch.cat(
        [
            start + torch.randperm(count, generator=generator)
            for start, count in zip(layout.starts.tolist(), layout.counts.tolist(), strict=True)
        ]
    )

    def turn(matrices: Tensor, vectors: Tensor) -> Tensor:
        matrices = layout.expand(matrices.to(vectors))
        return torch.einsum("aij,aj->ai", matrices, vectors)

    still = _named(denoiser(Seen(x, h, layout)))
    moved = {name: value[permutation] for name, value in still.items() if name != "pairs"}
    if "pairs" in still:
        i, j = (permutation[atoms] for atoms in layout.pairs)
        moved["pairs"] = still["pairs"][places_of_pairs(i, j, layout)]

    def turned(matrices: Tensor) -> dict[str, Tensor]:
        return still | {"displacements": turn(matrices, still["displacements"])}

    cases = {
        "rotation": (turn(rotation, x), h, turned(rotation)),
        "reflection": (turn(-rotation, x), h, turned(-rotation)),
        "translation": (x + layout.expand(shift.to(x)), h, still),
        "permutation": (x[permutation], h[permutation], moved),
    }
    errors = {}
    for name, (x_in, h_in, expected) in cases.items():
        found = _named(denoiser(Seen(x_in, h_in, layout)))
        errors[name] = {what: _relative(value, expected[what]) for what, value in found.items()}
    return errors


def _named(out: Outputs) -> dict[str, Tensor]:
    dx, h_out = out  # a formula may answer with a plain tuple
    pairs = getattr(out, "pairs", None)
    named = {"displacements": dx, "features": h_out}
    return named if pairs is None else named | {"pairs": pairs}


def places_of_pairs(i: Tensor, j: Tensor, layout: AtomLayout) -> Tensor:
    """Where the pairs of nodes i and j (any number of them) stand in `AtomLayout.pairs`."""
    first, second = layout.pairs
    names, order = (first * layout.n_nodes + second).sort()
    return order[torch.searchsorted(names, i * layout.n_nodes + j)]


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max()) / max(1.0, float(expected.abs().max()))


def assert_equivariant(
    denoiser: Denoiser,
    x: Tensor,
    h: Tensor,
    layout: AtomLayout,
    tolerance: float | None = None,
    seed: int = 0,
    symmetries: tuple[str, ...] = SYMMETRIES,
) -> None:
    """Check that a denoiser respects the symmetries of molecules (see `equivariance_error`).

    Parameters
    ----------
    denoiser, x, h, layout, seed
        As there.
    tolerance : float, optional
        Largest error allowed; default 1e-5 in single and 1e-10 in double precision.
    symmetries : tuple of str
        Those to check.

    Raises
    ------
    AssertionError
        Naming the symmetry that is broken, the difference and the tolerance.
    """
    if tolerance is None:
        tolerance = 1e-10 if x.dtype == torch.float64 else 1e-5
    errors = equivariance_error(denoiser, x, h, layout, seed)
    for name in symmetries:
        for what, error in errors[name].items():
            # "not <=" rather than ">", so that NaN fails.
            if not error <= tolerance:
                raise AssertionError(
                    f"{what} break under {name}: relative difference {error:.1e}, "
                    f"tolerance {tolerance:.0e}"
                )
