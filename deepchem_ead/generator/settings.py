"""What configurations have in common: checked types, YAML presets, comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from importlib import resources
from importlib.abc import Traversable
from pathlib import Path
from typing import Any, ClassVar, Self

import yaml

from deepchem_ead.choices import preset_names
from deepchem_ead.keywords import UnknownKeyword, hint

_KINDS = {
    "bool": bool, "int": int, "float": float, "str": str, "dict": dict, "int | str": (int, str),
}  # fmt: skip


def structural(default=MISSING, *, same_states=False, may_widen=False, default_factory=MISSING):
    """A field that gives the weights their meaning: models exchange weights only if it is equal.

    Parameters
    ----------
    default, default_factory
        As of `dataclasses.field`.
    same_states : bool
        It describes molecules: a model cannot be guided by one that differs in it.
    may_widen : bool
        A model may differ in it from the one that it starts from: it rescales nothing that the
        network reads but adds columns, of elements, context or a previous estimate.
    """
    kinds = {"structural": True, "same states": same_states, "may widen": may_widen}
    return field(default=default, default_factory=default_factory, metadata=kinds)


@dataclass(frozen=True)
class Settings:
    """Base of a frozen dataclass whose fields are bools, integers, floats, strings and dicts.

    Attributes
    ----------
    PRESETS : str
        Folder of the package with the YAML files of named settings.
    SECTIONS : dict of str to type
        The sections that the fields come from, by name, where there are some: classes of settings
        that this one inherits from.
    FORMER : dict
        Defaults that were others before: what they are in a stored record that does not say.
    BESIDE : tuple of str
        What models take beside these fields; it may have been meant by an unknown one.
    """

    PRESETS: ClassVar[str] = "generator/presets"
    SECTIONS: ClassVar[dict[str, type[Settings]]] = {}
    FORMER: ClassVar[dict] = {}
    BESIDE: ClassVar[tuple[str, ...]] = (
        "preset", "model_dir", "device", "optimizer", "log_frequency", "tensorboard",
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Refuse values of the wrong type; a subclass checks its own fields after that."""
        for each in fields(self):
            kind, value = _KINDS[str(each.type)], getattr(self, each.name)
            if kind is float and isinstance(value, int) and not isinstance(value, bool):
                object.__setattr__(self, each.name, float(value))
            elif not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
                raise ValueError(f"{each.name} must be of type {each.type}, not {value!r}")

    def check(
        self,
        positive: tuple[str, ...] = (),
        not_negative: tuple[str, ...] = (),
        shares: tuple[str, ...] = (),
        choices: dict[str, tuple[str, ...]] | None = None,
    ) -> None:
        """Refuse values outside their range.

        Parameters
        ----------
        positive, not_negative, shares : tuple of str
            Fields that must be above 0, at least 0, and within [0, 1].
        choices : dict of str to tuple of str
            What a field may be.

        Raises
        ------
        ValueError
            Naming the field, what it may be and what it was.
        """
        for name in positive:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        for name in not_negative:
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
        for name in shares:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], not {getattr(self, name)}")
        for name, allowed in (choices or {}).items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}"
                )

    @classmethod
    def load(cls, preset: str | Path | None = None, **overrides) -> Self:
        """Settings from a preset name, a YAML file or the defaults, with changes.

        Fields may stand in their sections or without them, in the file as in the changes. A file
        may say ``like: NAME``, a preset or another file that has what it does not say itself.

        Raises
        ------
        ValueError
            If the preset or a field is unknown; the message lists what there is.
        """
        values = {} if preset is None else cls._read_yaml(preset)
        return cls.from_dict({**cls.flat(values), **cls.flat(overrides)})

    @classmethod
    def flat(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values by field, of some that stand in their sections or are called SECTION.FIELD.

        Raises
        ------
        ValueError
            If a field is given twice, or in a section that is not its own.
        """
        found: dict[str, Any] = {}
        for key, value in values.items():
            section, dot, name = key.partition(".")
            if section not in cls.SECTIONS or not (dot or isinstance(value, Mapping)):
                section, given = "", {key: value}
            else:
                given = {name: value} if dot else value
            for name, each in given.items():
                home = cls.section_of(name) if section else section
                if home not in ("", section):
                    raise ValueError(f"{name} is not in the section {section!r} but in {home!r}")
                if name in found:
                    raise ValueError(f"{name} is given twice, as {found[name]!r} and {each!r}")
                found[name] = each
        return found

    @classmethod
    def section_of(cls, name: str) -> str:
        """The section that a field comes from; "" for what is no field of any."""
        for section, options in cls.SECTIONS.items():
            if name in (field.name for field in fields(options)):
                return section
        return ""

    @classmethod
    def from_dict(cls, values: dict) -> Self:
        """Settings from a plain dictionary; unknown keys are an error.

        Fields may stand in their sections or without them.
        """
        values = cls.flat(values)
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                meant = hint(name, (*known, *cls.BESIDE)) or f" among {', '.join(known)}"
                raise UnknownKeyword(f"there is no option {name!r}{meant}")
        return cls(**values)

    @classmethod
    def from_stored(cls, values: dict) -> Self:
        """Settings of a trained model, which keep the defaults of the time it was written."""
        return cls.from_dict({**cls.FORMER, **cls.flat(values)})

    def to_dict(self) -> dict:
        """The settings as a plain dictionary, by field."""
        return asdict(self)

    def sections(self) -> dict[str, dict]:
        """The settings as a plain dictionary of sections, each by field."""
        values = self.to_dict()
        names = {name: [f.name for f in fields(s)] for name, s in self.SECTIONS.items()}
        return {name: {field: values[field] for field in own} for name, own in names.items()}

    @classmethod
    def fields_that(cls, kind: str) -> list[str]:
        """Names of the fields of a kind: "structural", "same states", "may widen"."""
        return [field.name for field in fields(cls) if field.metadata.get(kind)]

    def structural_differences(self, other: Self) -> dict[str, tuple]:
        """Fields that forbid an exchange of weights, with this and the other's value."""
        pairs = {
            name: (getattr(self, name), getattr(other, name))
            for name in self.fields_that("structural")
        }
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    @classmethod
    def preset_names(cls) -> list[str]:
        """The presets that come with the package."""
        return preset_names(cls.PRESETS)

    @classmethod
    def _preset_folder(cls) -> Traversable:
        return resources.files("deepchem_ead").joinpath(cls.PRESETS)

    @classmethod
    def _read_yaml(cls, preset: str | Path, above: tuple[str, ...] = ()) -> dict:
        """Values by field, those of the preset that it is ``like`` included."""
        path = Path(preset)
        if path.suffix in (".yaml", ".yml"):
            if not path.exists():
                raise ValueError(f"there is no configuration file {str(path)!r}")
            text = path.read_text(encoding="utf-8")
        elif str(preset) in cls.preset_names():
            text = (cls._preset_folder() / f"{preset}.yaml").read_text(encoding="utf-8")
        else:
            raise ValueError(
                f"there is no preset {str(preset)!r}; there are {', '.join(cls.preset_names())}, "
                "or give the path of a YAML file"
            )
        values = yaml.safe_load(text)
        if not isinstance(values, dict):
            raise ValueError(f"{preset}: a configuration is a mapping of options to values")
        values = cls.flat(values)
        if "like" not in values:
            return values
        like, above = values.pop("like"), (*above, str(preset))
        if Path(str(like)).suffix in (".yaml", ".yml"):
            like = path.parent / like
        if str(like) in above:
            raise ValueError(f"{' is like '.join((*above, str(like)))}: name one that is complete")
        return {**cls._read_yaml(like, above), **values}
