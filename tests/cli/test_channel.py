"""`dispatcher channel`: pause and resume."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.domain.message import Channel
from dispatcher.ports import ChannelReport
from tests.stepped import host_ahead_by

from .conftest import Shell


def test_a_pause_holds_until_it_is_resumed(shell: Shell) -> None:
    ended = shell("channel", "pause", "sms", "--reason", "wrong template")
    assert ended.out == "sms is paused until `dispatcher channel resume sms`; its messages stay queued.\n"
    one = shell.sms()
    shell.pump()
    assert shell.state(one) == "queued"
    (sms, _) = shell("status", "--json").json["channels"]
    assert (sms["pause"]["reason"], sms["pause"]["until"]) == ("wrong template", None)
    assert sms["pause"]["by"].startswith("cli:")
    assert "sms is paused: wrong template" in shell("status").out
    assert shell("channel", "resume", "sms").out == "sms is open again; its limits are as configured.\n"
    assert shell("channel", "resume", "sms").out == "sms was not paused; its limits are as configured.\n"
    shell.pump()
    assert shell.state(one) == "accepted"


@pytest.mark.parametrize("step", [timedelta(hours=1), -timedelta(hours=1)], ids=str)
def test_the_end_of_a_pause_is_the_ledgers_time_whatever_the_operators_host_has(
    shell: Shell, fresh_postgres: str, step: timedelta
) -> None:
    shell.set(LEDGER_URL=fresh_postgres)
    before = datetime.now(UTC)
    with host_ahead_by(step):
        shell("channel", "pause", "gift", "--reason", "sold out", "--until", "+10m")
    channels = {each["channel"]: each for each in shell("status", "--json").json["channels"]}
    until = datetime.fromisoformat(channels["gift"]["pause"]["until"])
    assert abs(until - before - timedelta(minutes=10)) < timedelta(seconds=10)


def test_both_are_audited(offline: Shell) -> None:
    offline("channel", "pause", "gift", "--reason", "sold out", "--until", "+10m")
    offline("channel", "resume", "gift", "--reason", "restocked")
    services = offline.services()
    with services.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT actor LIKE 'cli:%', action, subject, reason FROM dispatcher_audit ORDER BY id"
        ).all()
    services.close()
    assert [tuple(row) for row in rows] == [
        (1, "pause", "channel:gift", "sold out"),
        (1, "resume", "channel:gift", "restocked"),
    ]


def test_resuming_lifts_a_429_and_restores_the_rate(shell: Shell) -> None:
    services = shell.services()
    services.limiter.report(Channel.SMS, ChannelReport(throttled=services.policies[Channel.SMS].backoff.cap))
    services.close()
    (sms, _) = shell("status", "--json").json["channels"]
    assert sms["limits"]["blocked_for_s"] > 60
    assert sms["limits"]["effective_rate"] < sms["limits"]["configured_rate"]
    assert "of 100/s" in shell("status").out
    document = shell("channel", "resume", "sms", "--json").json
    assert document == {"channel": "sms", "paused": False, "was_paused": False, "limits_cleared": True}
    (sms, _) = shell("status", "--json").json["channels"]
    assert (sms["limits"]["blocked_for_s"], sms["limits"]["effective_rate"]) == (0, 100)


def test_resuming_without_redis_says_what_it_could_not_do(offline: Shell) -> None:
    offline("channel", "pause", "sms", "--reason", "x")
    ended = offline("channel", "resume", "sms")
    assert (ended.code, ended.out) == (0, "sms is open again; its limits are as they were.\n")
    assert "Redis cannot be reached" in ended.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("pause", "sms", "--reason", ""), "--reason: is empty"),
        (("pause", "sms"), "Missing option '--reason'"),
        (("pause", "mail", "--reason", "x"), "'mail' is not one of 'sms', 'gift'"),
        (
            ("pause", "sms", "--reason", "x", "--until", "2020-01-01T00:00:00Z"),
            "until: 2020-01-01 00:00:00 UTC is past",
        ),
        (("pause", "sms", "--reason", "x", "--until", "noon"), "until: 'noon' is not a moment"),
    ],
)
def test_wrong_usage(offline: Shell, arguments: tuple[str, ...], sentence: str) -> None:
    ended = offline("channel", *arguments)
    assert ended.code == 2
    assert sentence in ended.err
    assert offline("status", "--json").json["needs_a_person"]["paused"] == []
