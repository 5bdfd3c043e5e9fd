"""How a file of generated molecules was made: kept in its first record, so that it is known
wherever the file is moved, and compared when the file is resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from deepchem_ead import __version__
from deepchem_ead.chem.files import file_format
from deepchem_ead.chem.records import JOB_TAG, BadRecord
from deepchem_ead.chem.sdf import read_sdf
from deepchem_ead.chem.sdf_blocks import RECORD_END
from deepchem_ead.chem.xyz import read_xyz
from deepchem_ead.chem.xyz_comment import read_comment

if TYPE_CHECKING:
    from deepchem_ead.generation.job import GenerationSettings
    from deepchem_ead.generation.options import SamplingOptions
    from deepchem_ead.generation.request import Request
    from deepchem_ead.models.ead import EADModel

#: Lines that are read for the first record; more than any molecule's.
_LINES = 100_000
#: What may change without other molecules coming of it.
_FREE = ("version", "model")


def describe_job(
    model: EADModel,
    name: str,
    settings: GenerationSettings,
    request: Request,
    options: SamplingOptions,
    asked: Mapping[str, float | str],
) -> dict[str, Any]:
    """Everything that decides which molecules a job gives, as plain values by the options' names.

    Not their number: a job may be continued beyond its end.
    """
    described = settings.describe()
    job = {
        "version": __version__,
        "model": name,
        "weights": weights_digest(model),
        "seed": described["seed"],
        "steps": described["steps"],
        "schedule": described["schedule_options"],
        "repeat_rule": described["repeat_rule"],
        "stepper": described["stepper"],
        "n_atoms": options.n_atoms,
        "condition": dict(asked),
        "guidance_scale": request.guidance_scale,
        "guide": None if options.guide is None else str(options.guide),
        "autoguidance": request.autoguidance_scale,
        "guidance_levels": request.levels_guided,
        "weak_model": None if options.weak_model is None else str(options.weak_model),
        "closed_shell": request.closed_shell,
        "precision": model.config.precision,
    }
    return json.loads(json.dumps(job))


def weights_digest(model: EADModel) -> str:
    """What tells the weights of a model from others."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.model.state_dict().items()):
        digest.update(name.encode())
        array = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(array.view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def refuse_other_job(path: Path, job: Mapping[str, Any]) -> None:
    """Refuse to go on with a file whose molecules come of another job.

    Raises
    ------
    ValueError
        Naming the options that differ, or that the file does not say how it was made.
    """
    reader = {"sdf": read_sdf, "xyz": read_xyz}[file_format(path)]
    with open(path, encoding="utf-8") as stream:
        record = next(reader(line for line, _ in zip(stream, range(_LINES), strict=False)))
    if isinstance(record, BadRecord) or JOB_TAG not in record.tags:
        raise _no_job(path)
    try:
        there = dict(json.loads(record.tags[JOB_TAG]))
    except (ValueError, TypeError):
        raise ValueError(
            f"{path}: the tag {JOB_TAG} of its first record cannot be read, so it cannot be "
            "resumed; choose another name"
        ) from None
    if "weights" not in there:  # written in Python: only that it was sampled, and how
        raise _no_job(path)
    refuse_differences(path, job, there)


def refuse_differences(path: Path, job: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    """Refuse to go on with a file of another job.

    Raises
    ------
    ValueError
        Naming the options that differ.
    """
    names = [n for n in {**job, **there} if n not in _FREE and job.get(n) != there.get(n)]
    if not names:
        return
    said = []
    if "weights" in names and job.get("model") == there.get("model"):
        said.append(f"the weights of {job['model']} are not the same any more")
    elif "weights" in names:
        said.append(f"--model is {job['model']} here and {there.get('model')} there")
    for name in names:
        here, before = _shown(job.get(name)), _shown(there.get(name))
        if name == "condition":
            said.append(f"its molecules were asked for {before}, not {here}")
        elif name != "weights":
            said.append(f"{_option(name)} is {here} here and {before} there")
    raise ValueError(
        f"{path} was begun by another job: {'; '.join(said)}. Give the same conditions and other "
        "options as then, or choose another name"
    )


def record_name(name: str, seed: int, index: int) -> str:
    """What the molecule of this index in a job is called."""
    return f"{name}-{seed}-{index:06d}"


def refuse_gaps(path: Path, seed: int, count: int) -> None:
    """Refuse to go on after ``count`` records if one is missing among them or in another place.

    The molecules that are still to come are counted from the number of records, so that those
    missing would never come and others would come twice.

    Raises
    ------
    ValueError
        Naming the first record that is not where it belongs.
    """
    for index, name in enumerate(islice(_names(path), count)):
        belongs = record_name("", seed, index)
        if not name.endswith(belongs):
            raise ValueError(
                f"{path}: record {index + 1} is {name or 'without a name'!r}, where molecule "
                f"{belongs[1:]} of the job belongs: records were removed, added or moved, so it "
                "cannot be resumed; choose another name"
            )


def _names(path: Path) -> Iterator[str]:
    """Names of the records of a file written here, without reading their atoms."""
    kind = file_format(path)
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            rest: Iterator[str]
            if kind == "xyz":
                yield read_comment(next(stream, ""))[0]
                rest = islice(stream, int(line))
            else:
                yield line.rstrip("\n")
                rest = takewhile(lambda text: text.rstrip() != RECORD_END, stream)
            for _ in rest:
                pass


def _no_job(path: Path) -> ValueError:
    return ValueError(
        f"{path} does not say which job made it, so it cannot be resumed; choose another name"
    )


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _shown(value: object) -> str:
    if value is None:
        return "the default"
    if isinstance(value, dict):
        if not value:
            return "nothing"
        words = (
            f"{key.removesuffix('_requested')}={text} {value.get(unit, '')}".rstrip()
            for key, text in value.items()
            if not key.endswith("_unit") and (unit := key.replace("_requested", "_unit"))
        )
        return ", ".join(words)
    return str(value)
