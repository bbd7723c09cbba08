"""A noun of the command line and its verbs, e.g. ``dispatcher messages list``; and help that is laid out alike."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import typer

from dispatcher.cli.exits import Exit

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Commands(typer.Typer):
    """Commands whose docstrings are their help."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[_Command], _Command]:
        """Register a command."""

        def register(command: _Command) -> _Command:
            return super(Commands, self).command(name, help=laid_out(command.__doc__ or ""), **options)(command)

        return register


def noun(help: str) -> Commands:
    """Begin the commands about one thing; without a verb it explains itself and ends as wrong usage."""
    made = Commands(help=help, rich_markup_mode="rich", invoke_without_command=True)
    made.callback()(_explain)
    return made


def laid_out(text: str) -> str:
    r"""Lay a docstring out as help: paragraphs flow, indented lines (examples) stay as they are.

    >>> laid_out("One.\n\n    Flows\n    on.\n\n    Example:\n      as it is\n")
    'One.\n\nFlows on.\n\nExample:\n[not dim]  as it is[/not dim]'
    """
    paragraphs = inspect.cleandoc(text).replace("[", r"\[").split("\n\n")
    return "\n\n".join(_as_it_is(each) if "\n " in each else " ".join(each.split("\n")) for each in paragraphs)


def _as_it_is(paragraph: str) -> str:
    """Keep lines apart and indented: Typer strips blanks at their beginning, but not behind a tag."""
    return "\n".join(f"[not dim]{line}[/not dim]" if line.startswith(" ") else line for line in paragraph.split("\n"))


def _explain(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(Exit.USAGE)
