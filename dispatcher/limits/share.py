"""What a process allows itself while Redis is away: a share of the rate so small that the fleet's limit still holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta

from dispatcher.domain.rate import Rate
from dispatcher.limits.suspicion import LocalSuspicion
from dispatcher.limits.tuning import Adaptation, Breaker, Fallback, Trials
from dispatcher.ports import ChannelReport, Permits, Standing


class LocalShare:
    """One process's part of one channel, on its own monotonic clock (``now`` everywhere, in seconds).

    The share is half of what each holder would get, since the number of holders is what Redis last said. It starts
    empty and never gathers more than its part of the burst, at least one permit. A 429 pause or an open breaker that
    Redis last told of is honoured until it ends; those met during the outage hold for this process alone.
    """

    def __init__(
        self,
        rate: Rate,
        *,
        breaker: Breaker,
        adaptation: Adaptation,
        fallback: Fallback,
        random: Callable[[], float],
        trials: Trials | None = None,
    ) -> None:
        self.suspicion = LocalSuspicion(trial_timeout=(trials or Trials()).timeout)
        self._rate = rate
        self._breaker = breaker
        self._adaptation = adaptation
        self._fallback = fallback
        self._random = random
        self._effective = rate.per_second
        self._holders = fallback.assumed_holders
        self._heard_at = -math.inf
        self._away = False
        self._per_second = 0.0
        self._most = 1.0
        self._level = 0.0
        self._level_at = 0.0
        self._held_until = -math.inf
        self._held_for: str | None = None
        self._half_open = False
        self._probe_until = -math.inf
        self._sick = 0
        self._openings = 0

    def learn(self, *, effective: float, holders: int, now: float) -> None:
        """Remember what Redis said: it is back, and ``holders`` processes share ``effective`` permits a second."""
        self._effective = effective
        self._holders = holders
        self._heard_at = now
        self._away = False

    def pass_on(self, *, blocked: timedelta, breaker: str, breaker_wait: timedelta, now: float) -> None:
        """Remember the 429 pause and the breaker as Redis has them; zero and ``closed`` lift them."""
        self._held_until, self._held_for = -math.inf, None
        self._half_open = breaker != "closed"
        self._probe_until = -math.inf
        self._sick = 0
        self._hold("breaker", breaker_wait, now=now)
        self._hold("throttled", blocked, now=now)

    def reserve(self, want: int, *, now: float) -> Permits:
        """Grant from the share, as ``Limiter.reserve`` does from the whole."""
        if not self._away:
            self._begin(now)
        if now < self._held_until:
            return Permits(count=0, wait=timedelta(seconds=self._held_until - now), reason=self._held_for)
        if self._half_open and now < self._probe_until:
            return Permits(count=0, wait=self._breaker.probe_poll, reason="breaker")
        self._gather(now)
        count = min(want, math.floor(self._level + 1e-9))
        if count < 1:
            wait = timedelta(seconds=min((1 - self._level) / self._per_second, self._fallback.retry.total_seconds()))
            return Permits(count=0, wait=wait, reason="rate")
        if self._half_open:
            self._level -= 1
            self._probe_until = now + self._breaker.probe_timeout.total_seconds()
            return Permits(count=1, probe=True)
        if self.suspicion.one_at_a_time:
            if not self.suspicion.may_try(now=now):
                return Permits(count=0, wait=self._breaker.probe_poll, reason="suspect")
            self._level -= 1
            return Permits(count=1, trial=True)
        self._level -= count
        return Permits(count=count)

    def give_back(self, count: int, *, probe: bool, now: float) -> None:
        """Take back unused permits of this share."""
        self.suspicion.free()
        if probe:
            self._probe_until = -math.inf
        if self._away and now >= self._held_until:
            self._gather(now)
            self._level = min(self._most, self._level + count)

    def report(self, report: ChannelReport, *, now: float) -> Standing:
        """Obey what the answers say as far as this process can alone; Redis never learns of them."""
        self._obey(report, now=now)
        return self.suspicion.report(report, now=now)

    def _obey(self, report: ChannelReport, *, now: float) -> None:
        if report.throttled is not None:
            self._hold("throttled", self._adaptation.clamp(report.throttled), now=now)
            self._level = min(self._level, 0.0)
        if report.healthy:
            self._half_open, self._sick, self._openings = False, 0, 0
        elif now < self._held_until and self._held_for == "breaker":
            return
        elif report.sick:
            self._sick += report.sick
            if self._half_open or self._sick >= self._breaker.minimum:
                self._open(now)
        else:
            self._probe_until = -math.inf

    def _open(self, now: float) -> None:
        self._openings += 1
        self._half_open, self._sick, self._probe_until = True, 0, -math.inf
        self._hold("breaker", self._breaker.open_time(self._openings) * (1 - 0.2 * self._random()), now=now)

    def _hold(self, reason: str, wait: timedelta, *, now: float) -> None:
        until = now + wait.total_seconds()
        if wait > timedelta(0) and until > self._held_until:
            self._held_until, self._held_for = until, reason

    def _begin(self, now: float) -> None:
        """Start on the share; its first permit comes after one to two intervals, each process at its own moment."""
        stale = now - self._heard_at > self._fallback.holder_life.total_seconds()
        holders = max(self._holders, self._fallback.assumed_holders) if stale else self._holders
        self._away = True
        self._per_second = self._effective / (2 * holders)
        self._most = max(1.0, self._rate.burst / (2 * holders))
        self._level, self._level_at = -self._random(), now
        self._openings = 0

    def _gather(self, now: float) -> None:
        since = min(max(self._level_at, self._held_until), now)
        self._level = min(self._most, self._level + (now - since) * self._per_second)
        self._level_at = now
