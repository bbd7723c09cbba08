"""What a query may ask of messages: the fields, how each is read, and the help that pages and commands show."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import State


class Safety(StrEnum):
    """What sending a failed message again may do."""

    NOT_SENT = "not_sent"
    """No call can have been carried out."""
    REJECTED = "rejected"
    """The API refused it, so it was not carried out; the same again will be refused again."""
    MAY_HAVE_BEEN_SENT = "may_have_been_sent"
    """A second one may arrive beside the first."""
    EXPIRED = "expired"
    """It was never sent: its time was over first."""


class Kind(StrEnum):
    """How a field's value is read."""

    CHOICE = "choice"
    TEXT = "text"
    """Exact, or a beginning with ``*`` behind it."""
    NUMBER = "number"
    STATUS = "status"
    """``503`` or ``5xx``."""
    AMOUNT = "amount"
    MOMENT = "moment"
    """An age (``<2h``: less than two hours ago), or a date with or without a time, in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldKind:
    """What a field may be asked for."""

    kind: Kind
    help: str
    choices: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    """For moments that belong to a state: asking for one asks for the state as well."""
    private: bool = False
    """Lists mask it. Who may search for its beginnings reads it whole, digit by digit."""


def _choices(values: type[StrEnum], help: str) -> FieldKind:
    return FieldKind(kind=Kind.CHOICE, choices=tuple(value.value for value in values), help=help)


FIELDS: dict[str, FieldKind] = {
    "channel": _choices(Channel, "sms or gift"),
    "priority": _choices(Priority, "transactional or bulk"),
    "state": _choices(State, "where it stands"),
    "outcome": _choices(OutcomeKind, "what the last call came to"),
    "safety": _choices(Safety, "what sending it again may do"),
    "status": FieldKind(kind=Kind.STATUS, help="the last answer's HTTP status: 503 or 5xx"),
    "code": FieldKind(kind=Kind.TEXT, help="the last answer's error code"),
    "failure": FieldKind(kind=Kind.TEXT, help="the normalised reason, as in failure groups"),
    "to": FieldKind(kind=Kind.TEXT, help="the recipient: +61491570006 or +614*", private=True),
    "id": FieldKind(kind=Kind.TEXT, help="the message's id"),
    "key": FieldKind(kind=Kind.TEXT, help="the idempotency key"),
    "campaign": FieldKind(kind=Kind.TEXT, help="a campaign's name or id"),
    "tag": FieldKind(kind=Kind.TEXT, help="a tag it carries"),
    "operation": FieldKind(kind=Kind.TEXT, help="the bulk operation that queued it again, by its id"),
    "source": FieldKind(kind=Kind.TEXT, help="who enqueued it"),
    "sku": FieldKind(kind=Kind.TEXT, help="a gift's sku"),
    "currency": FieldKind(kind=Kind.TEXT, help="a gift's currency"),
    "amount": FieldKind(kind=Kind.AMOUNT, help="a gift's amount: >=50"),
    "attempts": FieldKind(kind=Kind.NUMBER, help="attempts spent: >=3"),
    "calls": FieldKind(kind=Kind.NUMBER, help="calls made"),
    "created": FieldKind(kind=Kind.MOMENT, help="when it was enqueued: <2h, >2026-11-24"),
    "updated": FieldKind(kind=Kind.MOMENT, help="when it changed last"),
    "due": FieldKind(kind=Kind.MOMENT, help="when it is due"),
    "accepted": FieldKind(kind=Kind.MOMENT, help="when the API accepted it"),
    "dead": FieldKind(kind=Kind.MOMENT, states=(State.DEAD,), help="dead, and since when: <2h"),
    "expired": FieldKind(kind=Kind.MOMENT, states=(State.EXPIRED,), help="expired, and when"),
    "in_doubt": FieldKind(kind=Kind.MOMENT, states=(State.IN_DOUBT,), help="in doubt, and since when"),
}
