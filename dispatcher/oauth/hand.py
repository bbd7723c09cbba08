"""What this process holds: the token in use, and the generations that it must never use again."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta

from dispatcher.oauth.token import window
from dispatcher.ports import Clock, Token

_REFUSALS_REMEMBERED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A token in hand; its moments are seconds of this process' monotonic clock."""

    token: Token
    life: timedelta
    """How long it was trusted when it was stored."""
    refresh_at: float
    ends_at: float


def held_until(ends_at: float, *, token: Token, life: timedelta, roll: float) -> Held:
    """Return the token as held, to be refreshed at a moment of its own by each process (``roll`` in [0, 1))."""
    ahead = window(life, roll=roll).total_seconds()
    return Held(token=token, life=life, refresh_at=ends_at - ahead, ends_at=ends_at)


class Hand:
    """Holds one token for all threads. Every change is one short step under a lock; nothing here does I/O."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._held: Held | None = None
        self._refused: dict[int, bool] = {}
        self._newest = 0

    def fresh(self) -> Held | None:
        """The token, if nothing at all needs to be done about it. Takes no lock: this is the way of every message."""
        held = self._held
        return held if held is not None and self._clock.monotonic() < held.refresh_at else None

    def usable(self) -> Held | None:
        """The token, if it may be used, be it due for a refresh or not."""
        held = self._held
        return held if held is not None and self._clock.monotonic() < held.ends_at else None

    def take(self, offered: Held) -> None:
        """Hold the offered token if it lives longer than the present one and was not refused meanwhile."""
        generation = offered.token.generation
        with self._guard:
            held = self._held
            if generation in self._refused or offered.ends_at <= self._clock.monotonic():
                return
            if held is None or (held.token.generation != generation and held.ends_at < offered.ends_at):
                self._hold(offered)

    def keep(self, minted: Held) -> None:
        """Hold the token that was just minted."""
        with self._guard:
            self._hold(minted)

    def give_up(self, generation: int) -> bool:
        """Never use this generation again, and leave every other alone; tells whether it was in hand."""
        with self._guard:
            self._refused.setdefault(generation, False)
            while len(self._refused) > _REFUSALS_REMEMBERED:
                del self._refused[next(iter(self._refused))]
            if self._held is None or self._held.token.generation != generation:
                return False
            self._held = None
            return True

    def refused(self, generation: int) -> bool:
        """Whether the API refused this generation."""
        return generation in self._refused

    def redis_knows(self, generation: int) -> bool:
        """Whether Redis knows that this generation was refused."""
        return self._refused.get(generation, False)

    def redis_was_told(self, generation: int) -> None:
        """Remember that Redis knows that this generation was refused."""
        with self._guard:
            self._refused[generation] = True

    def private_generation(self) -> int:
        """Return a generation for a token that Redis never saw: local milliseconds, more than the newest known."""
        return max(int(self._clock.now().timestamp() * 1000), self._newest + 1)

    def _hold(self, held: Held) -> None:
        self._held = held
        self._newest = max(self._newest, held.token.generation)
