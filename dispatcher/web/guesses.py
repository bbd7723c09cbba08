"""How many passwords may be guessed: few at once, then one every few seconds. Nobody is locked out.

Three counts, each a token bucket:

* a name at one address: a stranger who guesses a name elsewhere costs its owner nothing;
* a name at all addresses: many addresses together guess no more than one password a second;
* a name in a browser in which it has signed in before: nobody else's guesses count there, behind the same proxy either.

There is no count of an address alone: behind a proxy it would be everybody's.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

Key = tuple[str, str, str]
"""What is counted: its kind, the name, and the address or browser."""
_LONGEST_NAME = 100
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """A token bucket: so many guesses at once, then one each ``every_s`` seconds."""

    at_once: int
    every_s: float


AT_ONE_PLACE = Allowance(at_once=5, every_s=5.0)
AT_ALL_PLACES = Allowance(at_once=30, every_s=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """A guess that was counted, or refused."""

    keys: tuple[Key, ...]
    retry_after: float
    """Seconds until the next guess; 0 for a guess that was counted."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


@dataclass(slots=True)
class Guesses:
    """Counts guesses. All is in this process's memory: pages that restart begin anew."""

    names: frozenset[str]
    """Counts of these names are kept apart, so that guesses at other names cannot push them out of memory."""
    now: Callable[[], float] = time.monotonic
    _of_known: OrderedDict[Key, _Bucket] = field(default_factory=OrderedDict)
    _of_others: OrderedDict[Key, _Bucket] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, name: str, *, address: str, browser: str | None) -> Guess:
        """Count a guess before its password is looked at. A refused one is not counted, so it delays nobody."""
        name = name[:_LONGEST_NAME]
        keys: tuple[Key, ...] = (
            (("browser", name, browser),)
            if browser is not None
            else (("address", name, address), ("all addresses", name, ""))
        )
        with self._lock:
            now = self.now()
            left = [self._left(key, now) for key in keys]
            waits = [(1.0 - each) * _allowed(key).every_s for key, each in zip(keys, left, strict=True) if each < 1.0]
            if waits:
                return Guess(keys=keys, retry_after=max(waits))
            for key, each in zip(keys, left, strict=True):
                self._keep(key, each - 1.0, now)
        return Guess(keys=keys, retry_after=0.0)

    def take_back(self, guess: Guess) -> None:
        """Uncount a guess whose password was not looked at after all."""
        with self._lock:
            now = self.now()
            for key in guess.keys:
                self._keep(key, self._left(key, now) + 1.0, now)

    def forget(self, guess: Guess) -> None:
        """Uncount a guess that was right, and the wrong ones before it at the same place."""
        self.take_back(guess)
        with self._lock:
            self._store(guess.keys[0]).pop(guess.keys[0], None)

    def _left(self, key: Key, now: float) -> float:
        allowed, bucket = _allowed(key), self._store(key).get(key)
        if bucket is None:
            return float(allowed.at_once)
        return min(allowed.at_once, bucket.left + (now - bucket.at) / allowed.every_s)

    def _keep(self, key: Key, left: float, now: float) -> None:
        store = self._store(key)
        store[key] = _Bucket(left, now)
        store.move_to_end(key)
        if len(store) > _REMEMBERED:
            store.popitem(last=False)

    def _store(self, key: Key) -> OrderedDict[Key, _Bucket]:
        return self._of_known if key[1] in self.names else self._of_others


def _allowed(key: Key) -> Allowance:
    return AT_ALL_PLACES if key[0] == "all addresses" else AT_ONE_PLACE
