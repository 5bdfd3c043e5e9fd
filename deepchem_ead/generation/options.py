"""What can be chosen when molecules are generated, in one object from the user to the loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class SamplingOptions:
    """How molecules are generated; what is None is as the model's configuration says.

    The precision of the network is an option of the model, not of a generation.

    Attributes
    ----------
    schedule : str or schedule object, optional
        "adaptive", "synchronous", "staircase", "settled-first", "random-coin" or an object of
        `deepchem_ead.sampling`; the configuration's by default.
    n_atoms : int, sequence of int or str, optional
        Number of atoms of all or of each molecule; "histogram" draws it from that of the
        training set, "from-conditions" from p(size | properties) there; "free" lets a model
        that knows dummy atoms find it. By default what the configuration's ``sizes`` says.
    seed : int, optional
        Drawn at random by default and reported in ``info["seed"]``.
    batch_size : int, optional
        Molecules computed at once; changes speed only. By default as many as make about
        100,000 pairs of atoms, on a GPU 800,000.
    steps : int, str or sequence of float, optional
        Steps of the level grid, spread evenly; or a grid by name, "arcsin:steps=50", "coarse" or
        "geometric" (`deepchem_ead.sampling.GRIDS`); or the levels themselves, from 0 to the
        highest. By default the configuration's ``sampling_steps``.
    guidance_scale : float
        Classifier-free guidance: how far to go beyond what the conditional model says, away
        from the unconditional one. 0 is the conditional model; above it every step takes two
        evaluations of the network.
    guide : PropertyGuidance, EGNNPropertyModel or str, optional
        A differentiable model of properties that steers by its gradient, with or without
        conditions; for example "qm9-guide". A model, or its name, steers to the conditions
        that it knows, also to those that the generating model does not; `PropertyGuidance`
        has targets and a strength of its own. "none" does without, and so does None, which
        a warning remarks on where conditions are asked for. With a guide the result depends on
        the batch size by rounding errors.
    autoguidance_scale : float, optional
        How far to go away from a weak model's estimate: better molecules, somewhat less
        diverse, for one evaluation of the weak model more in every step (see
        `deepchem_ead.sampling.AutoGuidance`). 0 does without. The configuration's by default,
        if the weights came with a weak model.
    weak_model : EADModel, str or Path, optional
        A smaller or less trained model of the same data, or its name or folder. By default
        the one that came with the weights, if any.
    guidance_levels : str or pair of float, optional
        Levels, "200-400" or ``(200, 400)``, at which guidance of any kind acts on a molecule, by
        its noisiest atom; elsewhere nothing is guided and no evaluation is spent on it. The
        configuration's by default, which is all levels unless it says otherwise.
    stepper : str or stepper object, optional
        The configuration's by default: "ancestral" (EDM's posterior), "churn" (amplified
        noise), "ddim", "dpm++2m"; "heun" and "dpm++2s", which evaluate the network twice a
        step; "rtk", "rtk-ula" and "rtk-uld", which do so as often as they are told; "quotient",
        "quotient-ddim" and "quotient-sde", whose estimates do not turn molecules; "direct", the
        passes of a model trained with the direct objective. Options follow a colon:
        "ancestral:eta=0.5".
    noise_scale : float, optional
        Factor of the noise that the ancestral stepper adds; by default the configuration's, or
        1 where the model finds the size (with less, nearly all atoms become dummies). 1 draws
        from the model's distribution. Lower values, 0.5 for example, make fewer errors and less
        diverse molecules (a low temperature).
    repeat_rule : str, optional
        What a stalled atom does: "literal", "repaint", "hold", "langevin" or "renoise"; the
        configuration's by default.
    closed_shell : bool, optional
        Generate molecules with an even number of electrons only, as all neutral molecules
        without unpaired ones have (see `deepchem_ead.diffusion.ClosedShellTypes`). The
        configuration's by default.
    start : Given, optional
        Atoms, or whole molecules, to start from (`deepchem_ead.generation.given.Given`), which a
        model has to be trained for. ``edit``, ``vary`` and ``conformers`` make it of a molecule.
    record_levels : bool
        Keep every atom's level before each step of its molecule and at the end in
        ``info["levels"]``.

    Examples
    --------
    >>> SamplingOptions(steps=50, stepper="ddim").given()
    {'steps': 50, 'stepper': 'ddim'}
    """

    schedule: Any = None
    n_atoms: int | Sequence[int] | str | None = None
    seed: int | None = None
    batch_size: int | None = None
    steps: int | str | Sequence[float] | None = None
    guidance_scale: float = 0.0
    guide: Any = None
    autoguidance_scale: float | None = None
    weak_model: Any = None
    guidance_levels: str | Sequence[float] | None = None
    stepper: Any = None
    noise_scale: float | None = None
    repeat_rule: Any = None
    closed_shell: bool | None = None
    start: Any = None
    record_levels: bool = False

    def given(self) -> dict[str, Any]:
        """The options that are not the defaults, by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        # By identity: an option may be an array, which compares element by element.
        return {n: v for n, v in found.items() if v is not _DEFAULTS[n] and not _same(v, n)}

    @classmethod
    def among(
        cls, values: Mapping[str, Any], options: SamplingOptions | None = None
    ) -> SamplingOptions:
        """The options among values by name, such as a function's arguments.

        Parameters
        ----------
        values : mapping of str to value
            Other names are left out.
        options : SamplingOptions, optional
            The same as an object, in place of names.

        Raises
        ------
        ValueError
            If there are both.
        """
        named = cls(**{name: values[name] for name in _DEFAULTS if name in values})
        if options is None:
            return named
        if given := named.given():
            raise ValueError(
                f"{', '.join(given)} stand beside options=, which holds all of them; give one or "
                "the other, or dataclasses.replace(options, ...)"
            )
        return options


_DEFAULTS = {field.name: field.default for field in fields(SamplingOptions)}


def _same(value: Any, name: str) -> bool:
    return isinstance(value, str | float | int) and value == _DEFAULTS[name]


def describes_options(function: Callable) -> Callable:
    """Put what `SamplingOptions` says of its fields in place of ``{options}`` in a docstring."""
    if function.__doc__ and SamplingOptions.__doc__:  # there are none with python -OO
        text = inspect.cleandoc(SamplingOptions.__doc__)
        described = text.split("----------\n")[1].split("\n\nExamples")[0]
        function.__doc__ = inspect.cleandoc(function.__doc__).replace("{options}", described)
    return function
