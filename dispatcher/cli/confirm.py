"""Asks before a command changes much."""

from __future__ import annotations

import sys

import typer

from dispatcher.cli.exits import Refused


def confirm(question: str, *, yes: bool, as_json: bool, declined: str) -> None:
    """Ask on the terminal, unless ``--yes`` answers.

    :param declined: what the command reports when the answer is no.
    :raises Refused: the answer is no, or there is no terminal to ask on.
    """
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise Refused(f"{question} Without a terminal, confirm with --yes")
    if not typer.confirm(question, err=True):
        raise Refused(declined)
