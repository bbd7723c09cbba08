"""The suspect rule on real parts: real limits and token, and a sandbox whose answers depend on what is said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis

from dispatcher import Dispatcher
from dispatcher.domain.message import Channel
from dispatcher.domain.state import State
from dispatcher.ledger import Message
from dispatcher.ports import ChannelReport
from dispatcher.sandbox import SandboxControl, SandboxSettings, running_sandbox
from dispatcher.settings import Settings
from dispatcher.wiring import Services
from tests.limits.fleet import let_pass, seconds
from tests.making import NUMBER

pytestmark = pytest.mark.one_database

POISON = "Dear ${jndi:ldap}"


@pytest.fixture
def sandbox() -> Iterator[SandboxControl]:
    with running_sandbox(SandboxSettings()) as control:
        yield control


@pytest.fixture(params=["requests", "aiohttp"])
def services(
    request: pytest.FixtureRequest, ledger_url: str, redis: Redis, valkey: str, sandbox: SandboxControl, tmp_path: Path
) -> Iterator[Services]:
    settings = Settings(
        home=tmp_path,
        ledger_url=SecretStr(ledger_url),
        redis_url=SecretStr(valkey),
        api_base_url=sandbox.url,
        client_id="sandbox-client",
        client_secret=SecretStr("sandbox-secret"),
        concurrency=4,
        slice_seconds=1,
        transport=request.param,
    )
    opened = Services(settings)
    yield opened
    opened.close()


def pump_until(services: Services, done: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not done():
        assert time.monotonic() < ends
        services.pump().run()


def send(services: Services, *texts: str) -> list[Callable[[], Message]]:
    with Dispatcher(services.settings) as sender:
        ids = [sender.send_sms(NUMBER, text).id for text in texts]
    return [lambda id_=id_: services.books.message(id_) for id_ in ids]  # type: ignore[misc]


def test_suspect_one_poisonous_text_neither_stops_nor_delays_the_others(
    services: Services, sandbox: SandboxControl
) -> None:
    sandbox.fault(path="/sendSMS", action="gateway", text="${jndi:")
    poison, *others = send(services, POISON, *(f"Your code is {n}" for n in range(20)))
    pump_until(services, lambda: all(other().state is State.ACCEPTED for other in others))
    assert poison().state is State.QUEUED
    assert poison().due_at > services.clock.now()
    assert services.books.pauses(now=services.clock.now()) == []
    _, attempts, _ = services.books.story(poison().id)
    assert {"x-amzn-RequestId", "x-amz-apigw-id", "x-amzn-ErrorType"} <= set(attempts[0].request_ids or {})
    assert (attempts[0].http_status, attempts[0].error_description) == (403, "Forbidden")


def test_suspect_a_wrong_path_pauses_the_channel_within_four_calls(services: Services, sandbox: SandboxControl) -> None:
    sandbox.fault(path="/sendSMS", action="gateway", message="Missing Authentication Token")
    services.settings.__dict__["concurrency"] = 1
    messages = send(services, *(f"Your code is {n}" for n in range(20)))
    pump_until(services, lambda: bool(services.books.pauses(now=services.clock.now())))
    assert len(sandbox.journal("sms")) <= 4
    (pause,) = services.books.pauses(now=services.clock.now())
    assert "403 Missing Authentication Token" in pause.reason
    assert {(each().state, each().attempts_made) for each in messages} == {(State.QUEUED, 0)}
    assert len(sandbox.journal("probe")) == 1, "the test call works, so it proves nothing"


def test_suspect_a_dead_token_that_is_answered_403_is_renewed_once(services: Services, sandbox: SandboxControl) -> None:
    (first,) = send(services, "with the first token")
    pump_until(services, lambda: first().state is State.ACCEPTED)
    sandbox.settings(dead_token_status=403)
    sandbox.revoke()
    time.sleep(0.01)
    messages = send(services, *(f"Your code is {n}" for n in range(20)))
    pump_until(services, lambda: all(each().state is State.ACCEPTED for each in messages))
    assert len(sandbox.journal("token")) == 2
    assert services.books.pauses(now=services.clock.now()) == []


def test_suspect_a_refused_test_call_pauses_at_once(services: Services, sandbox: SandboxControl) -> None:
    send(services, "Your code is 1")
    sandbox.fault(path="/sendSMS", action="status", status=402, error="payment_required")
    sandbox.fault(path="/test-oauth2", action="status", status=402, error="payment_required")
    pump_until(services, lambda: bool(services.books.pauses(now=services.clock.now())))
    (pause,) = services.books.pauses(now=services.clock.now())
    assert "402 payment_required" in pause.reason
    assert "test call" in pause.reason
    assert len(sandbox.journal("sms")) == 1


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_half_open_breaker_of_gifts_closes_though_the_test_call_is_refused(
    services: Services, sandbox: SandboxControl, redis: Redis, status: int
) -> None:
    services.limiter.report(Channel.GIFT, ChannelReport(sick=10))
    let_pass(redis, seconds(6), channel=Channel.GIFT)
    assert services.limiter.state(Channel.GIFT).breaker == "half_open"
    sandbox.fault(path="/test-oauth2", action="status", status=status, error="nothing_here")
    with Dispatcher(services.settings) as sender:
        card = sender.send_gift(NUMBER, sku="A", amount="5", currency="AUD", idempotency_key="g")
    pump_until(services, lambda: services.books.message(card.id).state is State.ACCEPTED)
    assert services.limiter.state(Channel.GIFT).breaker == "closed"
    assert [len(sandbox.journal(kind)) for kind in ("probe", "gift")] == [1, 1]
    assert services.books.pauses(now=services.clock.now()) == []
