"""Tensors and plain data in one file that cannot run code and notices damage."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from deepchem_ead.chem.atomic import atomic_path
from deepchem_ead.errors import CheckpointError


def write_tensors(path: str | Path, tensors: dict[str, Tensor], data: dict) -> None:
    """Write tensors and JSON-able data to a safetensors file, all or nothing.

    The file appears under its name only when it is complete and on disk; a file that was there
    before survives a crash or a full disk.

    Parameters
    ----------
    path : str or Path
    tensors : dict of str to Tensor
    data : dict
        Anything JSON can hold.
    """
    path = Path(path)
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    text = json.dumps(data, sort_keys=True)
    metadata = {"data": text, "sha256": _digest(tensors, text)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        # save_file would leave a file that only its owner can read.
        temporary.write_bytes(save(tensors, metadata=metadata))


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Read a file written by `write_tensors`.

    Raises
    ------
    CheckpointError
        If the file is missing, is not a safetensors file, or its contents do not have the checksum
        they were written with.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise CheckpointError(f"there is no file {str(path)!r}") from None
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error
    if "data" not in metadata or "sha256" not in metadata:
        raise CheckpointError(f"{path} was not written by deepchem_ead (no checksum in it)")
    if _digest(tensors, metadata["data"]) != metadata["sha256"]:
        raise CheckpointError(f"{path} is damaged: its contents do not match their checksum")
    return tensors, json.loads(metadata["data"])


def write_checkpoint(
    folder: str | Path, step: int, tensors: dict[str, Tensor], data: dict, keep: int
) -> None:
    """Write the checkpoint of a step as the newest of a folder, which keeps ``keep`` of them."""
    path = Path(folder) / checkpoint_name(step)
    count = 1 + max(map(int, _counts(folder).values()), default=0)
    write_tensors(path, tensors, data | {"count": count})
    for old in checkpoint_files(folder)[keep:]:
        if old != path:
            old.unlink(missing_ok=True)


def checkpoint_files(folder: str | Path) -> list[Path]:
    """The checkpoints in a folder, the newest first.

    They are counted in the order in which they were written: a copy on another machine has other
    times, and a run begun anew in an old folder has smaller steps.
    """
    counts = _counts(folder)
    return sorted(counts, key=lambda f: (counts[f], f.stat().st_mtime_ns, f.name), reverse=True)


def _counts(folder: str | Path) -> dict[Path, float]:
    """Each checkpoint's number in the order of writing, 0 if it has none.

    A damaged one follows those that are not younger, so that who wants the newest is told of it.
    """
    found: dict[Path, float | None] = {
        file: _count(file) for file in Path(folder).glob("checkpoint-*.safetensors")
    }
    times = {file: file.stat().st_mtime_ns for file in found}
    for damaged in [file for file, count in found.items() if count is None]:
        older = [n for f, n in found.items() if n is not None and times[f] <= times[damaged]]
        found[damaged] = max(older, default=0) + 0.5
    return {file: count for file, count in found.items() if count is not None}


def _count(path: Path) -> int | None:
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads((file.metadata() or {})["data"]).get("count", 0)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError):
        return None


def checkpoint_name(step: int) -> str:
    """Name of the checkpoint of a step."""
    return f"checkpoint-{step:09d}.safetensors"


def _digest(tensors: dict[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with ``prefix/`` before their names."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with ``prefix/``, without it."""
    return {k[len(prefix) + 1 :]: v for k, v in tensors.items() if k.startswith(f"{prefix}/")}


def flatten_optimizer(state: dict) -> tuple[dict[str, Tensor], list]:
    """Split an optimizer's state dict into named tensors and plain parameter groups."""
    tensors = {
        f"{index}/{key}": torch.as_tensor(value)
        for index, values in state["state"].items()
        for key, value in values.items()
    }
    return tensors, state["param_groups"]


def unflatten_optimizer(tensors: dict[str, Tensor], groups: list) -> dict:
    """Undo `flatten_optimizer`."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = tensor
    return {"state": state, "param_groups": groups}


def check_shapes(found: dict[str, Tensor], expected: dict[str, Tensor], source: str) -> None:
    """Compare names and shapes before any weight is touched.

    Raises
    ------
    CheckpointError
        Listing missing, unexpected and differently shaped tensors.
    """
    problems = [f"missing {name}" for name in expected if name not in found]
    problems += [f"unexpected {name}" for name in found if name not in expected]
    problems += [
        f"{name} has shape {tuple(found[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" * (len(problems) > 5))
        raise CheckpointError(f"{source} does not fit this model: {shown}")
