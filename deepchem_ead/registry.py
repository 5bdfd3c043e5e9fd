"""Parts by name: those of the package, and those that other packages bring."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import TypeVar, cast, overload

logger = logging.getLogger(__name__)

#: Other packages list modules here; importing them registers their parts.
ENTRY_POINTS = "deepchem_ead.extensions"

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """Parts of one kind by their names.

    A package of its own adds to it by importing the registry and calling `register`, in a module
    that its entry point of the group ``deepchem_ead.extensions`` names. Those modules are imported
    when somebody first looks for a name that the package itself does not have, or asks for all.

    Parameters
    ----------
    what : str
        Kind of part, for messages: "denoiser".
    parts : mapping of str to object, optional
        The package's own.

    Examples
    --------
    >>> colours = Registry("colour", {"red": 1})
    >>> colours.register("blue", 2)
    2
    >>> sorted(colours), colours["blue"]
    (['blue', 'red'], 2)
    """

    def __init__(self, what: str, parts: Mapping[str, T] | None = None) -> None:
        self.what = what
        self._parts: dict[str, T | Lazy] = dict(parts or {})

    @overload
    def register(self, name: str, part: T) -> T: ...
    @overload
    def register(self, name: str) -> Callable[[T], T]: ...
    def register(self, name: str, part: T | None = None) -> T | Callable[[T], T]:
        """Add a part; without one, a decorator that does.

        Raises
        ------
        ValueError
            If another part has this name.
        """
        if part is None:
            return lambda found: self.register(name, found)
        known = self._parts.get(name, part)
        if known is not part and not isinstance(known, Lazy):
            raise ValueError(f"there is a {self.what} {name!r} already: {self._parts[name]!r}")
        self._parts[name] = part
        return part

    def register_lazily(self, name: str, module: str) -> None:
        """Add a part whose module registers it when it is imported, at its first use."""
        self._parts[name] = Lazy(module)

    def __getitem__(self, name: str) -> T:
        """The part of this name.

        Raises
        ------
        ValueError
            If there is none; names the nearest and all others.
        """
        if name not in self._parts:
            load_extensions()
        try:
            part = self._parts[name]
        except KeyError:
            raise UnknownName(self.what, name, self._parts) from None
        if isinstance(part, Lazy):
            import_module(part.module)
            return cast(T, self._parts[name])
        return part

    def __contains__(self, name: object) -> bool:
        if name not in self._parts:
            load_extensions()
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        load_extensions()
        return iter(self._parts)

    def __len__(self) -> int:
        load_extensions()
        return len(self._parts)

    def name_of(self, part: T) -> str | None:
        """The name under which a part is registered, or None."""
        return next((name for name, other in self._parts.items() if other is part), None)


@dataclass(frozen=True)
class Lazy:
    """Stands for a part whose module takes long to import."""

    module: str


class UnknownName(ValueError, KeyError):
    """There is no part of this name."""

    def __init__(self, what: str, name: object, known: Mapping[str, object]) -> None:
        close = difflib.get_close_matches(str(name), known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        super().__init__(f"{what} must be one of {', '.join(known)}, not {name!r}{hint}")

    __str__ = ValueError.__str__


_loaded = False


def load_extensions() -> None:
    """Import the modules of other packages that register parts; once, failures are logged."""
    global _loaded
    if _loaded:
        return
    _loaded = True  # before they are imported: they look names up, too
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            entry.load()
        except Exception:
            # A broken extension must not take the package down with it.
            logger.exception("the extension %s (%s) cannot be loaded", entry.name, entry.value)
