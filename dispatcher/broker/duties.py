"""The failing duties of the clock, in Redis: a clock writes them, `status` and `check` on any host read them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from redis import Redis, RedisError

from dispatcher.domain.duty import Duty, FailingDuty
from dispatcher.domain.errors import BrokerUnavailable
from dispatcher.logs import get_logger

log = get_logger(__name__)

_KEY = "dispatcher:clock:failing"
_LIFE = timedelta(hours=1)
"""A failing duty is reported anew at least once a minute; a clock that ended without a word is forgotten."""
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class RedisDutyReports:
    """Implements ``DutyReports``. Redis that is away costs the report and nothing else."""

    redis: Redis

    def failing(self, found: FailingDuty) -> None:
        """Report a duty that failed again."""
        told = {"failures": found.failures, "since": found.since.isoformat(), "reason": found.reason[:_LONGEST_REASON]}
        try:
            self.redis.hset(_KEY, found.duty.value, json.dumps(told))
            self.redis.expire(_KEY, _LIFE)
        except (RedisError, OSError) as error:
            log.warning("duty_not_reported", duty=found.duty.value, reason=type(error).__name__)

    def recovered(self, duty: Duty) -> None:
        """Report a duty that succeeded."""
        try:
            self.redis.hdel(_KEY, duty.value)
        except (RedisError, OSError) as error:
            log.warning("duty_not_reported", duty=duty.value, reason=type(error).__name__)

    def read(self) -> tuple[FailingDuty, ...]:
        """Return what clocks reported.

        :raises BrokerUnavailable: Redis cannot be asked.
        """
        try:
            found = cast("dict[bytes, bytes]", self.redis.hgetall(_KEY))
        except (RedisError, OSError) as error:
            raise BrokerUnavailable(f"Redis cannot be reached: {error}") from None
        return tuple(_read(Duty(name.decode()), json.loads(told)) for name, told in sorted(found.items()))


def _read(duty: Duty, told: dict[str, str | int]) -> FailingDuty:
    return FailingDuty(
        duty=duty,
        failures=int(told["failures"]),
        since=datetime.fromisoformat(str(told["since"])),
        reason=str(told["reason"]),
    )
