"""All commands put together, what they share, and the one place where an error becomes a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dispatcher.cli.exits import Exit, complain, exit_code
from dispatcher.cli.late import LateCommands
from dispatcher.cli.noun import Commands, laid_out
from dispatcher.domain.errors import DispatcherError
from dispatcher.installation import explain

_UsageError: Any = typer.BadParameter.__base__
"""What Typer raises for wrong usage; where its class lives differs between versions."""

_START = """Send SMS and gift cards through one remote HTTP API: queued in SQL, never lost, no gift paid twice.

New here? `dispatcher demo` shows everything in a minute; `dispatcher up` starts all that sending needs on this
machine, and `dispatcher sms` in another terminal then sends. Elsewhere, `dispatcher check` says what is missing.
"""
_END = (
    "Settings are environment variables DISPATCHER_… (or .env, or a file each). "
    "Exit codes: 0 done, 1 failed, 2 usage, 3 nothing matched, 4 refused."
)


_BEGIN, _SEND, _LOOK, _MEND, _RUN = "Begin", "Send", "Look", "Put right", "Run"
_PANELS = {
    _BEGIN: ("demo", "up", "check"),
    _SEND: ("sms", "gift", "campaign", "suppress"),
    _LOOK: ("status", "messages"),
    _MEND: ("dead", "in-doubt", "operations", "channel", "spool", "audit"),
    _RUN: ("worker", "clock", "web", "migrate", "prune", "token", "sandbox"),
}
"""The commands in the order in which a newcomer meets them; each has a module of its name."""
_COMMANDS = frozenset(name for names in _PANELS.values() for name in names)


class _Program(TyperGroup):
    """Ends every command, however it ended, with its exit code and at the most one sentence for each fault."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"commands": LateCommands(_PANELS)})

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command and exit."""
        extra["standalone_mode"] = False
        try:
            ended = super().main(*args, **extra)
        except DispatcherError as error:
            complain(str(error))
            ended = exit_code(error)
        except ImportError as error:
            complain(explain(error, needed_by=_named(args[0] if args else None)))
            ended = Exit.FAILED
        except _UsageError as error:
            complain(_with_help(error))
            ended = Exit.USAGE
        except typer.Abort:
            complain("nothing was done")
            ended = Exit.REFUSED
        except KeyboardInterrupt:
            ended = Exit.INTERRUPTED
        except BrokenPipeError:
            raise
        except OSError as error:
            complain(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
            ended = Exit.FAILED
        sys.exit(int(ended or Exit.DONE))

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Name the commands without importing them."""
        return list(self.commands)


def _named(arguments: Sequence[str] | None) -> str:
    """Return the command that ran, as users write it."""
    given = sys.argv[1:] if arguments is None else arguments
    return " ".join(["dispatcher", *(word for word in given if word in _COMMANDS)][:2])


def _with_help(error: Any) -> str:
    sentence = " ".join(str(error.format_message()).split()).rstrip(".")
    return sentence if error.ctx is None else f"{sentence}; `{error.ctx.command_path} --help` explains"


app = Commands(
    name="dispatcher",
    cls=_Program,
    help=laid_out(_START),
    epilog=_END,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # they would print the values of variables: numbers, texts, secrets
    add_completion=True,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"dispatcher {version('dispatcher')}")
        except PackageNotFoundError:
            typer.echo("dispatcher (not installed)")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option("--home", help="Folder of embedded data and spool; the same as DISPATCHER_HOME.", file_okay=False),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Say the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    if home is not None:
        # In the environment, so that the processes which a command starts live in the same home.
        os.environ["DISPATCHER_HOME"] = str(home.absolute())
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
