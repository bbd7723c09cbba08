"""Whether the dependencies of a process answer now: the ledger, at this version's revision, and Redis."""

from __future__ import annotations

from redis.exceptions import RedisError

from dispatcher.domain.errors import DispatcherError
from dispatcher.ledger import PROBE, require_head, require_writable
from dispatcher.settings import Settings
from dispatcher.wiring import Services


def readiness(services: Services) -> dict[str, str]:
    """Return "ok" or an error for `ledger` and `redis`, as `/readyz` of every process shows them."""
    found = {"ledger": "ok", "redis": "ok"}
    try:
        require_head(services.engine, deadlines=PROBE)
        require_writable(services.engine, deadlines=PROBE)
    except DispatcherError as wrong:
        found["ledger"] = str(wrong)
    try:
        services.redis.ping()
    except (RedisError, OSError) as away:
        found["redis"] = f"cannot be reached: {away}"
    return found


def readiness_once(settings: Settings) -> dict[str, str]:
    """Return the same over connections that are closed again.

    For a process that forks: a connection that stays open would be inherited by its children.
    """
    services = Services(settings)
    try:
        return readiness(services)
    finally:
        services.close()
