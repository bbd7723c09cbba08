"""Permits for the whole fleet, kept by Lua scripts in Redis; a share of them while Redis is away."""

from __future__ import annotations

import math
import random as random_numbers
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from threading import Lock
from typing import Any
from uuid import UUID

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import RedisError

from dispatcher.domain.errors import BrokerUnavailable
from dispatcher.domain.message import Channel
from dispatcher.domain.rate import Rate
from dispatcher.domain.suspicion import LATELY, RENEW_AGAIN, WITNESSES, Blame, Suspicion
from dispatcher.limits.share import LocalShare
from dispatcher.limits.tuning import Adaptation, Breaker, Fallback, Trials
from dispatcher.logs import get_logger
from dispatcher.ports import ChannelReport, Clock, LimitState, Permits, Standing

log = get_logger(__name__)

_BREAKER = Breaker()
_ADAPTATION = Adaptation()
_FALLBACK = Fallback()
_TRIALS = Trials()
_DISTANT_S = 0.05
"""A Redis whose replies take longer, on average, hears of good news and of permits that are left over from a thread."""
_WEEK = 7 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grant:
    """The last permits that this process got for a channel: what it can still give back."""

    count: int
    alone: bool
    """It is the only one: a probe, a trial or for the test call."""
    canary: bool
    reserved_at: str | None
    """Redis' time; None if the permits came from the local share."""


