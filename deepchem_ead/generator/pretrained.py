"""Trained weights as a folder: safetensors, JSON configuration, checksum and model card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepchem_ead.chem.atomic import write_text
from deepchem_ead.chem.kinds import Kind, parse_kinds
from deepchem_ead.errors import CheckpointError
from deepchem_ead.generator.checkpoint import read_tensors, write_tensors
from deepchem_ead.generator.config import EADConfig
from deepchem_ead.generator.settings import Settings

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"

#: Folder of the weak model for autoguidance beside a model's files.
WEAK = "weak"

#: Other names of models that come with the package.
ALIASES = {"qm9-conditional": "qm9", "qm9-joint": "qm9"}

#: The property model that steers a model that comes with the package.
GUIDES = {"qm9": "qm9-guide", "qm9-1": "qm9-guide"}


def guide_of(name: str | Path) -> tuple[str, list[str]] | None:
    """The guide that comes with a shipped model, and the properties it knows; None without one."""
    if (Path(name) / CONFIG).is_file():
        return None  # a folder of the user's
    guide = GUIDES.get(ALIASES.get(str(name), str(name)))
    if guide is None:
        return None
    record = json.loads((find(guide) / CONFIG).read_text())
    return guide, record["config"]["tasks"].split(",")


def save(
    directory: str | Path,
    tensors: dict[str, Tensor],
    config: Settings,
    global_step: int,
    card: str | None = None,
    model_type: str = "EADModel",
    half: bool = False,
) -> None:
    """Write weights (in half precision if told), configuration and model card to a folder."""
    directory = Path(directory)
    if half:
        tensors = {name: _halved(name, tensor) for name, tensor in tensors.items()}
    write_tensors(directory / WEIGHTS, tensors, {"global_step": global_step})
    record = {
        "model_type": model_type,
        "deepchem_ead_version": _package_version(),
        "global_step": global_step,
        "n_parameters": sum(t.numel() for name, t in tensors.items() if "/" in name),
        "config": config.to_dict(),
        "weights": WEIGHTS,
        "sha256": _sha256(directory / WEIGHTS),
    }
    write_text(directory / CONFIG, json.dumps(record, indent=2) + "\n")
    write_text(directory / CARD, card or _default_card(record))


def load(
    name: str | Path, model_type: str = "EADModel", config_type: type[Settings] = EADConfig
) -> tuple[dict[str, Tensor], Settings]:
    """Read a folder written by `save`, found by path, package name or Hub name.

    Parameters
    ----------
    name : str or Path
    model_type : str
        Class of model that is wanted.
    config_type : type
        Its class of settings.

    Raises
    ------
    CheckpointError
        If there is no such model, it is of another kind, or its files are damaged.
    """
    directory = find(name)
    try:
        record = json.loads((directory / CONFIG).read_text())
        found = record["model_type"]
        config = config_type.from_stored(record["config"]) if found == model_type else None
        path, expected = directory / record["weights"], record["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{directory / CONFIG} cannot be read: {error}") from error
    if config is None:
        raise CheckpointError(
            f"{name} holds an {found}, not an {model_type}; load it with "
            f"deepchem_ead.{found}.from_pretrained"
        )
    if not path.exists():
        raise CheckpointError(f"there is no file {str(path)!r}")
    if _sha256(path) != expected:
        raise CheckpointError(f"{path} is damaged: its sha256 is not the one in {CONFIG}")
    tensors, _ = read_tensors(path)
    return {name: t.float() if t.dtype == torch.half else t for name, t in tensors.items()}, config


def _halved(name: str, tensor: Tensor) -> Tensor:
    """A network's weight in half precision; counts and statistics as they are."""
    if "/" not in name or not tensor.is_floating_point():
        return tensor
    halved = tensor.half()
    if not halved.isfinite().all():
        raise ValueError(f"{name} has values beyond half precision: save it without half=True")
    return halved


