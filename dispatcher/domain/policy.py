"""What follows an outcome. The table is data, one per channel; ``decide`` only reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, assert_never

from dispatcher.domain.backoff import Backoff
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.domain.state import State
from dispatcher.domain.suspicion import ANSWERS, Blame


class Next(StrEnum):
    """What becomes of the message."""

    ACCEPT = "accept"
    RETRY = "retry"
    """Again after a backoff, while attempts are left."""
    RETRY_IN_DOUBT = "retry_in_doubt"
    """Again although it may be a duplicate, a bounded number of times; then in doubt."""
    REQUEUE = "requeue"
    """Back in the queue as if nothing had happened; the channel waits, not the message."""
    SET_BACK = "set_back"
    """Behind the others, and dead after a few such answers, unless the channel itself is at fault."""
    DIE = "die"
    DOUBT = "doubt"
    """To a person: it may have been carried out."""


class Effect(StrEnum):
    """What the outcome says about the whole channel."""

    HEALTHY = "healthy"
    """The API answered sensibly: closes the breaker, raises the rate again."""
    SICK = "sick"
    """Feeds the breaker."""
    THROTTLE = "throttle"
    """Pause until Retry-After and lower the rate, fleet-wide."""
    RENEW_TOKEN = "renew_token"  # noqa: S105 - the name of an effect, not a secret
    """Retire the token's generation; the channel is suspect if a fresh one was refused too."""
    SUSPECT = "suspect"
    """Send one message at a time; pause with the reason if the channel turns out to be at fault (``suspicion``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One cell of the table."""

    next: Next
    spends: bool
    """Whether it costs one of the message's attempts."""
    effect: Effect


