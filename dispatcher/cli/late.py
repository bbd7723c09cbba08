"""Commands that are imported when they are first asked for: `dispatcher status` loads no other command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from importlib import import_module
from typing import Any

import typer
from typer.main import get_group

from dispatcher.cli.noun import Commands


class LateCommands(MutableMapping[str, Any]):
    """Commands by name, as a Typer group holds them; the keys are known without importing any."""

    def __init__(self, panels: Mapping[str, Sequence[str]]) -> None:
        """Take the names of the commands by the panel of the help that shows them."""
        self._panels = {name: panel for panel, names in panels.items() for name in names}
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(name, self._panels[name])
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command
        self._panels.setdefault(name, "")

    def __delitem__(self, name: str) -> None:
        del self._panels[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._panels)

    def __len__(self) -> int:
        return len(self._panels)


def _load(name: str, panel: str) -> Any:
    """Import the module of a command and build the command: a function, or the noun of several."""
    identifier = name.replace("-", "_")
    found = getattr(import_module(f"dispatcher.cli.{identifier}"), identifier)
    alone = Commands(rich_markup_mode="rich", pretty_exceptions_enable=False)
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name, rich_help_panel=panel)
    else:
        alone.command(name, rich_help_panel=panel)(found)
    return get_group(alone).commands[name]
