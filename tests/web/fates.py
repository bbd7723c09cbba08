"""Messages of every fate, for pages to show."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from dispatcher.domain.message import Channel, Intake, NewMessage, Sms, check_message
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.wiring import Services
from tests.campaigns.making import numbers
from tests.making import gift, new_id, outcome, settled, sms, wish

NASTY = "<script>alert('x')</script>\x1b[2J"


def fill(services: Services, *, dead: int = 30) -> dict[str, UUID]:
    """Enqueue and settle, and return one id of each fate."""
    now = services.clock.now() - timedelta(minutes=1)
    ids: dict[str, UUID] = {}
    many = [_sms(now, number, f"text for {place}") for place, number in enumerate(numbers(dead))]
    card, safe = gift(now, "order-1"), gift(now, "order-2")
    services.books.enqueue([*many, card, safe], source="test")
    for claimed in services.ledger.claim(wish(now, count=dead)).messages:
        answer = outcome(
            OutcomeKind.REJECTED, http_status=422, error="invalid_recipient", error_description=f"{NASTY} no. 12345"
        )
        services.ledger.settle([settled(claimed, answer, now)])
        ids["dead"] = claimed.id
    for claimed in services.ledger.claim(wish(now, Channel.GIFT)).messages:
        kind = OutcomeKind.IN_DOUBT if claimed.id == card.id else OutcomeKind.REJECTED
        services.ledger.settle([settled(claimed, outcome(kind, http_status=None), now)])
    waiting = sms(now, NASTY.replace("\x1b", ""), tags=("vip",))
    services.books.enqueue([waiting], source="test")
    return ids | {"in_doubt": card.id, "dead_gift": safe.id, "queued": waiting.id}


def _sms(now: object, number: str, body: str) -> NewMessage:
    from datetime import datetime

    assert isinstance(now, datetime)
    request = Sms(recipient=number, body=body)
    return check_message(request, id=new_id(now), now=now, intake=Intake())
