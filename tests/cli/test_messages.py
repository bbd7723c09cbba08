"""`dispatcher messages`: lists, stories, cancelling."""

from __future__ import annotations

import time

import pytest

from dispatcher.domain.outcome import OutcomeKind
from dispatcher.sandbox import SandboxControl
from tests.making import outcome, settled, sms, wish

from .conftest import MOBILE, OTHER_MOBILE, Shell


def test_a_list_is_narrowed_by_each_option(shell: Shell) -> None:
    bulk = shell.sms(priority="bulk")
    other = shell.sms(to=OTHER_MOBILE)
    gift = shell.gift("k")

    def found(*options: str) -> list[str]:
        return [each["id"] for each in shell("messages", "list", *options, "--json").json["messages"]]

    assert found() == [gift, other, bulk]
    assert found("--channel", "gift") == [gift]
    assert found("--priority", "bulk") == [bulk]
    assert found("--to", OTHER_MOBILE) == [other]
    assert found("--state", "queued", "--state", "dead") == [gift, other, bulk]
    assert found("--before", gift) == [other, bulk]


def test_a_page_tells_where_the_next_begins(offline: Shell) -> None:
    ids = [offline.sms() for _ in range(3)]
    page = offline("messages", "list", "--limit", "2", "--json").json
    assert [each["id"] for each in page["messages"]] == ids[:0:-1]
    assert page["next_before"] == ids[1]
    assert offline("messages", "list", "--before", ids[1], "--json").json["next_before"] is None
    assert f"--before {ids[1]}" in offline("messages", "list", "--limit", "2").err


def test_nothing_matched_is_exit_code_3(offline: Shell) -> None:
    ended = offline("messages", "list")
    assert (ended.code, ended.out) == (3, "No message matches.\n")
    empty = offline("messages", "list", "--json")
    assert (empty.code, empty.json) == (3, {"messages": [], "next_before": None})


@pytest.mark.parametrize("id", ["nonsense", "00000000-0000-0000-0000-000000000000"])
@pytest.mark.parametrize("verb", [("messages", "show"), ("messages", "cancel"), ("dead", "show")])
def test_an_unknown_id_is_exit_code_3(offline: Shell, verb: tuple[str, str], id: str) -> None:
    ended = offline(*verb, id)
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith("error: no message has the id")


def test_lists_fit_their_screen(offline: Shell) -> None:
    offline.sms()
    for width in (80, 120):
        offline.columns(width)
        lines = offline("messages", "list").out.splitlines()
        assert len(lines) == 2
        assert all(len(line) <= width and line == line.rstrip() for line in lines)
    assert "+61•••••••06" in lines[1]
    assert MOBILE not in lines[1]


def test_a_story_tells_each_call_and_the_reason_of_each_wait(shell: Shell, sandbox: SandboxControl) -> None:
    one = shell.sms(key="order-1")
    sandbox.fault(path="/sendSMS", action="status", status=503, error="busy", error_description="later", times=1)
    shell.pump()
    until = time.monotonic() + 10
    while shell.state(one) == "queued" and time.monotonic() < until:
        shell.pump()
        time.sleep(0.1)
    ended = shell("messages", "show", one)
    assert ended.code == 0
    positions = [
        ended.out.index(part)
        for part in (
            "sms to +61•••••••06: accepted",
            "order-1",
            "19 characters, 1 part in GSM-7 (--reveal shows them)",
            "enqueued by command line",
            "call 1: failed",
            "503 busy later",
            "→ waits ",
            "(backoff after 503 busy)",
            "call 2: accepted",
        )
    ]
    assert positions == sorted(positions)
    document = shell("messages", "show", one, "--json").json
    assert [each["outcome"] for each in document["attempts"]] == ["failed", "accepted"]
    assert document["story"][0]["title"] == "enqueued by command line"
    assert document["message"]["provider_id"] == document["attempts"][1]["provider_id"]


def test_what_the_api_says_can_do_nothing_to_a_terminal(shell: Shell, sandbox: SandboxControl) -> None:
    one = shell.sms()
    shell.pump()
    services = shell.services()
    evil = "\x1b]0;owned\x07\x1b[2J[bold]plain[/bold]\u202egnp\x9b31m"
    with services.engine.begin() as connection:  # as if the gateway had let it through
        connection.exec_driver_sql(
            "UPDATE dispatcher_attempts SET error = ?, error_description = ?, response = ?, outcome = 'rejected'",
            (evil[:99], evil, evil),
        )
        connection.exec_driver_sql("UPDATE dispatcher_messages SET state = 'dead', last_error = ?", (evil,))
    services.close()
    for command in (("messages", "show", one), ("messages", "list"), ("dead", "list"), ("dead", "list", "--json")):
        shell.columns(200)
        ended = shell(*command)
        assert ended.code == 0
        assert not set("\x1b\x07\x9b\u202e") & set(ended.out)
        assert "[bold]plain[/bold]" in ended.out
    assert shell("messages", "show", one, "--json").json["attempts"][0]["response"] == evil


def test_a_revealed_text_keeps_its_lines_but_no_escapes(offline: Shell) -> None:
    one = offline.sms(text="one\ntwo \x1b[31mred")
    out = offline("messages", "show", one, "--reveal").out
    assert MOBILE in out
    assert "\x1b" not in out
    assert "two \\x1b[31mred" in out


def test_cancelling_is_told_and_done_once(offline: Shell) -> None:
    one = offline.sms()
    ended = offline("messages", "cancel", one, "--reason", "wrong text")
    assert (ended.code, ended.out) == (0, "sms to +61•••••••06 is cancelled: it will not be sent.\n")
    story = offline("messages", "show", one, "--json").json
    assert story["message"]["state"] == "cancelled"
    assert story["audit"][0]["actor"].startswith("cli:")
    assert story["audit"][0]["reason"] == "wrong text"
    again = offline("messages", "cancel", one)
    assert again.code == 4
    assert "is cancelled, so it cannot be cancelled; only queued messages" in again.err


def test_the_story_of_a_scheduled_message_says_that_it_was_scheduled(shell: Shell) -> None:
    one = shell.sms(due_at="+1s")
    time.sleep(1.2)
    shell.pump()
    titles = [each["title"] for each in shell("messages", "show", one, "--json").json["story"]]
    assert titles[:2] == ["enqueued by command line", "waited until it was due"]


def test_the_ids_by_which_the_provider_finds_a_call_are_shown(offline: Shell) -> None:
    services = offline.services()
    now = services.clock.now()
    services.books.enqueue([sms(now)], source="test")
    (claimed,) = services.ledger.claim(wish(now)).messages
    ids = (("x-amzn-RequestId", "req-4711"), ("x-amz-apigw-id", "gw\x1b[2J="))
    services.ledger.settle([settled(claimed, outcome(OutcomeKind.REJECTED, request_ids=ids), now)])
    services.close()
    text = offline("messages", "show", str(claimed.id)).out
    assert r"x-amzn-RequestId req-4711, x-amz-apigw-id gw\x1b[2J=" in text
    (attempt,) = offline("messages", "show", str(claimed.id), "--json").json["attempts"]
    assert attempt["request_ids"] == dict(ids)
