"""ANI-2xt: the energy of neutral molecules of H, C, N, O, F, S and Cl from a neural network.

Every atom ``i`` is described by an atomic environment vector (AEV), computed by ``torchani``: sums
over its neighbours, a block for each element, of

    exp(-eta_R (r_ij - s)^2) f_c(r_ij)                                    (s: 16 radial shifts)

and over pairs of its neighbours, a block for each pair of elements, of

    2 (1/2 + cos(theta_jik - z)/2)^zeta exp(-eta_A ((r_ij + r_ik)/2 - s)^2) f_c(r_ij) f_c(r_ik)

(4 shifts s, 8 angles z). A perceptron of the atom's element maps the 1,008 numbers to its energy.
The parameters are those of Auto3D, trained by its authors to energies of density functional theory.

References
----------
.. [1] Devereux et al., "Extending the Applicability of the ANI Deep Learning Molecular Potential to
   Sulfur and Halogens", J. Chem. Theory Comput. 16, 4192 (2020).
.. [2] Liu et al., "Auto3D: Automatic Generation of the Low-Energy 3D Structures with ANI Neural
   Network Potentials", J. Chem. Inf. Model. 62, 5373 (2022).
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

INSTALL_HINT = "pip install 'deepchem_ead[drugs]'"

#: Atomic numbers in the order of the networks, and the widths of their three hidden layers.
NETWORKS = {
    1: (256, 192, 160),
    6: (224, 192, 160),
    7: (192, 160, 128),
    8: (192, 160, 128),
    9: (160, 128, 96),
    16: (160, 128, 96),
    17: (160, 128, 96),
}
#: Energies of the free atoms, Hartree, in the same order.
_ATOMS = (-0.5984, -38.0826, -54.7031, -75.1901, -99.8006, -398.1224, -460.1387)

_RADIAL = {"eta": 16.0, "cutoff": 5.2, "shifts": [0.9 + 0.26875 * k for k in range(16)]}
_ANGULAR = {
    "eta": 8.0,
    "zeta": 32.0,
    "cutoff": 3.5,
    "shifts": [0.9, 1.55, 2.2, 2.85],
    "sections": [math.pi / 16 * (2 * k + 1) for k in range(8)],
}

#: Positions (n, 3) in Angstrom to the energy in Hartree and its gradient in Hartree/Angstrom.
Energy = Callable[[np.ndarray], tuple[float, np.ndarray]]


class ANI2xt:
    """The network with its parameters.

    Parameters
    ----------
    parameters : bytes
        Contents of Auto3D's file ``ani2xt_no_repulsion.pt``; read without unpickling code.

    Raises
    ------
    ImportError
        If torchani is not installed.
    """

    def __init__(self, parameters: bytes):
        torchani = _import_torchani()
        aev = torchani.aev
        self.aev = torchani.AEVComputer(
            aev.ANIRadial(**_RADIAL), aev.ANIAngular(**_ANGULAR), len(NETWORKS)
        )
        self.networks = nn.ModuleList(
            [_perceptron(self.aev.out_dim, *widths) for widths in NETWORKS.values()]
        )
        file = io.BytesIO(parameters)
        self.networks.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
        self.networks.requires_grad_(False)

    def energy_of(self, numbers: np.ndarray) -> Energy:
        """The energy and gradient of one molecule as a function of its positions.

        Molecules are computed one by one: in a batch, the last bits of an energy would depend on
        the others.

        Parameters
        ----------
        numbers : ndarray (n,) int
            Atomic numbers, those of `NETWORKS`.
        """
        order = list(NETWORKS)
        species = torch.tensor([[order.index(int(z)) for z in numbers]])
        rows = [torch.nonzero(species[0] == k)[:, 0] for k in range(len(order))]
        atoms = sum(_ATOMS[k] * len(found) for k, found in enumerate(rows))

        def energy(positions: np.ndarray) -> tuple[float, np.ndarray]:
            x = torch.tensor(positions[None], dtype=torch.float32, requires_grad=True)
            aev = self.aev(species, x)[0]
            parts = [
                network(aev[found]).double().sum()
                for network, found in zip(self.networks, rows, strict=True)
                if len(found)
            ]
            total = torch.stack(parts).sum()
            (gradient,) = torch.autograd.grad(total, x)
            return total.item() + atoms, gradient[0].double().numpy()

        return energy


def _perceptron(n_in: int, *widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(n_in, width), nn.CELU(0.1)]
        n_in = width
    return nn.Sequential(*layers, nn.Linear(n_in, 1))


def _import_torchani():
    # Else it warns that its extensions for CUDA are not compiled.
    os.environ.setdefault("TORCHANI_NO_WARN_EXTENSIONS", "1")
    try:
        import torchani
    except ImportError:
        raise ImportError(
            f"geometries are optimised with ANI-2xt, which needs torchani: {INSTALL_HINT}"
        ) from None
    return torchani
