"""The journal on disk: lines of JSON, appended.

Lines are handed to the operating system at the end of the event loop's turn in which they came, all in one
write, so a killed sandbox loses at most the turn it was in. There is no fsync: a machine that loses power may
lose more.
"""

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class JournalUnreadable(ValueError):
    """The journal file cannot be used; the message says why and what to do."""


class JournalFile:
    """Appends lines to the file at `path`, which one sandbox at a time may have."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[str] = []
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise JournalUnreadable(
                f"journal {path}: cannot be opened ({error.strerror}); name another file"
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise JournalUnreadable(f"journal {path}: another sandbox has it open; name another file") from error

    def read(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each line already there, and the entry it holds. A last line that a crash cut short is dropped for good."""
        whole = 0
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                text = line.decode("ascii", "replace").rstrip("\n")
                yield text, self._entry(text, number)
        os.ftruncate(self._descriptor, whole)

    def append(self, line: str) -> None:
        """Write `line` at the end of this turn of the event loop."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append(line)

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            rest = memoryview(("\n".join(self._waiting) + "\n").encode("ascii"))
            self._waiting.clear()
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def empty(self) -> None:
        """Drop every line."""
        self._waiting.clear()
        os.ftruncate(self._descriptor, 0)

    def close(self) -> None:
        """Write what waits, and leave the file."""
        self.flush()
        os.close(self._descriptor)

    def _entry(self, text: str, number: int) -> dict[str, Any]:
        try:
            entry: dict[str, Any] = json.loads(text)
            if entry["seq"] == number:
                return entry
        except (ValueError, KeyError, TypeError):
            pass
        raise JournalUnreadable(f"journal {self._path}: line {number} is no entry of a sandbox; name another file")
