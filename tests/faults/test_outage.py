"""An hour without the API, compressed: the clock is passed in, and what Redis remembers is aged along with it.

Three workers and a clock, a real ledger, real limits on a real Valkey. Nothing is dead-lettered, all is sent
afterwards, and the recovery keeps to the channel's rate.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine

from dispatcher.domain.attempt import Claimed
from dispatcher.domain.message import Channel, NewMessage
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.domain.rate import Rate
from dispatcher.domain.state import State
from dispatcher.engine import Pump, PumpShape, Settling, Spool, Tick
from dispatcher.ledger import Books, SqlLedger
from dispatcher.limits import RedisLimiter
from dispatcher.ports import ChannelReport, LimitState, Permits, Standing
from dispatcher.testing import ACCEPTED, FakeClock, FixedToken, ScriptedTransport, SilentBell
from tests.making import POLICIES, gift, sms

RATES = {Channel.SMS: Rate(per_second=50, burst=50), Channel.GIFT: Rate(per_second=5, burst=5)}
OUTAGE = timedelta(hours=1)
BUCKET_S = 3
"""Of the breaker's window."""
OUTAGES = {
    "refused": Outcome(kind=OutcomeKind.NOT_SENT, error="refused"),
    "503": Outcome(kind=OutcomeKind.FAILED, http_status=503),
    "timeouts": Outcome(kind=OutcomeKind.IN_DOUBT, error="read_timeout"),
}


_AGE = """
-- Makes the state of one channel's limits older, so that it sees the test's time; TIME cannot be faked in a script.
-- KEYS  1 the channel's state   2 its breaker's window   3 who holds it   4 by how much it was aged so far, and when
-- ARGV  1 how many seconds passed on the test's clock since the last time   2 seconds of a bucket of the window
local time = redis.call('TIME')
local real = time[1] + time[2] / 1e6
local before = redis.call('HMGET', KEYS[4], 'aged', 'real')
local aged = tonumber(before[1] or 0)
local by = ARGV[1] - (real - (before[2] or real))
redis.call('HSET', KEYS[4], 'aged', string.format('%.6f', aged + by), 'real', string.format('%.6f', real))
local buckets = math.floor((aged + by) / ARGV[2]) - math.floor(aged / ARGV[2])
local state = redis.call('HGETALL', KEYS[1])
for at = 1, #state, 2 do
  if state[at]:match('_at$') or state[at]:match('_until$') then
    redis.call('HSET', KEYS[1], state[at], string.format('%.6f', tonumber(state[at + 1]) - by))
  end
end
local window = redis.call('HGETALL', KEYS[2])
redis.call('DEL', KEYS[2])
for at = 1, #window, 2 do
  local number, kind = window[at]:match('^(-?%d+):(.*)$')
  redis.call('HSET', KEYS[2], string.format('%d:%s', number - buckets, kind), window[at + 1])
end
local holders = redis.call('ZRANGE', KEYS[3], 0, -1)
for _, holder in ipairs(holders) do
  redis.call('ZINCRBY', KEYS[3], -by, holder)
end
"""


@dataclass
class AgedLimiter:
    """Real limits whose state in Redis has aged by as much as the clock has moved, whenever somebody asks."""

    limiter: RedisLimiter
    redis: Redis
    clock: FakeClock
    seen: dict[Channel, float]
    """Up to which moment the state has aged, for all workers."""
    slips: list[float]
    """Seconds of real time between an ageing and what it was done for: permits gather in them before their time."""

    def reserve(self, channel: Channel, want: int) -> Permits:
        began = time.monotonic()
        self._age(channel)
        permits = self.limiter.reserve(channel, want)
        self.slips.append(time.monotonic() - began)
        return permits

    def give_back(self, channel: Channel, count: int) -> None:
        self._age(channel)
        self.limiter.give_back(channel, count)

    def report(self, channel: Channel, report: ChannelReport) -> Standing:
        self._age(channel)
        return self.limiter.report(channel, report)

    def state(self, channel: Channel) -> LimitState:
        return self.limiter.state(channel)

    def clear(self, channel: Channel) -> None:
        self.limiter.clear(channel)

    def _age(self, channel: Channel) -> None:
        now, then = self.clock.monotonic(), self.seen[channel]
        self.seen[channel] = now
        keys = [f"dispatcher:{{limits:{channel.value}}}:{part}" for part in ("state", "window", "holders", "aged")]
        self.redis.eval(_AGE, len(keys), *keys, f"{now - then:.6f}", str(BUCKET_S))


@dataclass
class Api:
    """The API, which is there or not, and remembers what reached it and when."""

    clock: FakeClock
    outage: Outcome
    away: bool = True
    calls: dict[Channel, list[datetime]] = field(default_factory=lambda: {channel: [] for channel in Channel})
    carried_out: Counter[object] = field(default_factory=Counter)
    probes: int = 0

    def transport(self) -> ScriptedTransport:
        transport = ScriptedTransport(self.clock)
        transport.answer = self.answer
        return transport

    def answer(self, message: Claimed) -> Outcome:
        self.calls[message.channel].append(self.clock.now())
        if self.away:
            return self.outage
        self.carried_out[message.id] += 1
        return ACCEPTED


