"""Makes campaigns for tests: on a real ledger, through the same calls as everybody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from dispatcher.campaigns import Campaigns
from dispatcher.domain.errors import BrokerUnavailable
from dispatcher.domain.message import Channel
from dispatcher.domain.rate import parse_rate
from dispatcher.ledger import CampaignBooks
from dispatcher.ports import LimitState
from dispatcher.testing import FakeClock, OpenLimiter, SilentBell


class KnownLimits(OpenLimiter):
    """Tells a state of the limits, or that Redis is away."""

    effective_rate: float | None = 50.0

    def state(self, channel: Channel) -> LimitState:
        if self.effective_rate is None:
            raise BrokerUnavailable("Redis cannot be reached")
        return LimitState(
            configured_rate=100.0,
            effective_rate=self.effective_rate,
            blocked_for=timedelta(0),
            breaker="closed",
            breaker_wait=timedelta(0),
        )


def campaigns_on(engine: Engine, clock: FakeClock, *, limiter: KnownLimits | None = None, **changes: Any) -> Campaigns:
    """Make what makes campaigns."""
    return Campaigns(
        books=CampaignBooks(engine=engine),
        limiter=limiter or KnownLimits(),
        bell=SilentBell(),
        clock=clock,
        rates={Channel.SMS: parse_rate("100/s"), Channel.GIFT: parse_rate("10/s")},
        max_attempts=5,
        region=None,
        actor="test",
        **changes,
    )


def numbers(count: int, first: int = 0) -> list[str]:
    """Return valid Australian mobiles, each another."""
    return [f"+614{11_000_000 + first + place:08d}" for place in range(count)]


def rows(count: int, first: int = 0) -> Iterator[dict[str, str]]:
    """Yield recipients with a name and a code."""
    for place, number in enumerate(numbers(count, first)):
        yield {"recipient": number, "first_name": f"Name{place}", "code": f"C{place:05d}"}


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """Write a file as a spreadsheet might."""
    path.write_bytes(text.encode(encoding))
    return path
