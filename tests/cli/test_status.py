"""`dispatcher status`."""

from __future__ import annotations

from dispatcher.domain.duty import Duty, FailingDuty
from dispatcher.sandbox import SandboxControl

from .conftest import Shell


def test_what_needs_a_person_comes_first(shell: Shell, sandbox: SandboxControl) -> None:
    sandbox.fault(path="/gifting/send", action="cut_after_accepting", times=1)
    sandbox.fault(path="/sendSMS", action="status", status=400, times=1)
    shell.gift("k1")
    shell.sms()
    shell.pump()
    shell.sms(priority="bulk")
    out = shell("status").out
    positions = [
        out.index(part)
        for part in (
            "Needs a person",
            "1 in doubt, AUD 25.00 at stake: dispatcher in-doubt list",
            "1 dead: dispatcher dead list",
            "Messages",
            "sms transactional",
            "sms bulk",
            "gift transactional",
            "Channels",
            "Token",
            "generation ",
            "scopes gifting:send write",
        )
    ]
    assert positions == sorted(positions)


def test_json_has_every_count(shell: Shell) -> None:
    shell.sms()
    shell.pump()
    shell.sms(priority="bulk")
    document = shell("status", "--json").json
    queues = {(each["channel"], each["priority"]): each for each in document["queues"]}
    assert len(queues) == 4
    assert queues["sms", "transactional"]["accepted"] == 1
    assert queues["sms", "bulk"]["queued"] == 1
    assert queues["sms", "bulk"]["oldest_wait_s"] >= 0
    assert queues["gift", "bulk"]["oldest_wait_s"] is None
    assert document["token"]["generation"] > 0
    assert document["token"]["expires_in_s"] > 3000
    assert (document["redis_problem"], document["api_problem"]) == (None, None)
    assert document["channels"][1]["limits"]["configured_rate"] == 10


def test_a_duty_of_the_clock_that_keeps_failing_needs_a_person(shell: Shell) -> None:
    services = shell.services()
    since = services.clock.now()
    services.duties.failing(FailingDuty(duty=Duty.LEASES, failures=7, since=since, reason="integer out of range"))
    services.close()
    assert "the clock's duty 'leases' keeps failing: 7 times since" in shell("status").out
    (found,) = shell("status", "--json").json["needs_a_person"]["clock"]
    assert (found["duty"], found["failures"], found["reason"]) == ("leases", 7, "integer out of range")
    checked = shell("check", "--json")
    (step,) = (each for each in checked.json["steps"] if each["name"] == "clock duties")
    assert (checked.code, step["mark"]) == (1, "fault")
    assert "leases (7 times): integer out of range" in step["found"]


def test_it_is_calm_when_all_is_well(shell: Shell) -> None:
    assert "Nothing needs a person." in shell("status").out


def test_it_works_without_redis_and_without_an_api(offline: Shell) -> None:
    offline.sms()
    ended = offline("status")
    assert ended.code == 0
    assert "Redis cannot be reached" in ended.out
    assert "DISPATCHER_API_BASE_URL" in ended.out
    assert "unknown" in ended.out
    document = offline("status", "--json").json
    assert document["channels"][0]["limits"] is None
    assert document["token"] is None
    assert document["redis_problem"]


def test_a_token_in_trouble_says_why(shell: Shell, sandbox: SandboxControl) -> None:
    sandbox.settings(token_fault="refuse_credentials")
    shell.sms()
    shell.pump()
    assert "cooling down for" in shell("status").out
    assert "correct DISPATCHER_CLIENT_ID" in shell("status", "--json").json["token"]["problem"]


def test_it_fits_80_and_120_columns_even_with_large_numbers(shell: Shell) -> None:
    shell.sms()
    services = shell.services()
    with services.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE dispatcher_messages SET due_at = '2020-01-01 00:00:00.000000'")
    services.close()
    shell("channel", "pause", "sms", "--reason", "long " * 40, "--until", "+2h")
    for width in (80, 120):
        shell.columns(width)
        lines = shell("status").out.splitlines()
        assert all(len(line) <= width and line == line.rstrip() for line in lines)
        assert sum("oldest wait" in line for line in lines) == 1


def test_watching_needs_a_screen(offline: Shell) -> None:
    ended = offline("status", "--watch", "1", "--json")
    assert (ended.code, ended.err) == (2, "error: --watch: shows a screen; leave it out with --json\n")
