"""Reads configuration answers out of a batch and attributes them, by what the fleet knows (``domain.suspicion``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus

from dispatcher.domain.attempt import Sent
from dispatcher.domain.identity import MessageId
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.policy import Effect, Policy
from dispatcher.domain.suspicion import Blame, blame
from dispatcher.ports import ChannelReport, Standing, Witness

FRESH = timedelta(seconds=2)
"""A token younger than this has not expired: the API refuses it for another reason."""
IN_CIRCLES = 5
"""So many calls of one message that spent no attempt are more than a chance."""
SHORT_PAUSE = timedelta(seconds=1)
"""How long a 429 without a Retry-After holds the channel."""


def channel_report(
    calls: Sequence[Sent], policy: Policy, *, alone: Collection[MessageId] = frozenset()
) -> ChannelReport:
    """Sum up what the calls of one channel, in the order in which they completed, say about it.

    :param alone: messages that were sent with no other in flight, since the channel was suspect.
    """
    effects = Counter(policy.rule(call.outcome).effect for call in calls)
    throttled = [
        call.outcome.retry_after or SHORT_PAUSE for call in calls if call.outcome.kind is OutcomeKind.THROTTLED
    ]
    accepted = [place for place, call in enumerate(calls) if call.outcome.kind is OutcomeKind.ACCEPTED]
    last, good = accepted[-1] if accepted else -1, {calls[place].token_generation for place in accepted}
    return ChannelReport(
        healthy=effects[Effect.HEALTHY],
        sick=effects[Effect.SICK],
        throttled=max(throttled, default=None),
        accepted=len(accepted),
        witnesses=tuple(
            _witness(call, alone)
            for place, call in enumerate(calls)
            # One that came before is none, unless its token was another.
            if is_configuration_answer(call)
            and (place > last or (_renewable(call) and call.token_generation not in good))
        ),
    )


def attribute(calls: Sequence[Sent], standing: Standing) -> Mapping[MessageId, Blame]:
    """Attribute the configuration answers among the calls of one channel."""
    return {
        # Without a guess it is no witness: another message was accepted after it.
        call.message.id: blame(standing.guesses[call.message.id], standing.suspicion)
        if call.message.id in standing.guesses
        else Blame.MESSAGE
        for call in calls
        if is_configuration_answer(call)
    }


def is_configuration_answer(call: Sent) -> bool:
    """Whether it would be the same for every message, unless it is this message's fault."""
    match call.outcome.kind:
        case OutcomeKind.MISCONFIGURED:
            return True
        case OutcomeKind.UNAUTHORIZED:
            return _fresh_token_refused(call)
        case _:
            return False


def _witness(call: Sent, alone: Collection[MessageId]) -> Witness:
    message = call.message
    return Witness(
        message=message.id,
        answer=call.outcome.in_words,
        generation=call.token_generation if _renewable(call) else None,
        alone=message.id in alone,
        campaign=message.campaign_id,
    )


def _renewable(call: Sent) -> bool:
    """Whether a newer token may help: an authorizer answers a dead one with 403, and caches its verdict."""
    refused = call.message.refused_generation
    return call.outcome.http_status == HTTPStatus.FORBIDDEN and refused in (None, call.token_generation)


def _fresh_token_refused(call: Sent) -> bool:
    """Say whether a second token in a row was refused although it had only just been minted.

    A token that merely expired is not that. Should Redis' clock and the ledger's be apart, so that none looks fresh, a
    message that goes round and round without spending an attempt tells as well.
    """
    message, generation = call.message, call.token_generation
    if generation is None or message.refused_generation in (None, generation):
        return False
    age = abs(call.started_at.timestamp() - generation / 1000)
    return age < FRESH.total_seconds() or message.calls_made - message.attempts_made >= IN_CIRCLES
