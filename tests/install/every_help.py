"""Run `--help` of every command of the installation that runs this, in one process; print as JSON how each ended."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import typer

from dispatcher.cli.app import app


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of a command and of each below it."""
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


def ended(program: Any, path: tuple[str, ...]) -> tuple[int, str]:
    """Return a command's exit code and its output."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        try:
            program.main([*path, "--help"], prog_name="dispatcher")
        except SystemExit as left:
            return int(left.code or 0), said.getvalue()
    raise AssertionError(f"{path} did not exit")


if __name__ == "__main__":
    program = typer.main.get_command(app)
    print(json.dumps({" ".join(path): ended(program, path) for path in commands(program)}))
