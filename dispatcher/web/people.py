"""Who may: names, roles and password hashes from the settings; guesses cost more time each."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from enum import IntEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dispatcher.domain.errors import SettingsError

FREE_GUESSES = 5
_LONGEST_WAIT = 300.0
_REMEMBERED = 10_000


class Role(IntEnum):
    """What somebody may do; each includes those below."""

    VIEW = 1
    """Look, numbers masked."""
    OPERATE = 2
    """Replay, pause, run campaigns."""
    MONEY = 3
    """Answer for gifts in doubt, replay gifts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who has signed in."""

    name: str
    role: Role


LOCAL = Person(name="local", role=Role.MONEY)
"""Whoever sits at the machine itself, where the pages are bound to it and nobody is named."""


@dataclass(slots=True)
class People:
    """Everybody who may sign in."""

    hashes: dict[str, tuple[Role, str]] = field(repr=False)
    _hasher: PasswordHasher = field(default_factory=PasswordHasher)
    _misses: dict[str, tuple[int, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sign_in(self, name: str, password: str, *, address: str) -> Person | None:
        """Return who it is; None for a wrong name, a wrong password or too many guesses, and never which of them."""
        keys = (f"name {name[:100]}", f"address {address}")
        if any(self._waits(key) for key in keys):
            return None
        role, known = self.hashes.get(name, (Role.VIEW, _NOBODYS))
        try:
            self._hasher.verify(known, password)
        except (VerificationError, InvalidHashError):
            for key in keys:
                self._missed(key)
            return None
        with self._lock:
            for key in keys:
                self._misses.pop(key, None)
        return Person(name=name, role=role)

    def _waits(self, key: str) -> bool:
        with self._lock:
            count, until = self._misses.get(key, (0, 0.0))
        return count >= FREE_GUESSES and time.monotonic() < until

    def _missed(self, key: str) -> None:
        with self._lock:
            count = self._misses.get(key, (0, 0.0))[0] + 1
            wait = min(_LONGEST_WAIT, 15.0 * 2.0 ** (count - FREE_GUESSES))
            if len(self._misses) >= _REMEMBERED:
                self._misses.clear()
            self._misses[key] = (count, time.monotonic() + wait)


_NOBODYS = PasswordHasher().hash("nobody has this password")
"""Verified for unknown names, so that they take as long as known ones."""


def read_people(text: str) -> People:
    """Read who may sign in: ``name:role:hash``, with semicolons or line ends between.

    :raises SettingsError: an entry has another form.
    """
    found: dict[str, tuple[Role, str]] = {}
    for entry in text.replace("\n", ";").split(";"):
        if not entry.strip():
            continue
        parts = entry.strip().split(":", 2)
        if len(parts) != 3 or not parts[2].startswith("$argon2") or parts[1].upper() not in Role.__members__:
            raise SettingsError(
                "DISPATCHER_WEB_USERS: an entry is not name:role:hash with a role of view, operate or money; "
                "`dispatcher web --hash` makes the hash"
            )
        found[parts[0]] = (Role[parts[1].upper()], parts[2])
    return People(found)


def make_hash(password: str) -> str:
    """Return the hash of a password, for the settings."""
    return PasswordHasher().hash(password)
