"""What is asked of generated molecules, as a guided process and rows of context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepchem_ead.caller import warn_caller
from deepchem_ead.chem.elements import parse_elements
from deepchem_ead.diffusion import AtomLayout, DiffusionProcess, channel
from deepchem_ead.generation.condition_values import requested_values
from deepchem_ead.generation.options import SamplingOptions
from deepchem_ead.generation.weak import WeakModel
from deepchem_ead.generator.encoding import AtomEncoding
from deepchem_ead.generator.trained import Generator
from deepchem_ead.sampling import (
    ClassifierFreeGuidance,
    GradientGuidance,
    Guide,
    GuidedProcess,
    LevelWindow,
    PropertyGuidance,
)


class Request:
    """What is asked of the n molecules of a job.

    Parameters
    ----------
    model : Generator
    n : int
    conditions : mapping of str to value or sequence of values, optional
        Wanted properties, see `requested_values`.
    options : SamplingOptions, optional
        Its guidance, its weak model and its closed shells; a guide is an object here, no name.

    Attributes
    ----------
    values : ndarray, (n, P)
        The conditions, NaN where nothing is asked.

    Raises
    ------
    ValueError
        For unknown properties or unreadable values, a negative guidance scale, guidance to nothing,
        a guide or weak model that does not fit, and a conditional model that has seen no data.
    """

    def __init__(
        self,
        model: Generator,
        n: int,
        conditions=None,
        options: SamplingOptions | None = None,
    ) -> None:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
            raise ValueError(f"n is a number of molecules, 100 for example, not {n!r}")
        if n < 0:
            raise ValueError(f"n must not be negative, not {n}")
        options = options or SamplingOptions()
        guidance_scale, guide = options.guidance_scale, options.guide
        autoguidance_scale, weak_model = options.autoguidance_scale, options.weak_model
        self.model = model
        self.guidance_scale = guidance_scale
        if guide is not None and not isinstance(guide, PropertyGuidance):
            conditions, guide = _split(conditions, guide, model)
        self.guide = guide
        self.values = requested_values(conditions, model.config.condition_names, n)
        conditional = bool(np.isfinite(self.values).any())
        if not guidance_scale >= 0:
            raise ValueError(f"guidance_scale must not be negative, not {guidance_scale}")
        if guidance_scale > 0 and n > 0 and not conditional:
            raise ValueError("guidance_scale needs conditions to guide to")
        if autoguidance_scale is None:
            guided = weak_model is not None or model.weak_model is not None
            autoguidance_scale = model.config.autoguidance_scale if guided else 0.0
        if not autoguidance_scale >= 0:
            raise ValueError(f"autoguidance_scale must not be negative, not {autoguidance_scale}")
        self.autoguidance_scale = autoguidance_scale
        self.closed_shell = options.closed_shell
        if self.closed_shell is None:
            self.closed_shell = model.config.closed_shell
        model.model.sampling_process(self.closed_shell, fixed_size=True)  # refuses what cannot be
        self._weak = None
        if autoguidance_scale > 0:
            self._weak = WeakModel(model, weak_model, autoguidance_scale)
        elif weak_model is not None:
            raise ValueError("a weak_model does nothing without an autoguidance_scale above 0")
        self.window = self._read_window(options.guidance_levels)
        if conditional:
            if not model.model.statistics.measured:
                raise ValueError("the model has seen no data to know properties from; fit it first")
            model.model.statistics.warn_outside(self.values)
        self._targets = None
        if guide is not None:
            self._targets = requested_values(guide.targets, guide.asked, n)
            SteeredProperties(guide, model.encoding, fixed_size=True)  # refuses what does not fit
            _warn_of_units(guide, self._targets)

    @property
    def guided(self) -> bool:
        """Whether anything guides."""
        return self.guidance_scale > 0 or self._weak is not None or self.guide is not None

    @property
    def levels_guided(self) -> str | None:
        """The levels at which guidance acts, if there is any and not at all of them."""
        return None if self.window.everywhere or not self.guided else str(self.window)

    def _read_window(self, levels: str | Sequence[float] | None) -> LevelWindow:
        window = LevelWindow.read(self.model.config.guidance_levels if levels is None else levels)
        if window.low > self.model.config.timesteps:
            raise ValueError(
                f"guidance_levels={window}: the highest level is {self.model.config.timesteps}"
            )
        if levels is not None and not window.everywhere and not self.guided:
            raise ValueError(
                f"guidance_levels={window} does nothing without a guidance_scale or "
                "autoguidance_scale above 0, or a guide"
            )
        return window

    def process(self, fixed_size: bool) -> DiffusionProcess | GuidedProcess:
        """The process to sample with; ``fixed_size`` if every node is an atom."""
        model, guide = self.model, self.guide
        process = model.model.sampling_process(self.closed_shell, fixed_size)
        if self.guidance_scale > 0:
            process = ClassifierFreeGuidance(process, self.guidance_scale, self.window)
        if self._weak is not None:
            process = self._weak.process(process, self.closed_shell, fixed_size, self.window)
        if guide is not None:
            mad = torch.as_tensor(np.asarray(guide.mad, np.float64)[guide.columns])
            process = GradientGuidance(
                process,
                SteeredProperties(guide, model.encoding, fixed_size),
                (mad / np.sqrt(2 * guide.scale)).to(model.device),
                guide.max_change,
                guide.max_tau,
                self.window if guide.levels is None else LevelWindow.read(guide.levels),
            )
        return process

    def describe(self) -> dict[str, Any]:
        """What is asked, as plain values: one number where all molecules are asked the same."""
        described: dict[str, Any] = {"closed_shell": self.closed_shell}
        if self._weak is not None:
            described["autoguidance_scale"] = self.autoguidance_scale
        if self.levels_guided is not None:
            described["guidance_levels"] = self.levels_guided
        if not np.isfinite(self.values).any() and self.guide is None:
            return described
        asked = dict(zip(self.model.config.condition_names, self.values.T, strict=True))
        described |= {
            "conditions": {k: _plain(v) for k, v in asked.items() if np.isfinite(v).any()},
            "guidance_scale": self.guidance_scale,
        }
        if self.guide is not None:
            targets = dict(zip(self.guide.asked, self._targets.T, strict=True))
            described["targets"] = {
                k: _plain(v) for k, v in targets.items() if np.isfinite(v).any()
            }
            described["guide_scale"] = self.guide.scale
            if self.guide.levels is not None:
                described["guide_levels"] = self.guide.levels
        return described

    @torch.no_grad()
    def context(self, chosen: slice | np.ndarray, fixed_size: bool) -> Tensor | None:
        """Rows of context (B, K) of some of the molecules, as `process` takes them."""
        values, device = self.values[chosen], self.model.device
        flags = torch.full((len(values),), fixed_size, device=device)

        def told(wanted: np.ndarray) -> list[Tensor]:
            row = self.model.model.context(flags, torch.from_numpy(wanted).to(device))
            return [] if row is None else [row]

        columns = told(values)
        if self.guidance_scale > 0:
            columns += told(np.full_like(values, np.nan))
        if self._weak is not None:
            row = self._weak.context(values, fixed_size)
            columns += [] if row is None else [row]
        if self._targets is not None:
            columns.append(torch.from_numpy(self._targets[chosen]).float().to(device))
        return torch.cat(columns, 1) if columns else None


def askable(model: Generator, guide: Guide | None) -> list[str]:
    """Properties that the model, or the guide if there is one, can be asked for."""
    steered = () if guide is None else guide.tasks
    return list(dict.fromkeys((*model.config.condition_names, *steered)))


def _split(
    conditions: Mapping[str, object] | None, guide: Guide, model: Generator
) -> tuple[dict[str, object] | None, PropertyGuidance]:
    """Conditions for the model, and a guide to those that the guiding model knows.

    What neither knows stays a condition, to be refused as one.
    """
    conditions = conditions or {}
    targets = {name: value for name, value in conditions.items() if name in guide.tasks}
    if not targets:
        raise ValueError(
            f"the guide knows {', '.join(guide.tasks)}, and conditions={list(conditions)} asks for "
            "none of these"
        )
    known = model.config.condition_names
    told = {n: value for n, value in conditions.items() if n in known or n not in targets}
    return told or None, PropertyGuidance(guide, targets)


#: Nearly all labels lie within so many mean absolute deviations of their mean.
_FAR = 20.0
#: Standardised labels have a mean of 0 within this.
_ZERO = 1e-2


def _warn_of_units(guide: PropertyGuidance, targets: np.ndarray) -> None:
    """Warn where targets (n, T) cannot be in the unit of the labels that a guide has learned."""
    if guide.mean is None:
        return
    means, mads = (np.asarray(v, np.float64)[guide.columns] for v in (guide.mean, guide.mad))
    for name, mean, mad, asked in zip(guide.asked, means, mads, targets.T, strict=True):
        far = asked[np.abs(asked - mean) > _FAR * mad]
        learned = f"labels with the mean {mean:.3g} and the mean absolute deviation {mad:.3g}"
        if abs(mean) < _ZERO and 0.5 < mad < 1:
            warn_caller(
                f"the guide has learned {name} from {learned}, as a transformer makes them: values "
                "asked for are taken in their unit; train it on untransformed labels (it "
                "normalises by itself)"
            )
        elif far.size:
            warn_caller(
                f"{name}={far[0]:g} is far from all that the guide has learned, {learned}: give it "
                "in the unit of these labels, and train the guide on untransformed ones"
            )


class SteeredProperties:
    """Properties (B, T) of estimated molecules (A, 3 + F), as `GradientGuidance` takes them.

    Those that have a target, since each costs a gradient through the denoiser.
    Nodes that look like dummy atoms are left out, and what the others' type columns say about the
    elements is read as probabilities. A molecule without atoms has no properties (NaN).

    Parameters
    ----------
    guide : PropertyGuidance
    encoding : AtomEncoding
        Of the model that generates.
    fixed_size : bool
        Every node is an atom.

    Raises
    ------
    ValueError
        If the guiding model does not know an element of the generating one.
    """

    def __init__(self, guide: PropertyGuidance, encoding: AtomEncoding, fixed_size: bool) -> None:
        ours = encoding.elements.tolist()
        theirs = ours if guide.elements is None else parse_elements(guide.elements)
        missing = [e for e in ours if e not in theirs]
        if missing:
            raise ValueError(
                f"the guiding model knows the elements {guide.elements}, the generating one "
                f"{encoding.symbols}; the guide must know all of them"
            )
        self.guide = guide
        self.n_kinds = encoding.n_kinds
        self.n_types = self.n_kinds if fixed_size else encoding.n_types
        # Column of the guide's types of each of the encoding's.
        self.columns = [theirs.index(e) for e, _ in encoding.kinds]
        self.n_columns = len(theirs)

    def __call__(self, x_hat: Tensor, layout: AtomLayout) -> Tensor:
        types = channel(x_hat, "kinds")[:, : self.n_types]
        real = types.argmax(1) < self.n_kinds
        counts = layout.sum(real.long())
        molecules = counts.argsort(stable=True)
        molecules = molecules[counts[molecules] > 0]
        # Molecules by size, their nodes in order.
        rank = torch.full_like(counts, -1)
        rank[molecules] = torch.arange(len(molecules), device=rank.device)
        nodes = real.nonzero()[:, 0]
        nodes = nodes[rank[layout.index[nodes]].argsort(stable=True)]

        probabilities = type_probabilities(types[nodes], self.columns, self.n_columns)
        values = x_hat.new_full((layout.n_molecules, len(self.guide.columns)), float("nan"))
        if len(molecules):
            inner = AtomLayout.from_counts(counts[molecules], device=x_hat.device)
            found = self.guide.property_of(channel(x_hat[nodes], "positions"), probabilities, inner)
            found = found[:, self.guide.columns]
            values = values.index_put((molecules,), found.to(values.dtype))
        return values


def type_probabilities(types: Tensor, columns: Sequence[int], n_columns: int) -> Tensor:
    """Probabilities of elements (A, n_columns) from columns of types (A, at least K).

    The first K columns are kinds of atoms, which add to ``columns``, those of their elements; what
    is negative counts nothing.
    """
    likely = types[:, : len(columns)].clamp_min(0)
    likely = likely / likely.sum(1, keepdim=True).clamp_min(1e-12)
    places = torch.tensor(columns, device=likely.device)
    return likely.new_zeros((len(likely), n_columns)).index_add(1, places, likely)


def _plain(values: np.ndarray) -> float | list[float]:
    return float(values[0]) if (values == values[0]).all() else values.tolist()
