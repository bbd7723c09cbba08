"""A dispatcher on real parts, whose processes are forked for as long as they live."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from redis import Redis

from dispatcher import Dispatcher, Receipt
from dispatcher.domain.message import DEFAULT_LIFE, Channel
from dispatcher.domain.state import State
from dispatcher.ledger import Attempt, Books, By, Filter, LedgerClock, Message, Resolution
from dispatcher.sandbox import SandboxControl
from dispatcher.settings import Settings
from dispatcher.wiring import Services
from tests.faults.crash.points import CrashPoint, arm, dies
from tests.making import NUMBER

BELLS = "dispatcher:celery:dispatcher.dispatch"
MARK = "may be a duplicate"
SETTINGS: dict[str, Any] = {
    "client_id": "sandbox-client",
    "client_secret": "sandbox-secret",
    "concurrency": 4,
    "slice_seconds": 2,
    "connect_timeout": 1,
    "read_timeout": 2,
    "lease_seconds": 20,
}
_ROUNDS = 8


class Later:
    """The ledger's clock, so much later: waits of minutes pass at once."""

    def __init__(self, clock: LedgerClock) -> None:
        self._clock = clock
        self.by = timedelta(0)

    def now(self) -> datetime:
        return self._clock.now() + self.by

    def keep_in_step(self) -> None:
        self._clock.keep_in_step()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, wait: timedelta) -> None:
        self._clock.sleep(min(wait, timedelta(milliseconds=20)))


@dataclass(slots=True, kw_only=True)
class House:
    """A real ledger, a real Valkey, a real sandbox; processes are forked for as long as they live."""

    settings: Settings
    sandbox: SandboxControl
    redis: Redis
    books: Books
    channel: Channel

    def send(self, *, client: Dispatcher | None = None) -> Receipt:
        """Enqueue the one message of this test; the same again gives the first receipt."""
        with client or Dispatcher(self.settings) as sender:
            if self.channel is Channel.SMS:
                return sender.send_sms(NUMBER, "hello", idempotency_key="order-1")
            return sender.send_gift(NUMBER, sku="CARD", amount="25", currency="AUD", idempotency_key="order-1")

    def worker_dies(self, point: CrashPoint) -> None:
        """A worker pumps and dies."""

        def work() -> None:
            services = Services(self.settings)
            arm(services, point)
            services.pump().run()

        dies(work)

    def worker_is_killed_once(self, arrived: Callable[[], bool]) -> None:
        """A worker pumps and is killed as soon as something is true."""
        child = os.fork()
        if child == 0:
            try:
                Services(self.settings).pump().run()
            finally:
                os._exit(7)
        ends = time.monotonic() + 10
        while not arrived():
            assert time.monotonic() < ends, "the request never arrived"
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the pump was over before it was killed"

    def clock_dies(self, point: CrashPoint) -> None:
        """A clock beats, a while later, and dies."""

        def work() -> None:
            services = self.later(timedelta(minutes=2))
            arm(services, point)
            replace(services.tick, grace=timedelta(0)).run()

        dies(work)

    def later(self, by: timedelta) -> Services:
        """Return the services of a process that lives so much later."""
        services = Services(self.settings)
        clock = Later(services.clock)
        clock.by = by
        services.__dict__["clock"] = clock
        return services

    def goes_on(self) -> None:
        """Other processes take over, until nothing is under way any more."""
        services = self.later(timedelta(0))
        try:
            for _ in range(_ROUNDS):
                services.pump().run()
                replace(services.tick, grace=timedelta(0)).run()
                if not self.under_way():
                    return
                services.clock.by += timedelta(minutes=2)  # type: ignore[attr-defined]
            raise AssertionError(f"still under way: {self.under_way()}")
        finally:
            services.close()

    def under_way(self) -> list[Message]:
        return self.books.messages(Filter(states=(State.QUEUED, State.SENDING)))

    def carried_out(self) -> int:
        entries = self.sandbox.journal(kind=self.channel.value)
        return sum(entry.carried_out for entry in entries)

    def the_message(self) -> tuple[Message, list[Attempt]]:
        (message,) = self.books.messages(Filter())
        return self.books.story(message.id)[:2]

    def resolve(self) -> None:
        """A person looks into the provider's books and answers for what is in doubt."""
        message, _ = self.the_message()
        answer = Resolution.SENT if self.carried_out() else Resolution.NOT_SENT
        by = By(actor="olga", reason="by their books", now=datetime.now(message.created_at.tzinfo))
        self.books.resolve(message.id, answer, by, budget=5, life=DEFAULT_LIFE)


class SettleIn(Protocol):
    """Makes a house, with settings of its own beside the usual ones."""

    def __call__(self, **settings: Any) -> House: ...


def assert_sent_once(house: House) -> None:
    message, attempts = house.the_message()
    assert message.state is State.ACCEPTED
    assert house.carried_out() == 1
    assert [attempt.number for attempt in attempts] == [1]
    assert message.attempts_made == 1


def assert_doubt_was_handled(house: House, *, carried_out: int) -> None:
    """An SMS went out again and says so; a gift waited for a person, and was then paid exactly once."""
    message, attempts = house.the_message()
    first = attempts[0]
    assert (first.error, first.outcome.value) == ("lease_lost", "in_doubt")
    if house.channel is Channel.SMS:
        assert message.state is State.ACCEPTED
        assert house.carried_out() == carried_out + 1
        assert [MARK in (attempt.why_next or "") for attempt in attempts] == [True, False]
        return
    assert message.state is State.IN_DOUBT
    assert len(attempts) == 1
    assert house.carried_out() == carried_out, "no automatic path sends a gift again"
    house.resolve()
    house.goes_on()
    message, _ = house.the_message()
    assert message.state is State.ACCEPTED
    assert house.carried_out() == 1
