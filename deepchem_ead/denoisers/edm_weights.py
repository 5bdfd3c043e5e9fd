"""Reading the parameters of EDM's published networks into an `EGNN`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from deepchem_ead.denoisers.egnn import EGNN
from deepchem_ead.errors import CheckpointError

_PREFIXES = ("dynamics.egnn.", "module.dynamics.egnn.", "egnn.")
_PARTS = {"gcl_0": "message", "gcl_equiv": "coordinates"}


def edm_dimensions(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Sizes of the network that an EDM state dict belongs to, as arguments of `EGNN`."""
    renamed = _rename(state)
    n_features, in_features = renamed["embedding.weight"].shape
    return {
        "in_features": in_features,
        "out_features": renamed["embedding_out.weight"].shape[0],
        "n_layers": 1 + max(int(k.split(".")[1]) for k in renamed if k.startswith("blocks.")),
        "n_features": n_features,
    }


def load_edm_state_dict(egnn: EGNN, state: Mapping[str, Tensor]) -> None:
    """Copy the ``egnn.*`` parameters of an EDM state dict (arXiv:2203.17003) into a network.

    Parameters
    ----------
    egnn : EGNN
        Built with the sizes of `edm_dimensions`.
    state : mapping of str to Tensor
        State dict of EDM's diffusion model, its dynamics or its EGNN; other keys are ignored.

    Raises
    ------
    CheckpointError
        If the parameters are missing, are of another kind of network (no attention, several
        inner layers in a block, sinusoidal distances) or of other sizes.
    """
    renamed = _rename(state)
    expected = egnn.state_dict()
    missing = sorted(expected.keys() - renamed.keys())
    unknown = sorted(renamed.keys() - expected.keys())
    if missing or unknown:
        raise CheckpointError(
            f"the EDM weights are of another network: {len(missing)} parameters missing "
            f"{missing[:3]}, {len(unknown)} not known {unknown[:3]}; build the EGNN with "
            "edm_dimensions(state) (only inv_sublayers=1 with attention is supported)"
        )
    for name, value in renamed.items():
        if value.shape != expected[name].shape:
            raise CheckpointError(
                f"EDM's {name} has shape {tuple(value.shape)}, this EGNN's has "
                f"{tuple(expected[name].shape)}; build the EGNN with edm_dimensions(state)"
            )
    egnn.load_state_dict(renamed)


def _rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = next((p for p in _PREFIXES if f"{p}embedding.weight" in state), "")
    if f"{prefix}embedding.weight" not in state:
        raise CheckpointError(
            "no EDM network in this state dict: no key ends in egnn.embedding.weight; "
            f"its keys begin with {sorted(state)[:3]}"
        )
    renamed = {}
    for key, value in state.items():
        if not key.startswith(prefix):
            continue
        name = key.removeprefix(prefix)
        block = re.fullmatch(r"e_block_(\d+)\.(gcl_\w+)\.(.+)", name)
        if block:
            index, part, rest = block.groups()
            name = f"blocks.{index}.{_PARTS.get(part, part)}.{rest}"
        if block or name.startswith("embedding"):
            renamed[name] = value
    return renamed
