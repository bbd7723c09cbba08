"""HOME: the folder in which an embedded stack keeps its data. One stack at a time has it."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dispatcher.embedded.trouble import HomeTaken, StackTrouble
from dispatcher.private_files import make_folder, tighten_home
from dispatcher.settings import EMBEDDED_FILE

_THROW_AWAY = "demo.txt"
"""Marks a HOME whose data the next run may throw away."""
_MARK_SAYS = "This folder is a demo's: the next `dispatcher demo` throws its ledger and logs away.\n"
_PATIENCE_S = 30
"""How long to wait for processes of a killed stack, which end by themselves, to be gone."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder and what is where in it."""

    path: Path

    @property
    def logs(self) -> Path:
        """A log for each process."""
        return self.path / "logs"

    @property
    def ledger(self) -> Path:
        """The SQLite ledger."""
        return self.path / "ledger.db"

    @property
    def valkey(self) -> Path:
        """What Valkey keeps."""
        return self.path / "valkey"

    @property
    def journal(self) -> Path:
        """What the sandbox wrote down."""
        return self.path / "sandbox.jsonl"

    @contextmanager
    def held(self) -> Iterator[int]:
        """Have HOME for oneself, as the descriptor of its lock, which children may keep open.

        The lock goes when the last process that has it open is gone, so a stack that was killed is no obstacle.

        :raises HomeTaken: another process has it.
        """
        try:
            self._make_folders()
            tighten_home(self.path)
            lock = os.open(self.path / "stack.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StackTrouble(f"{self.path}: cannot be used ({error.strerror}); give another folder") from None
        try:
            self._take(lock)
            self.withdraw()  # whoever wrote one is gone: we have the lock
            yield lock
        finally:
            os.close(lock)

    def start_afresh(self) -> None:
        """Throw away the data of an earlier demo; call it only while HOME is held.

        :raises StackTrouble: there is a ledger that is no demo's.
        """
        mark = self.path / _THROW_AWAY
        if self.ledger.exists() and not mark.exists():
            raise StackTrouble(f"{self.path} has a ledger that is no demo's; give the demo another folder with --home")
        mark.unlink(missing_ok=True)
        _write_private(mark, _MARK_SAYS)
        for folder in (self.logs, self.valkey, self.path / "spool"):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.journal, *self.path.glob(f"{self.ledger.name}*")):
            file.unlink(missing_ok=True)
        self._make_folders()

    def publish(self, values: Mapping[str, str]) -> None:
        """Tell other terminals where everything is; ``read_embedded`` reads it. Only the owner may read it."""
        text = "".join(f"{name}={value}\n" for name, value in {"PID": str(os.getpid()), **values}.items())
        draft = self.path / f"{EMBEDDED_FILE}.new"
        draft.unlink(missing_ok=True)
        _write_private(draft, text)
        draft.replace(self.path / EMBEDDED_FILE)

    def withdraw(self) -> None:
        """Take that back."""
        (self.path / EMBEDDED_FILE).unlink(missing_ok=True)

    def secret(self, name: str) -> str:
        """Return a secret that stays the same from run to run; made when it is first asked for."""
        path = self.path / f"{name}.secret"
        if not path.exists():
            self._make_folders()
            _write_private(path, secrets.token_urlsafe(32))
        return path.read_text().strip()

    def _make_folders(self) -> None:
        for folder in (self.path, self.logs, self.valkey):
            make_folder(folder)

    def _take(self, lock: int) -> None:
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = _alive(os.pread(lock, 20, 0))
                if holder is not None or time.monotonic() > until:
                    raise HomeTaken(self.path, holder) from None
                time.sleep(0.1)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _alive(pid: bytes) -> int | None:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return None
    except PermissionError:
        pass
    return int(pid)
