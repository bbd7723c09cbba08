"""Who may sign in: names, roles and password hashes from the settings. Passwords are hashed one at a time."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from starlette.concurrency import run_in_threadpool

from dispatcher.admin.actor import Role
from dispatcher.domain.errors import SettingsError
from dispatcher.web.guesses import Guesses

LONGEST_LINE = 10
"""Passwords that wait to be hashed. Each takes some 100 ms and 64 MB while it is hashed."""
BUSY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who has signed in."""

    name: str
    role: Role


LOCAL = Person(name="local", role=Role.PAYMENTS)
"""Whoever sits at the machine itself, where the pages are bound to it and nobody is named."""


class TooManyGuesses(Exception):
    """The password was not looked at. ``retry_after`` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many guesses; try again in {retry_after:.0f} s")
        self.retry_after = retry_after


@dataclass(slots=True)
class HashLine:
    """Passwords wait here, outside of the thread pool that answers pages, and are hashed one at a time."""

    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    _waiting: int = 0

    async def verify(self, known: str, password: str) -> bool:
        """Return whether a password has this hash.

        :raises TooManyGuesses: the line is full.
        """
        if self._waiting >= LONGEST_LINE:
            raise TooManyGuesses(BUSY_S)
        self._waiting += 1
        try:
            async with self._turn:
                return await run_in_threadpool(_matches, known, password)
        finally:
            self._waiting -= 1


@dataclass(slots=True)
class People:
    """Everybody who may sign in."""

    hashes: dict[str, tuple[Role, str]] = field(repr=False)
    _guesses: Guesses = field(init=False)
    _strangers: HashLine = field(default_factory=HashLine)
    _known_browsers: HashLine = field(default_factory=HashLine)

    def __post_init__(self) -> None:
        self._guesses = Guesses(names=frozenset(self.hashes))

    def find(self, name: str) -> Person | None:
        """Return a person as the settings have it now; None if they do not name it."""
        known = self.hashes.get(name)
        return None if known is None else Person(name=name, role=known[0])

    def epoch(self, name: str) -> str:
        """Return what changes with a person's role and password: a session of another epoch is over."""
        role, known = self.hashes.get(name, (Role.VIEWER, ""))
        return hashlib.sha256(f"{name}\x00{role.name}\x00{known}".encode()).hexdigest()[:32]

    async def sign_in(self, name: str, password: str, *, address: str, browser: str | None = None) -> Person | None:
        """Return who it is; None for a wrong name or a wrong password, and never which of them.

        A guess is counted before its password is hashed, so that guesses at the same moment are counted too.

        :param browser: the id of a browser in which this person has signed in before. Its guesses are counted apart
            and its passwords do not wait behind those of strangers.
        :raises TooManyGuesses: the password was not looked at.
        """
        guess = self._guesses.count(name, address=address, browser=browser)
        if guess.retry_after:
            raise TooManyGuesses(guess.retry_after)
        role, known = self.hashes.get(name, (Role.VIEWER, _NOBODYS))
        line = self._strangers if browser is None else self._known_browsers
        try:
            right = await line.verify(known, password)
        except TooManyGuesses:
            self._guesses.take_back(guess)
            raise
        if not right or name not in self.hashes:
            return None
        self._guesses.forget(guess)
        return Person(name=name, role=role)


def _matches(known: str, password: str) -> bool:
    try:
        return PasswordHasher().verify(known, password)
    except (VerificationError, InvalidHashError, UnicodeError):
        return False


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
                "DISPATCHER_WEB_USERS: an entry is not name:role:hash with a role of viewer, operator or payments; "
                "`dispatcher web --hash` makes the hash"
            )
        found[parts[0]] = (Role[parts[1].upper()], parts[2])
    return People(found)


def make_hash(password: str) -> str:
    """Return the hash of a password, for the settings."""
    return PasswordHasher().hash(password)
