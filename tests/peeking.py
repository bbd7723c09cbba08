"""Looks into Redis as a thief would: every key and value, and what is packed inside them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from redis import Redis

_BODY = re.compile(rb'"body": ?"([A-Za-z0-9+/=]+)"')


def everything_in(redis: Redis) -> str:
    """Return all that Redis holds as one text, Celery's base64 bodies opened."""
    return opened(b"\n".join(_values(redis)))


def opened(raw: bytes) -> str:
    """Return what was said or kept as one text, with Celery's base64 bodies opened behind it."""
    bodies = b"\n".join(base64.b64decode(body) for body in _BODY.findall(raw))
    return (raw + b"\n" + bodies).decode(errors="replace")


def _values(redis: Redis) -> Iterator[bytes]:
    for key in redis.scan_iter():
        found: Any = None  # the client's types cannot tell bytes from text
        match redis.type(key):
            case b"string":
                found = [redis.get(key) or b""]
            case b"list":
                found = redis.lrange(key, 0, -1)
            case b"hash":
                found = [part for pair in redis.hgetall(key).items() for part in pair]
            case b"set":
                found = redis.smembers(key)
            case b"zset":
                found = redis.zrange(key, 0, -1)
        yield key
        yield from found or ()
