"""Do the books balance? The provider's journal against the ledger, message by message, by Idempotency-Key.

The law of one message: the provider carried it out at least as often as the ledger has accepted calls for it, and at
the most as often as it has accepted and doubtful calls together. A gift besides never more than once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import State
from dispatcher.ledger import Attempt, Message
from dispatcher.sandbox import JournalEntry

MARK = "may be a duplicate"
"""What the ledger says where it sent an SMS again without knowing that the first one had not arrived."""
_SENT = frozenset({State.ACCEPTED, State.DELIVERED, State.UNDELIVERED})


class Check(StrEnum):
    """What is looked at. The values are how a reader is told that it holds."""

    ACCOUNTED = "every message is accounted for in both books"
    GIFTS_ONCE = "no gift was carried out twice"
    REPEATS_MARKED = "every SMS that went out again is marked “may be a duplicate”"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not hold."""

    check: Check
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One message in both books."""

    message: Message
    carried_out: int
    """How often the provider carried it out."""
    calls: tuple[Attempt, ...]
    """What the ledger knows of its calls; empty where both books agree on "accepted, once"."""

    @property
    def why(self) -> str:
        """Why it stands where it stands, in the ledger's words."""
        return next((call.why_next for call in reversed(self.calls) if call.why_next), self.message.last_error or "")

    @property
    def marked(self) -> int:
        """How often the ledger says that it may have sent a duplicate."""
        return sum(MARK in (call.why_next or "") for call in self.calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One channel in both books."""

    states: Counter[State]
    reached: Counter[State]
    """How many of the messages in each state the provider carried out, however often."""
    carried_out: int

    @property
    def total(self) -> int:
        """Messages in the ledger."""
        return self.states.total()

    @property
    def again(self) -> int:
        """How often the provider carried out what it had carried out before."""
        return self.carried_out - self.reached.total()


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What the comparison came to."""

    sides: dict[Channel, Side]
    repeated: tuple[Account, ...]
    """SMS that the provider carried out more than once."""
    in_doubt: tuple[Account, ...]
    dead: tuple[Account, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the books balance."""
        return not self.problems

    @property
    def money_in_doubt(self) -> dict[str, Decimal]:
        """Sum of the gifts in doubt, by currency."""
        sums: dict[str, Decimal] = {}
        for gift in (account.message.gift for account in self.in_doubt):
            if gift is not None:
                sums[gift.currency] = sums.get(gift.currency, Decimal(0)) + gift.amount
        return sums


def reconcile(
    *,
    enqueued: Iterable[UUID],
    messages: Sequence[Message],
    journal: Sequence[JournalEntry],
    calls_of: Callable[[UUID], Sequence[Attempt]],
) -> Balance:
    """Compare the journal with the ledger.

    :param enqueued: the ids of the receipts that the application was given.
    :param messages: all messages of the ledger, once nothing is under way any more.
    :param calls_of: looks up a message's attempts; asked only where the books do not plainly agree.
    """
    carried: dict[str | None, list[JournalEntry]] = {}
    for entry in journal:
        if entry.carried_out and entry.kind in ("sms", "gift"):
            carried.setdefault(entry.idempotency_key, []).append(entry)
    problems = [*_strangers(enqueued, messages, carried)]
    accounts = []
    for message in messages:
        entries = carried.get(str(message.id), [])
        plain = message.state in _SENT and len(entries) == 1
        calls = () if plain else tuple(calls_of(message.id))
        account = Account(message=message, carried_out=len(entries), calls=calls)
        accounts.append(account)
        problems += [
            Problem(check, f"{message.channel.value} {message.id} {text}") for check, text in _wrongs(account, entries)
        ]
    return Balance(
        sides={channel: _side(channel, accounts) for channel in Channel},
        repeated=tuple(a for a in accounts if a.message.channel is Channel.SMS and a.carried_out > 1),
        in_doubt=tuple(a for a in accounts if a.message.state is State.IN_DOUBT),
        dead=tuple(a for a in accounts if a.message.state is State.DEAD),
        problems=tuple(problems),
    )


def _strangers(
    enqueued: Iterable[UUID], messages: Sequence[Message], carried: Mapping[str | None, Sequence[JournalEntry]]
) -> Iterator[Problem]:
    """Yield what one of the books has never heard of."""
    known = {message.id for message in messages}
    for id_ in enqueued:
        if id_ not in known:
            yield Problem(Check.ACCOUNTED, f"message {id_} has a receipt and is not in the ledger")
    keys = {str(id_) for id_ in known}
    for key, entries in carried.items():
        if key not in keys:
            what = f"the API carried out {len(entries)} {entries[0].kind} under the key {key}, which no message has"
            yield Problem(Check.ACCOUNTED, what)


def _wrongs(account: Account, entries: Sequence[JournalEntry]) -> Iterator[tuple[Check, str]]:
    message, times = account.message, account.carried_out
    if not message.state.settled:
        yield Check.ACCOUNTED, f"is still {message.state.value}"
        return
    accepted = int(message.state in _SENT)
    doubtful = sum(_leaves_doubt(message, call) for call in account.calls)
    if message.channel is Channel.GIFT and times > 1:
        yield Check.GIFTS_ONCE, f"was carried out {times} times"
    elif message.channel is Channel.SMS and times > 1 + account.marked:
        yield Check.REPEATS_MARKED, f"was carried out {times} times, {account.marked} calls are marked as such"
    elif times > accepted + doubtful:
        what = f"was carried out {times} times; it is {message.state.value} after {doubtful} doubtful calls"
        yield Check.ACCOUNTED, what
    if times < accepted:
        yield Check.ACCOUNTED, f"is {message.state.value} in the ledger, and the API never carried it out"
    elif accepted and message.provider_id and message.provider_id not in {entry.provider_id for entry in entries}:
        yield Check.ACCOUNTED, f"has the provider id {message.provider_id}, which the API gave to none of its calls"


def _leaves_doubt(message: Message, call: Attempt) -> bool:
    """Whether the call may have been carried out: a gift's failed one too, since the API may fail after it paid."""
    failed_gift = message.channel is Channel.GIFT and call.outcome is OutcomeKind.FAILED
    return failed_gift or call.outcome in (OutcomeKind.IN_DOUBT, OutcomeKind.CONFLICT)


def _side(channel: Channel, accounts: Sequence[Account]) -> Side:
    ours = [account for account in accounts if account.message.channel is channel]
    states = Counter(account.message.state for account in ours)
    reached = Counter(account.message.state for account in ours if account.carried_out)
    return Side(states=states, reached=reached, carried_out=sum(account.carried_out for account in ours))
