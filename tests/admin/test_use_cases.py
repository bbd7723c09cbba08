"""The operators' use cases: one behaviour, whether a command or a page calls them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from dispatcher.admin import Actor, Role, plan_named_replay, run_named_replay
from dispatcher.broker.queues import DISPATCH, KEY_PREFIX
from dispatcher.domain.errors import InvalidMessage, NotPermitted
from dispatcher.domain.message import Channel
from dispatcher.domain.operation import Deed
from dispatcher.domain.state import State
from dispatcher.ledger import Resolution
from dispatcher.wiring import Services
from tests.servers import free_port
from tests.web.conftest import settings_of
from tests.web.fates import fill


@pytest.fixture
def services(ledger_url: str, valkey: str, redis: Redis, tmp_path: Path) -> Iterator[Services]:
    opened = Services(settings_of(ledger_url, valkey, tmp_path / "home"))
    yield opened
    opened.close()


@pytest.fixture
def without_redis(ledger_url: str, tmp_path: Path) -> Iterator[Services]:
    away = f"redis://127.0.0.1:{free_port()}/0"
    opened = Services(settings_of(ledger_url, away, tmp_path / "home"))
    yield opened
    opened.close()


def test_a_channel_resumes_without_redis_and_reports_that_its_limits_remain(without_redis: Services) -> None:
    operator = without_redis.operator("test")
    operator.pause_channel(Channel.SMS, reason="fraud")
    resumed = operator.resume_channel(Channel.SMS, reason=None)
    assert resumed.was_paused
    assert resumed.limits_problem is not None
    assert "127.0.0.1" in resumed.limits_problem
    assert without_redis.books.pauses(now=without_redis.clock.now()) == []


def test_a_pause_cannot_end_in_the_past(services: Services) -> None:
    operator = services.operator("test")
    with pytest.raises(InvalidMessage, match="is past"):
        operator.pause_channel(Channel.SMS, reason="fraud", until=services.clock.now())
    assert services.books.pauses(now=services.clock.now()) == []


@pytest.mark.parametrize(
    ("resolution", "notified"), [(Resolution.SENT, 0), (Resolution.NOT_SENT, 1), (Resolution.GIVE_UP, 0)]
)
def test_workers_are_woken_when_a_resolution_queues_the_message(
    services: Services, redis: Redis, resolution: Resolution, notified: int
) -> None:
    id_ = fill(services, dead=1)["in_doubt"]
    redis.flushdb()
    services.operator("test").resolve(id_, resolution, reason="seen in their console")
    assert redis.exists(KEY_PREFIX + DISPATCH) == notified


def test_only_the_role_payments_changes_gifts(services: Services) -> None:
    ids = fill(services, dead=3)
    operator = services.operator("web:otto", role=Role.OPERATOR)
    with pytest.raises(NotPermitted, match='needs the role "payments"'):
        operator.replay(ids["dead_gift"], reason=None)
    with pytest.raises(NotPermitted):
        operator.resolve(ids["in_doubt"], Resolution.NOT_SENT, reason="guessed")
    with pytest.raises(NotPermitted):
        operator.begin(operator.plan(Deed.REPLAY, ""), reason="all of it")
    named = plan_named_replay(operator, [str(ids["dead"]), str(ids["dead_gift"])])
    with pytest.raises(NotPermitted):
        run_named_replay(operator, named, reason=None, at=None)
    states = {name: services.books.message(id_).state for name, id_ in ids.items()}
    assert states == {
        "dead": State.DEAD,
        "dead_gift": State.DEAD,
        "in_doubt": State.IN_DOUBT,
        "queued": State.QUEUED,
    }
    assert operator.audit() == []


def test_an_operator_replays_and_discards_sms(services: Services) -> None:
    ids = fill(services, dead=3)
    operator = services.operator("web:otto", role=Role.OPERATOR)
    assert operator.replay(ids["dead"], reason="try again").state is State.QUEUED
    plan = operator.plan(Deed.REPLAY, "channel:sms")
    assert operator.begin(plan, reason="the outage is over").total == 2
    assert [(entry.actor, entry.action) for entry in operator.audit()][-1] == ("web:otto", "replay")


def test_a_viewer_is_refused_by_the_actor_alone() -> None:
    with pytest.raises(NotPermitted, match='needs the role "operator"'):
        _actor(Role.VIEWER).require(Role.OPERATOR)
    _actor(Role.OPERATOR).require(Role.OPERATOR)
    _actor(Role.OPERATOR).require_for(Channel.SMS)
    with pytest.raises(NotPermitted):
        _actor(Role.OPERATOR).require_for(Channel.GIFT)


def _actor(role: Role) -> Actor:
    return Actor(name="test", role=role)
