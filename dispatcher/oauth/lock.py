"""The lock under which one process of the fleet mints. It saves token calls; what keeps the token right is the fence.

Not redis-py's own lock: that forgets its owner before the release has reached Redis, and takes a lost reply for a
lost lock.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from redis import Redis
from redis.exceptions import RedisError

from dispatcher.oauth.scripts import script_text, unavailable


class MintLock:
    """A lock with a random owner and an end of its own, so that a killed holder stops the others only so long."""

    def __init__(self, *, redis: Redis, key: str, life: timedelta) -> None:
        self._redis = redis
        self._key = key
        self._release = redis.register_script(script_text("release"))
        self.life = life

    def acquire(self) -> str | None:
        """Take the lock and return the owner's name; None if another has it.

        A reply may be lost, or a command be sent again by a client that retries: so neither an error nor a refusal
        is believed before the lock itself said whose it is.

        :raises BrokerUnavailable: Redis cannot be reached.
        """
        owner = secrets.token_hex(16)
        try:
            if self._redis.set(self._key, owner, nx=True, px=int(self.life / timedelta(milliseconds=1))):
                return owner
        except RedisError:
            pass
        try:
            holder = self._redis.get(self._key)
        except RedisError as error:
            raise unavailable(error) from None
        return owner if holder in {owner, owner.encode()} else None

    def release(self, owner: str) -> None:
        """Free the lock if it is still this owner's; without Redis it ends by itself."""
        try:
            self._release(keys=[self._key], args=[owner])
        except RedisError:
            return
