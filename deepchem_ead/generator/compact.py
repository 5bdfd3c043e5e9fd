"""Checkpoints of half the size, from which training goes on well, though not bit for bit."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from deepchem_ead.generator.checkpoint import checkpoint_name, read_tensors, write_tensors

#: Entries of an optimiser's state that are kept in 8 bits, and whether as their square root: second
#: moments are only ever used as such.
MOMENTS = {"exp_avg": False, "exp_avg_sq": True, "max_exp_avg_sq": True}
#: Averaged modules and those they follow, in models of either kind.
FOLLOWED = {"average.module": ("denoiser", "egnn"), "embedding_average.module": ("embedding",)}
#: Numbers that share a scale.
BLOCK = 256
_LARGEST = torch.finfo(torch.float8_e4m3fn).max
_SMALLEST = torch.finfo(torch.float8_e4m3fn).smallest_normal / 8  # the smallest above zero


def read_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors and data of a checkpoint, compact or not.

    Raises
    ------
    CheckpointError
        As `read_tensors` does.
    """
    tensors, data = read_tensors(path)
    return expanded(tensors), data


def write_compact(source: str | Path, folder: str | Path) -> Path:
    """Write a checkpoint to a folder in compact form; returns its file.

    Raises
    ------
    CheckpointError
        If ``source`` cannot be read.
    """
    tensors, data = read_checkpoint(source)
    path = Path(folder) / checkpoint_name(data["global_step"])
    write_tensors(path, compacted(tensors), data)
    return path


def compacted(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint's tensors with what need not be exact in fewer bits.

    Moments of the optimiser are written as 8-bit floats with a scale for each `BLOCK` of them
    (within 6 %), averaged weights as bfloat16 differences from those they follow (within 0.4 % of
    the difference). All others stay as they are, the weights above all.

    Parameters
    ----------
    tensors : dict of str to Tensor
        As a checkpoint has them: ``model/...`` and ``optimizer/<index>/<entry>``.

    Returns
    -------
    dict of str to Tensor
        What `expanded` turns back.

    References
    ----------
    Moments in blocks of 8 bits: Dettmers et al., arXiv:2110.02861.
    """
    result = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition("/")
        followed = _followed(rest, tensors) if part == "model" else None
        if followed is not None and tensor.is_floating_point():
            difference = tensor - followed
            result[f"difference/{rest}"] = difference.to(torch.bfloat16)
        elif part == "optimizer" and rest.partition("/")[2] in MOMENTS:
            values = tensor.sqrt() if MOMENTS[rest.partition("/")[2]] else tensor
            result[f"eight/{rest}"], result[f"scale/{rest}"] = _in_eight_bits(values)
        else:
            result[name] = tensor
    return result


def expanded(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Undo `compacted`; other checkpoints come back as they are."""
    result = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition("/")
        if part == "difference":
            followed = _followed(rest, tensors)
            result[f"model/{rest}"] = followed + tensor.to(followed.dtype)
        elif part == "eight":
            values = _from_eight_bits(tensor, tensors[f"scale/{rest}"])
            result[f"optimizer/{rest}"] = (
                values.square() if MOMENTS[rest.partition("/")[2]] else values
            )
        elif part != "scale":
            result[name] = tensor
    return result


def _followed(name: str, tensors: dict[str, Tensor]) -> Tensor | None:
    """The weight that an averaged one follows."""
    for average, modules in FOLLOWED.items():
        for module in modules * name.startswith(f"{average}."):
            weight = tensors.get(f"model/{module}{name[len(average) :]}")
            if weight is not None:
                return weight
    return None


def _in_eight_bits(values: Tensor) -> tuple[Tensor, Tensor]:
    """8-bit floats in the shape of ``values``, and a scale for each block of them.

    What is not zero does not become zero: a second moment of nothing would leave its parameter with
    steps without bound.
    """
    flat = values.flatten().float()
    blocks = torch.nn.functional.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK)
    scale = blocks.abs().amax(1) / _LARGEST
    scaled = blocks / scale.clamp_min(torch.finfo(torch.float32).tiny).unsqueeze(1)
    scaled = torch.where(scaled == 0, scaled, scaled.sign() * scaled.abs().clamp_min(_SMALLEST))
    eight = scaled.flatten()[: len(flat)].to(torch.float8_e4m3fn)
    return eight.view(values.shape), scale


def _from_eight_bits(eight: Tensor, scale: Tensor) -> Tensor:
    flat = eight.flatten().float()
    return (flat * scale.repeat_interleave(BLOCK)[: len(flat)]).view(eight.shape)
