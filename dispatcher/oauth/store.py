"""The shared token in Redis: one record per audience and secret, sealed, read and written by scripts only.

No host's clock counts here: Redis says how much life a record has left and how long a cool-down still lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import RedisError

from dispatcher.oauth.lock import MintLock
from dispatcher.oauth.scripts import script_text, unavailable
from dispatcher.oauth.seal import Seal
from dispatcher.oauth.token import Credentials, FailureKind, Minted, Trouble
from dispatcher.ports import Token

LOCK_LIFE = timedelta(seconds=15)
_MILLISECOND = timedelta(milliseconds=1)
_COUNT_REMEMBERED = timedelta(hours=1)
"""How long past a cool-down the next failure still lengthens it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The shared token as Redis has it."""

    token: Token
    life: timedelta
    """How long it was trusted when it was stored."""
    left: timedelta
    """How long it still is, by Redis' clock."""
    retired: bool
    """The API refused it."""
    oddities: tuple[str, ...] = ()
    """What was against the RFC in the answer that brought it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What Redis knows at one moment. A record that cannot be opened is no record."""

    record: Record | None
    trouble: Trouble | None


class TokenStore:
    """Reads and writes the shared token. ``redis`` must not re-send commands and should have short timeouts.

    Every method raises BrokerUnavailable when Redis cannot be reached or refuses to serve.
    """

    def __init__(self, *, redis: Redis, credentials: Credentials, lock_life: timedelta = LOCK_LIFE) -> None:
        self._redis = redis
        self._seal = Seal(credentials)
        root = f"dispatcher:{{token:{self._seal.audience[:32]}}}:{self._seal.credentials}"
        self._record, self._failure, self._lock = f"{root}:record", f"{root}:failure", f"{root}:lock"
        self._read, self._keep, self._fail, self._retire = (
            redis.register_script(script_text(name)) for name in ("read", "keep", "fail", "retire")
        )
        self.lock = MintLock(redis=redis, key=self._lock, life=lock_life)

    def read(self) -> Reading:
        """Return the shared token and what hinders the next."""
        try:
            reply = [_text(each) for each in _reply(self._read, [self._record, self._failure], [])]
        except UnicodeDecodeError:
            return Reading(record=None, trouble=None)
        generation, sealed, life_ms, retired, ttl_ms, count, kind, reason, cooling_ms, oddities = reply
        return Reading(
            record=self._opened(generation, sealed, life_ms, ttl_ms, retired=retired, oddities=oddities),
            trouble=_trouble(kind, reason, count, cooling_ms),
        )

    def keep(self, owner: str, minted: Minted, *, trusted: timedelta) -> int | None:
        """Store a new token for as long as it is trusted, free the lock and return the token's generation.

        None means that the lock has passed to another meanwhile: whatever that one stores is not touched.
        """
        sealed = self._seal.close(minted.value, minted.scopes)
        oddities = "\n".join(minted.oddities)
        arguments: list[str | int] = [owner, sealed, max(1, int(trusted / _MILLISECOND)), oddities]
        reply = _reply(self._keep, [self._record, self._lock, self._failure], arguments)
        return None if reply is None else int(_text(reply))

    def fail(self, owner: str, trouble: Trouble) -> bool:
        """Record failure number ``trouble.count`` for every process to obey and free the lock.

        False means that the lock has passed to another meanwhile and nothing was recorded.
        """
        cooling_ms = int(trouble.cooling / _MILLISECOND)
        keep_ms = cooling_ms + int(_COUNT_REMEMBERED / _MILLISECOND)
        arguments: list[str | int] = [owner, trouble.count, trouble.kind.value, trouble.reason, cooling_ms, keep_ms]
        return bool(_reply(self._fail, [self._failure, self._lock], arguments))

    def forget_failure(self) -> None:
        """End the cool-down of every process; each notices at its next look."""
        try:
            self._redis.delete(self._failure)
        except RedisError as error:
            raise unavailable(error) from None

    def retire(self, generation: int) -> bool:
        """Mark this generation as refused by the API, if it is the present one; tells whether this call did it."""
        return bool(_reply(self._retire, [self._record], [generation]))

    def _opened(
        self, generation: str, sealed: str, life_ms: str, ttl_ms: str, *, retired: str, oddities: str
    ) -> Record | None:
        opened = self._seal.open(sealed)
        number, life, left = _number(generation), _number(life_ms), _number(ttl_ms)
        if opened is None or number is None or life is None or left is None:
            return None
        return Record(
            token=Token(value=opened.value, generation=number, scopes=opened.scopes),
            life=life * _MILLISECOND,
            left=min(life, left) * _MILLISECOND,
            retired=retired != "",
            oddities=tuple(oddities.splitlines()),
        )


def _trouble(kind: str, reason: str, count: str, cooling_ms: str) -> Trouble | None:
    failures, cooling = _number(count), _number(cooling_ms)
    if kind not in set(FailureKind) or failures is None or cooling is None:
        return None
    return Trouble(kind=FailureKind(kind), reason=reason, count=failures, cooling=cooling * _MILLISECOND)


def _number(text: str) -> int | None:
    """A whole number as our scripts write it; None for anything else, a key without an end (-1) included."""
    return int(text) if text.isdecimal() and len(text) <= 15 else None


def _reply(script: Script, keys: list[str], arguments: Sequence[str | int]) -> Any:
    try:
        return script(keys=keys, args=arguments)
    except RedisError as error:
        raise unavailable(error) from None


def _text(part: bytes | str) -> str:
    """A client may or may not decode what Redis replies."""
    return part.decode() if isinstance(part, bytes) else part
