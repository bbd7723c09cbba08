"""Messages and tokens for the gateway's tests, and the transports that the conformance suite runs over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

from dispatcher.domain.attempt import Claimed, Sent, Trigger
from dispatcher.domain.identity import LeaseToken, MessageId, uuid7
from dispatcher.domain.message import Channel, GiftContent, Priority
from dispatcher.domain.recipient import Recipient
from dispatcher.gateway import RequestsTransport, gift_endpoint, sms_endpoint
from dispatcher.gateway.aiohttp_transport import AiohttpTransport
from dispatcher.ports import Token, Transport

NUMBER = "+61491570006"
TEXT = "Your parcel waits at Flinders Lane, pick-up code 918273"
NOTE = "Happy birthday, dear Wilhelmina, from all of us"
SECRET = "sekrit-0pAqUe-t0ken-value-for-tests"
TOKEN = Token(value=SECRET, generation=7, scopes=frozenset({"write", "gifting:send"}))
ENDPOINTS = {Channel.SMS: sms_endpoint("/sendSMS"), Channel.GIFT: gift_endpoint("/gifting/send")}

_numbers = count(1)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, wait: timedelta) -> None:
        time.sleep(wait.total_seconds())


def sms(text: str = TEXT, *, lease: timedelta = timedelta(minutes=1)) -> Claimed:
    return Claimed(
        id=MessageId(uuid7(1_700_000_000_000 + next(_numbers), 5)),
        channel=Channel.SMS,
        priority=Priority.TRANSACTIONAL,
        recipient=Recipient(NUMBER),
        body=text,
        gift=None,
        campaign_id=None,
        lease=LeaseToken(UUID(int=1)),
        lease_expires_at=datetime.now(UTC) + lease,
        attempts_made=0,
        max_attempts=5,
        calls_made=0,
        doubtful_sends=0,
        refused_generation=None,
        trigger=Trigger.AUTO,
    )


def gift(note: str = NOTE, amount: str = "25.00") -> Claimed:
    content = GiftContent(sku="CARD-25", amount=Decimal(amount), currency="AUD", note=note)
    return replace(sms(), channel=Channel.GIFT, body=None, gift=content)


def requests_transport(base_url: str, **settings: Any) -> Transport:
    return RequestsTransport(base_url=base_url, **(_given() | settings))


def aiohttp_transport(base_url: str, **settings: Any) -> Transport:
    return AiohttpTransport(base_url=base_url, **(_given() | settings))


def _given() -> dict[str, Any]:
    return {
        "endpoints": ENDPOINTS,
        "capacity": 4,
        "connect_timeout": timedelta(seconds=0.4),
        "read_timeout": timedelta(seconds=0.4),
        "clock": SystemClock(),
    }


TRANSPORTS: list[Callable[..., Transport]] = [requests_transport, aiohttp_transport]
"""Every transport; a new one joins the whole suite by joining this list."""


def gather(transport: Transport, number: int, *, within: float = 5) -> list[Sent]:
    """Collect so many finished calls, in the order in which they come."""
    sents: list[Sent] = []
    end = time.monotonic() + within
    while len(sents) < number and time.monotonic() < end:
        sents += transport.finished(wait=timedelta(seconds=0.2))
    assert len(sents) == number, f"only {len(sents)} of {number} calls came back within {within} s"
    return sents


def send(transport: Transport, message: Claimed | None = None) -> Sent:
    """Send one message and return what came of it."""
    transport.start([message or sms()], TOKEN)
    return gather(transport, 1)[0]