class RedisLimiter:
    """The ``Limiter`` of the fleet. Every decision is one script call on Redis' clock; ``channel.lua`` has the keys.

    :param redis: a client with short timeouts that does not send a command again, ``Retry(NoBackoff(), 0)``: the
        longest that ``reserve`` can take is what this client allows. Replies may be bytes or text.
    :param rates: the ceiling of each channel that will be asked for.
    :param holder: names this process, unlike any other in the fleet.
    :param random: numbers from 0 to 1, for jitter.

    Redis emptied under way (``FLUSHALL``): each channel starts anew with a full burst at the configured rate, its 429
    pause, its breaker and a suspicion forgotten until the next answers set them again.
    """

    def __init__(
        self,
        redis: Redis,
        rates: Mapping[Channel, Rate],
        holder: str,
        clock: Clock,
        *,
        configured: Mapping[Channel, Rate] | None = None,
        breaker: Breaker = _BREAKER,
        adaptation: Adaptation = _ADAPTATION,
        fallback: Fallback = _FALLBACK,
        trials: Trials = _TRIALS,
        random: Callable[[], float] = random_numbers.random,
    ) -> None:
        """Take the parts.

        :param rates: at which permits are given out.
        :param configured: the rates that an operator set and reads in ``state``, if permits are given out at less.
        """
        self._rates = dict(rates)
        self._configured = dict(configured or rates)
        self._holder = holder
        self._clock = clock
        self._breaker = breaker
        self._adaptation = adaptation
        self._fallback = fallback
        self._trials = trials
        self._random = random
        self._reserve = _script(redis, "reserve")
        self._give_back = _script(redis, "give_back")
        self._report = _script(redis, "report")
        self._state = _script(redis, "state")
        self._clear = _script(redis, "clear")
        self._lock = Lock()
        self._shares = {
            channel: LocalShare(
                rate, breaker=breaker, adaptation=adaptation, fallback=fallback, random=random, trials=trials
            )
            for channel, rate in self._rates.items()
        }
        self._grants: dict[Channel, _Grant] = {}
        self._away_until = -math.inf
        self._away = False
        self._took = 0.0
        self._calm: set[Channel] = set()
        """Channels of which Redis said last that nothing is the matter."""
        self._later: ThreadPoolExecutor | None = None

    def reserve(self, channel: Channel, want: int) -> Permits:
        """Take up to ``want`` permits that may be used at once. Never raises: without Redis it grants a safe share."""
        if want < 1:
            return Permits(count=0)
        breaker, fallback = self._breaker, self._fallback
        reply = self._try(
            self._reserve,
            channel,
            want,
            self._holder,
            fallback.holder_life.total_seconds(),
            breaker.probe_timeout.total_seconds(),
            breaker.probe_poll.total_seconds(),
            self._trials.timeout.total_seconds(),
            self._trials.canary_every.total_seconds(),
            WITNESSES,
        )
        now = self._clock.monotonic()
        with self._lock:
            share = self._shares[channel]
            if reply is None:
                permits, reserved_at = share.reserve(want, now=now), None
            else:
                permits, reserved_at = _permits(reply), _text(reply[6])
                share.learn(effective=float(reply[5]), holders=reply[4], now=now)
                self._pass_on(share, permits, now)
            if permits.count:
                self._grants[channel] = _Grant(
                    count=permits.count,
                    alone=permits.probe or permits.trial or permits.canary,
                    canary=permits.canary,
                    reserved_at=reserved_at,
                )
        return permits

    def give_back(self, channel: Channel, count: int) -> None:
        """Return permits of this process's last reservation for which there was nothing to send.

        Never more than that reservation granted: older permits, and those that Redis does not hear of, are just lost.
        """
        with self._lock:
            grant = self._grants.get(channel)
            if grant is None or count < 1:
                return
            count = min(count, grant.count)
            left = replace(grant, count=grant.count - count)
            if left.count:
                self._grants[channel] = left
            else:
                del self._grants[channel]
            if grant.reserved_at is None:
                self._shares[channel].give_back(count, probe=grant.alone, now=self._clock.monotonic())
                return
        alone = self._holder if grant.alone else ""
        arguments = (count, grant.reserved_at, alone, int(grant.canary))
        if self._is_distant and not grant.alone:
            self._send_later(self._give_back, channel, *arguments)
        else:
            self._try(self._give_back, channel, *arguments)

    def report(self, channel: Channel, report: ChannelReport) -> Standing:
        """Report what a batch of answers says and return where the channel stands. Never raises.

        A probe that ended without a verdict is reported too, with nothing in it: so another can be sent at once.
        """
        breaker, adaptation = self._breaker, self._adaptation
        throttled = None if report.throttled is None else adaptation.clamp(report.throttled)
        arguments = (
            report.healthy,
            report.sick,
            -1 if throttled is None else throttled.total_seconds(),
            self._holder,
            breaker.minimum,
            breaker.sick_share,
            breaker.window.total_seconds() / breaker.buckets,
            breaker.buckets,
            breaker.open_for.total_seconds(),
            self._random(),
            adaptation.cut,
            adaptation.guard.total_seconds(),
            adaptation.step * self._rates[channel].per_second,
            adaptation.every.total_seconds(),
            report.accepted,
            "-" if report.canary is None else report.canary,
            RENEW_AGAIN.total_seconds(),
            LATELY.total_seconds(),
            *_witnesses(report),
        )
        if self._is_distant and channel in self._calm and _is_good_news(report):
            # Nothing is decided by the reply, and nobody waits for it: the calls in flight go on.
            self._send_later(self._report, channel, *arguments)
            return Standing(suspicion=Suspicion(), cleared=False, guesses={})
        reply = self._try(self._report, channel, *arguments)
        now = self._clock.monotonic()
        with self._lock:
            share = self._shares[channel]
            if reply is None:
                self._calm.discard(channel)
                return share.report(report, now=now)
            share.pass_on(
                blocked=timedelta(microseconds=reply[0]),
                breaker=_text(reply[1]),
                breaker_wait=timedelta(microseconds=reply[2]),
                now=now,
            )
            share.suspicion.report(report, now=now)  # what this process knows should Redis go away
            if reply[5] == 1:
                share.suspicion.clear()
            is_calm = reply[0] == 0 and _text(reply[1]) == "closed" and reply[3] == 0
            (self._calm.add if is_calm else self._calm.discard)(channel)
        return Standing(
            suspicion=_suspicion(reply[3], reply[4], reply[6]),
            cleared=reply[5] == 1,
            guesses={
                witness.message: Blame(_text(guess)) for witness, guess in zip(report.witnesses, reply[7:], strict=True)
            },
        )

    def state(self, channel: Channel) -> LimitState:
        """Read the channel's limits.

        :raises BrokerUnavailable: Redis cannot be reached.
        """
        reply = self._call(self._state, channel)
        configured = self._configured[channel].per_second
        return LimitState(
            configured_rate=configured,
            effective_rate=round(float(reply[0]) * configured / self._rates[channel].per_second, 6),
            blocked_for=timedelta(microseconds=reply[1]),
            breaker=_text(reply[2]),
            breaker_wait=timedelta(microseconds=reply[3]),
            suspicion=_suspicion(reply[4], reply[5], reply[8]),
            suspect_since=_moment(_text(reply[6])),
            suspect_answer=_text(reply[7]) or None,
        )

    def clear(self, channel: Channel) -> None:
        """Lift a 429 pause, close the breaker, drop a suspicion and restore the configured rate.

        :raises BrokerUnavailable: Redis cannot be reached.
        """
        self._call(self._clear, channel)
        with self._lock:
            self._shares[channel].pass_on(
                blocked=timedelta(0), breaker="closed", breaker_wait=timedelta(0), now=self._clock.monotonic()
            )
            self._shares[channel].suspicion.clear()

    @property
    def _is_distant(self) -> bool:
        return self._took > _DISTANT_S

    def _send_later(self, script: Script, channel: Channel, *args: Any) -> None:
        """Call a script in a thread: each in its turn, while this one asks for permits. The reply is of no interest."""
        if self._later is None:
            self._later = ThreadPoolExecutor(max_workers=1, thread_name_prefix="limits")
        self._later.submit(self._try, script, channel, *args)

    def _try(self, script: Script, channel: Channel, *args: str | float) -> list[Any] | None:
        """Call a script, or return None if Redis is away or was within the last moments."""
        if self._clock.monotonic() < self._away_until:
            return None
        try:
            return self._call(script, channel, *args)
        except BrokerUnavailable as error:
            self._away_until = self._clock.monotonic() + self._fallback.retry.total_seconds()
            if not self._away:
                self._away = True
                log.warning("redis_away", part="limits", holder=self._holder, error=str(error))
            return None

    def _call(self, script: Script, channel: Channel, *args: str | float) -> list[Any]:
        rate = self._rates[channel]
        stem = f"dispatcher:{{limits:{channel.value}}}"
        keys = [f"{stem}:state", f"{stem}:window", f"{stem}:holders", f"{stem}:suspects"]
        every_script = [
            rate.per_second,
            rate.burst,
            self._adaptation.floor_of(rate.per_second),
            self._adaptation.block_most.total_seconds(),
            self._breaker.open_most.total_seconds(),
            math.ceil(max(_WEEK, rate.burst / rate.per_second)),
        ]
        began = self._clock.monotonic()
        try:
            reply: list[Any] = script(keys=keys, args=[*every_script, *args])
        except (RedisError, OSError) as error:
            raise BrokerUnavailable(f"Redis cannot be reached for the limits of {channel.value}: {error}") from error
        self._took = 0.8 * self._took + 0.2 * (self._clock.monotonic() - began)
        self._away_until = -math.inf
        if self._away:
            self._away = False
            log.info("redis_back", part="limits", holder=self._holder)
        return reply

    @staticmethod
    def _pass_on(share: LocalShare, permits: Permits, now: float) -> None:
        half_open = permits.probe or permits.reason == "breaker"
        share.pass_on(
            blocked=permits.wait if permits.reason == "throttled" else timedelta(0),
            breaker="half_open" if half_open else "closed",
            breaker_wait=permits.wait if permits.reason == "breaker" else timedelta(0),
            now=now,
        )