@dataclass
class Fleet:
    """Three workers and a clock."""

    pumps: list[Pump]
    tick: Tick
    clock: FakeClock
    slips: list[float]

    def for_a_while(self, duration: timedelta, *, step: timedelta) -> None:
        """Let time pass, in steps; after each one the clock beats and every worker is woken."""
        ends = self.clock.now() + duration
        while self.clock.now() < ends:
            self.beat()
            self.clock.advance(step)

    def beat(self) -> None:
        self.tick.run()
        for pump in self.pumps:
            pump.run()


def fleet(engine: Engine, redis: Redis, clock: FakeClock, api: Api, folder: Path) -> Fleet:
    ledger, seen = SqlLedger.on(engine), dict.fromkeys(Channel, clock.monotonic())
    pumps, slips = [], [0.0]
    for number in range(3):
        limiter = AgedLimiter(RedisLimiter(redis, RATES, f"worker-{number}", clock), redis, clock, seen, slips)
        transport = api.transport()
        transport.otherwise = api.outage  # what the probe is told, until the API is back
        settling = Settling(
            ledger=ledger,
            limiter=limiter,
            tokens=FixedToken(),
            clock=clock,
            spool=Spool(folder, f"worker-{number}", ledger.identity),
            policies=POLICIES,
            worker=f"worker-{number}",
            configuration_pause=timedelta(minutes=5),
        )
        pumps.append(
            Pump(
                ledger=ledger,
                limiter=limiter,
                tokens=FixedToken(),
                transport=transport,
                settling=settling,
                bell=SilentBell(),
                clock=clock,
                scopes={Channel.SMS: "write", Channel.GIFT: "gifting:send"},
                worker=f"worker-{number}",
                shape=PumpShape(capacity=16, slice=timedelta(seconds=1), lease=timedelta(seconds=60), bulk_share=0.1),
            )
        )
    tick = Tick(
        ledger=ledger, bell=SilentBell(), clock=clock, policies=POLICIES, worker="clock", grace=timedelta(seconds=15)
    )
    return Fleet(pumps, tick, clock, slips)


def most_within_a_second(calls: Iterable[datetime]) -> int:
    """Return the most calls within one second."""
    moments = sorted(calls)
    most, first = 0, 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= timedelta(seconds=1):
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("ledger_url", "outage"),
    [
        pytest.param("postgresql", "503", marks=pytest.mark.exhaustive),
        pytest.param("sqlite", "refused", marks=pytest.mark.exhaustive),
        pytest.param("postgresql", "timeouts", marks=pytest.mark.exhaustive),
    ],
    indirect=["ledger_url"],
)
def test_an_hours_outage_dead_letters_nothing_and_its_end_is_no_stampede(
    engine: Engine, books: Books, redis: Redis, outage: str, tmp_path: Path
) -> None:
    clock = FakeClock()
    api = Api(clock, OUTAGES[outage])
    workers = fleet(engine, redis, clock, api, tmp_path / "spool")
    sent: list[NewMessage] = []

    def enqueue(texts: int, gifts: int) -> None:
        new = [sms(clock.now()) for _ in range(texts)] + [gift(clock.now()) for _ in range(gifts)]
        books.enqueue(new, source="test")
        sent.extend(new)

    enqueue(1000, 50)
    began = clock.now()
    while clock.now() - began < OUTAGE:
        enqueue(2, 0)
        workers.for_a_while(timedelta(seconds=10), step=timedelta(seconds=5))

    states = Counter(books.message(message.id).state for message in sent)
    tried = {channel: len(calls) for channel, calls in api.calls.items()}
    assert states[State.DEAD] == states[State.EXPIRED] == 0, "an outage dead-letters nothing"
    assert tried[Channel.SMS] < 400, "an open breaker asks now and then, no more"
    assert not api.carried_out

    api.away = False
    for pump in workers.pumps:
        pump.transport.otherwise = ACCEPTED  # type: ignore[attr-defined]
    back = clock.now()
    for _ in range(3000):
        workers.for_a_while(timedelta(seconds=0.2), step=timedelta(seconds=0.2))
        left = sum(tally.count for tally in books.tallies() if tally.state in (State.QUEUED, State.SENDING))
        if not left:
            break
    took = clock.now() - back
    states = Counter(books.message(message.id).state for message in sent)
    in_doubt = states.pop(State.IN_DOUBT, 0)
    assert states == {State.ACCEPTED: len(sent) - in_doubt}
    assert in_doubt <= (0 if outage == "refused" else 3 * 16), "what was under way when it began, no more"
    assert set(api.carried_out.values()) == {1}
    after = {channel: [call for call in calls if call >= back] for channel, calls in api.calls.items()}
    for channel, rate in RATES.items():
        slips = 2 * max(workers.slips)  # at both ends of the second
        most = rate.burst + rate.per_second * (1 + slips)
        assert most_within_a_second(after[channel]) <= most
    print(f"{outage}: {tried} calls in the hour, {in_doubt} in doubt, all sent {took} after it")