class Facts(Protocol):
    """What a decision needs to know of the message."""

    @property
    def attempts_made(self) -> int: ...
    @property
    def max_attempts(self) -> int: ...
    @property
    def calls_made(self) -> int: ...
    @property
    def doubtful_sends(self) -> int: ...
    @property
    def configuration_answers(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The whole policy of a channel."""

    rules: Mapping[OutcomeKind, Rule]
    backoff: Backoff = Backoff(first=timedelta(seconds=2), cap=timedelta(minutes=5))
    set_back: Backoff = Backoff(first=timedelta(seconds=30), cap=timedelta(minutes=5))
    """After a configuration answer: at least ``first``, so that others are tried in between, plus as much jitter."""
    max_duplicates: int = 2
    """How often a message may be sent again although it may be a duplicate."""
    not_carried_out: frozenset[str] = frozenset()
    """HTTP statuses and error codes of failures that the provider guarantees were not carried out."""

    def rule(self, outcome: Outcome) -> Rule:
        """Return the rule for an outcome; a failure named as not carried out may always be retried."""
        rule = self.rules[outcome.kind]
        if outcome.kind is OutcomeKind.FAILED and self.not_carried_out & {str(outcome.http_status), outcome.error}:
            return replace(rule, next=Next.RETRY)
        return rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is recorded and done about one attempt."""

    state: State
    why: str
    """In words, for the story of the message."""
    spends: bool
    doubtful: bool
    """Whether this call may have been carried out without an answer telling."""
    effect: Effect
    due_at: datetime | None = None
    """When it is tried next; only for a message that is queued again."""
    blame: Blame | None = None
    """To what a configuration answer is attributed."""

    @property
    def counts_against_it(self) -> bool:
        """Whether this is one of the configuration answers after which the message is dead."""
        return self.effect is Effect.SUSPECT and self.blame in (Blame.TOKEN, Blame.MESSAGE)


_COMMON = {
    OutcomeKind.ACCEPTED: Rule(next=Next.ACCEPT, spends=True, effect=Effect.HEALTHY),
    OutcomeKind.NOT_SENT: Rule(next=Next.RETRY, spends=False, effect=Effect.SICK),
    OutcomeKind.THROTTLED: Rule(next=Next.REQUEUE, spends=False, effect=Effect.THROTTLE),
    OutcomeKind.UNAUTHORIZED: Rule(next=Next.REQUEUE, spends=False, effect=Effect.RENEW_TOKEN),
    OutcomeKind.MISCONFIGURED: Rule(next=Next.SET_BACK, spends=False, effect=Effect.SUSPECT),
    OutcomeKind.REJECTED: Rule(next=Next.DIE, spends=True, effect=Effect.HEALTHY),
}
SMS_POLICY = Policy(
    rules=MappingProxyType(
        _COMMON
        | {
            OutcomeKind.IN_DOUBT: Rule(next=Next.RETRY_IN_DOUBT, spends=True, effect=Effect.SICK),
            OutcomeKind.FAILED: Rule(next=Next.RETRY, spends=True, effect=Effect.SICK),
            OutcomeKind.CONFLICT: Rule(next=Next.DIE, spends=True, effect=Effect.HEALTHY),
        }
    )
)
"""An SMS twice is a nuisance: it is tried again, but said so."""
GIFT_POLICY = Policy(
    rules=MappingProxyType(
        _COMMON
        | {
            OutcomeKind.IN_DOUBT: Rule(next=Next.DOUBT, spends=True, effect=Effect.SICK),
            OutcomeKind.FAILED: Rule(next=Next.DOUBT, spends=True, effect=Effect.SICK),
            OutcomeKind.CONFLICT: Rule(next=Next.DOUBT, spends=True, effect=Effect.HEALTHY),
        }
    )
)
"""A gift twice is money lost: whatever is not certain waits for a person."""


def decide(
    policy: Policy, message: Facts, outcome: Outcome, *, now: datetime, roll: float, blame: Blame | None = None
) -> Decision:
    """Decide what follows an outcome.

    :param now: aware UTC; the moment from which a wait counts.
    :param roll: random in [0, 1), for the jitter.
    :param blame: to what a configuration answer is attributed; by itself a 401 to the token, another to nothing yet.
    """
    rule = policy.rule(outcome)
    if outcome.kind is OutcomeKind.UNAUTHORIZED and blame is not None:
        rule = replace(rule, next=Next.SET_BACK, effect=Effect.SUSPECT)
    spent = message.attempts_made + (1 if rule.spends else 0)
    doubtful = outcome.kind is OutcomeKind.IN_DOUBT

    def settled(state: State, why: str, due_at: datetime | None = None) -> Decision:
        blamed = None if rule.effect not in (Effect.SUSPECT, Effect.RENEW_TOKEN) else blame or _first_guess(rule)
        return Decision(
            state=state,
            why=why,
            spends=rule.spends,
            doubtful=doubtful,
            effect=rule.effect,
            due_at=due_at,
            blame=blamed,
        )

    match rule.next:
        case Next.ACCEPT:
            return settled(State.ACCEPTED, "the API accepted it")
        case Next.DIE:
            return settled(State.DEAD, f"refused for good ({_named(outcome)})")
        case Next.DOUBT:
            return settled(State.IN_DOUBT, f"may have been carried out ({_named(outcome)}): a person decides")
        case Next.REQUEUE:
            return settled(State.QUEUED, *_requeue(outcome, now))
        case Next.SET_BACK:
            return settled(*_set_back(policy, message, outcome, blame or Blame.UNCLEAR, now=now, roll=roll))
        case Next.RETRY_IN_DOUBT if message.doubtful_sends >= policy.max_duplicates or spent >= message.max_attempts:
            return settled(State.IN_DOUBT, f"may have been carried out ({_named(outcome)}) and was tried often enough")
        case Next.RETRY if spent >= message.max_attempts:
            return settled(State.DEAD, f"attempts spent ({spent} of {message.max_attempts}), last: {_named(outcome)}")
        case Next.RETRY | Next.RETRY_IN_DOUBT:
            number = spent if rule.spends else message.calls_made + 1
            wait = policy.backoff.wait(number, roll=roll, floor=outcome.retry_after)
            why = _backoff_in_words(wait, outcome)
            if rule.next is Next.RETRY_IN_DOUBT:
                why = f"may be a duplicate ({message.doubtful_sends + 1} of {policy.max_duplicates}); {why}"
            return settled(State.QUEUED, why, now + wait)
        case _:
            assert_never(rule.next)


def _first_guess(rule: Rule) -> Blame:
    return Blame.TOKEN if rule.effect is Effect.RENEW_TOKEN else Blame.UNCLEAR


def _requeue(outcome: Outcome, now: datetime) -> tuple[str, datetime]:
    if outcome.kind is OutcomeKind.THROTTLED:
        wait = outcome.retry_after or timedelta(seconds=1)
        return f"the API asked to slow down; the channel waits {wait.total_seconds():g} s, no attempt spent", now + wait
    return "the token was refused; once more with a new one, no attempt spent", now


def _set_back(
    policy: Policy, message: Facts, outcome: Outcome, blame: Blame, *, now: datetime, roll: float
) -> tuple[State, str, datetime | None]:
    """Decide what follows a configuration answer, by what it is attributed to."""
    answers = message.configuration_answers + 1
    counted = f"answer {answers} of {ANSWERS}"
    match blame:
        case Blame.TOKEN | Blame.OLD_TOKEN:
            why = f"the token may be the cause ({_named(outcome)}); once more with a new one, no attempt spent"
            return State.QUEUED, why, now
        case Blame.UNCLEAR:
            why = f"others drew the same at once ({_named(outcome)}); one message at a time from here, no attempt spent"
            return State.QUEUED, why, now
        case Blame.CAMPAIGN | Blame.CHANNEL:
            return State.QUEUED, f"the {blame.value} is paused ({_named(outcome)}), no attempt spent", now
        case Blame.MESSAGE if answers >= ANSWERS:
            why = f"refused {ANSWERS} times ({_named(outcome)}) while nothing showed the channel to be at fault"
            return State.DEAD, why, None
        case Blame.MESSAGE:
            wait = policy.set_back.wait(answers, roll=roll, floor=policy.set_back.first)
            why = f"goes behind the others for {wait.total_seconds():.0f} s ({_named(outcome)}; {counted})"
            return State.QUEUED, f"{why}, no attempt spent", now + wait
        case _:
            assert_never(blame)


def _backoff_in_words(wait: timedelta, outcome: Outcome) -> str:
    words = f"waits {wait.total_seconds():.1f} s (backoff after {_named(outcome)}"
    if outcome.retry_after is not None:
        words += f", Retry-After {outcome.retry_after.total_seconds():g} s"
    return words + ")"


def _named(outcome: Outcome) -> str:
    parts = [str(outcome.http_status) if outcome.http_status else None, outcome.error]
    return " ".join(part for part in parts if part) or outcome.kind.value