def _is_good_news(report: ChannelReport) -> bool:
    return report.throttled is None and not report.sick and not report.witnesses and report.canary is None


def _script(redis: Redis, name: str) -> Script:
    """Load a script behind what all scripts begin with."""
    folder = resources.files(__package__)
    return redis.register_script(
        "".join(folder.joinpath(f"{part}.lua").read_text("utf-8") for part in ("channel", name))
    )


def _witnesses(report: ChannelReport) -> Iterator[str]:
    for each in report.witnesses:
        yield from (
            str(each.message),
            each.answer,
            "" if each.generation is None else str(each.generation),
            "1" if each.alone else "",
            "" if each.campaign is None else str(each.campaign),
        )


def _suspicion(witnesses: int, canary_failed: int, campaign: bytes | str) -> Suspicion:
    of_one = _text(campaign)
    return Suspicion(witnesses=witnesses, canary_failed=canary_failed == 1, campaign=UUID(of_one) if of_one else None)


def _moment(seconds: str) -> datetime | None:
    return datetime.fromtimestamp(float(seconds), UTC) if seconds else None


def _permits(reply: list[Any]) -> Permits:
    what = _text(reply[1])
    return Permits(
        count=reply[0],
        probe=what == "probe",
        trial=what == "trial",
        canary=what == "canary",
        wait=timedelta(microseconds=reply[2]),
        reason=_text(reply[3]) or None,
    )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
