"""Packages whose names are imported at first use (PEP 562), so that a process loads only the modules it works with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def exports(package: str, names: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Return a package's ``__getattr__``, which imports a name from the submodule that defines it.

    The package repeats these imports under ``TYPE_CHECKING``, for type checkers and import contracts; a test compares
    the two lists. Threads may ask for the same name at once: the import system's locks let one of them import it.

    :param names: the exported names, by the submodule that defines them.
    """
    homes = {name: module for module, found in names.items() for name in found}

    def export(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            value = getattr(import_module(f"{package}.{homes[name]}"), name)
        except AttributeError as error:  # else `from package import name` would hide where it was raised
            raise ImportError(f"{package}.{name}: {error}") from error
        setattr(sys.modules[package], name, value)  # the next use finds it without a call
        return value

    return export