def names(model_type: str | None = None) -> list[str]:
    """Models whose weights come with the package; of one class only if ``model_type`` is given."""
    folder = resources.files("deepchem_ead") / "pretrained"
    if not folder.is_dir():
        return []
    found = sorted(f.name for f in folder.iterdir() if (f / CONFIG).is_file())
    if model_type is None:
        return found
    records = {name: json.loads((folder / name / CONFIG).read_text()) for name in found}
    return [name for name in found if records[name]["model_type"] == model_type]


def larger_model(kinds: Iterable[Kind] = (), n_atoms: int = 0) -> str:
    """Remedy for a molecule that is none for a model: which shipped one would take it.

    Of the models that know bonds, hence every task; nothing is said where none would do.

    Parameters
    ----------
    kinds : iterable of (atomic number, formal charge)
        Of the molecule's atoms.
    n_atoms : int
        Number of the molecule's atoms.

    Examples
    --------
    >>> larger_model([(6, 0), (17, 0)], 40)
    ", 'drugs' for example"
    """
    for name in names("EADModel"):
        config = EADConfig.from_stored(json.loads((find(name) / CONFIG).read_text())["config"])
        known = parse_kinds(f"{config.elements},{config.charged_kinds}".rstrip(","))
        if config.bonds and set(kinds) <= set(known) and n_atoms <= config.max_atoms:
            return f", {name!r} for example"
    return ""


def find(name: str | Path) -> Path:
    """Folder of a model: a path, a name of `names`, or a Hugging Face Hub repository.

    In this order, so that nothing is asked over the network that is on this machine. A repository
    is ``owner/name``; a copy in the Hub's cache is used without looking for a newer one.
    """
    if (Path(name) / CONFIG).is_file():
        return Path(name)
    name = ALIASES.get(str(name), name)
    if str(name) in names():
        return Path(str(resources.files("deepchem_ead") / "pretrained" / str(name)))
    if str(name).count("/") == 1 and not Path(name).exists():
        return _from_hub(str(name))
    shipped = ", ".join(names()) or "none"
    below = Path(name) / "model"
    hint = f"; did you mean {str(below)!r}?" if (below / CONFIG).is_file() else ""
    raise CheckpointError(
        f"there is no model {str(name)!r}: not a folder with {CONFIG}, and not among the models "
        f"that come with the package ({shipped}){hint}"
    )


def _from_hub(name: str) -> Path:
    """Folder of the Hub's files; they are downloaded once and read from the Hub's cache then."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError:
        raise CheckpointError(
            f"there is no folder {name!r}; if it is a Hugging Face Hub repository, "
            "`pip install huggingface-hub` first"
        ) from None
    wanted: dict[str, Any] = {"allow_patterns": [WEIGHTS, CONFIG, CARD, f"{WEAK}/*"]}
    try:
        with suppress(LocalEntryNotFoundError):
            cached = Path(snapshot_download(name, local_files_only=True, **wanted))
            # The Hub client takes an interrupted download for a snapshot, too.
            if (cached / WEIGHTS).exists() and (cached / CONFIG).exists():
                return cached
        return Path(snapshot_download(name, **wanted))
    except Exception as error:  # the Hub client raises many unrelated types
        raise CheckpointError(
            f"there is no folder {name!r}, and from the Hugging Face Hub it cannot be downloaded: "
            f"{error}"
        ) from error


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _package_version() -> str:
    try:
        return version("deepchem_ead")
    except PackageNotFoundError:
        return "unknown"


def _default_card(record: dict) -> str:
    options = "\n".join(f"- {key}: {value}" for key, value in record["config"].items())
    return (
        f"# An {record['model_type']}\n\n"
        f"{record['n_parameters']:,} parameters, {record['global_step']:,} training steps.\n"
        f"Load it with `deepchem_ead.{record['model_type']}.from_pretrained(<this folder>)`.\n\n"
        f"## Configuration\n\n{options}\n"
    )
