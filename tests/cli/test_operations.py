"""Bulk on the command line: groups, operations, discards, the audit trail; by one query language."""

from __future__ import annotations

import pytest

from dispatcher.sandbox import SandboxControl

from .conftest import MOBILE, Shell


def die(shell: Shell, sandbox: SandboxControl, count: int, code: str = "invalid_recipient") -> list[str]:
    """Enqueue SMS that the API refuses for good."""
    sandbox.fault(
        path="/sendSMS", action="status", status=422, error=code, error_description="see ticket 4711", times=count
    )
    ids = [shell.sms() for _ in range(count)]
    shell.pump()
    return ids


def test_failures_are_counted_by_reason_and_each_group_has_its_query(shell: Shell, sandbox: SandboxControl) -> None:
    die(shell, sandbox, 3)
    die(shell, sandbox, 2, code="blocked")
    shown = shell("dead", "groups")
    assert shown.code == 0
    assert "invalid_recipient: see ticket #" in shown.out
    assert MOBILE not in shown.out
    groups = shell("dead", "groups", "--json").json["groups"]
    assert [(group["messages"], group["status"]) for group in groups] == [(3, 422), (2, 422)]
    for group in groups:
        found = shell("dead", "list", "--query", group["query"], "--json").json["messages"]
        assert len(found) == group["messages"]
    assert [
        each["messages"] for each in shell("dead", "groups", "--query", "code:blocked", "--json").json["groups"]
    ] == [2]
    assert shell("dead", "groups", "--query", "code:nothing").code == 3


def test_what_a_query_finds_is_replayed_as_an_operation(shell: Shell, sandbox: SandboxControl) -> None:
    wrong, blocked = die(shell, sandbox, 3), die(shell, sandbox, 2, code="blocked")
    done = shell("dead", "replay", "--query", "code:blocked", "--yes", "--reason", "they unblocked us")
    assert (done.code, done.out.splitlines()[-1]) == (0, "2 queued again.")
    shell.pump()
    assert {shell.state(each) for each in blocked} == {"accepted"}
    assert {shell.state(each) for each in wrong} == {"dead"}
    (operation,) = shell("operations", "list", "--json").json["operations"]
    assert (operation["state"], operation["done"], operation["outcomes"]) == ("done", 2, {"accepted": 2})
    assert operation["query"] == "code:blocked"
    assert "replay of 2 messages: done" in shell("operations", "show", operation["id"]).out
    assert "they unblocked us" in shell("operations", "list").out or shell("operations", "list").code == 0
    trail = shell("audit", "--about", f"operation:{operation['id']}", "--json").json["entries"]
    assert [(each["action"], each["reason"]) for each in trail] == [("replay many", "they unblocked us")]
    assert "replay by cli:" in shell("messages", "show", blocked[0]).out
    refused = shell("operations", "pause", operation["id"])
    assert (refused.code, "is done, so it cannot become paused" in refused.err) == (4, True)


def test_an_operation_that_is_left_to_the_clock_can_be_paused_and_ended(shell: Shell, sandbox: SandboxControl) -> None:
    ids = die(shell, sandbox, 4)
    left = shell("dead", "replay", "--all", "--yes", "--at", "+1h", "--detach", "--json").json
    id_ = left["operation"]["id"]
    assert (left["planned"], left["replayed"], left["operation"]["state"]) == (4, 0, "running")
    for verb, state in (("pause", "paused"), ("resume", "running"), ("abort", "aborted")):
        assert shell("operations", verb, id_, "--reason", "see", "--json").json["state"] == state
    shell.tick()
    assert {shell.state(each) for each in ids} == {"dead"}
    assert shell("operations", "show", "nonsense").code == 3


def test_a_canary_holds_the_rest_until_it_is_known(shell: Shell, sandbox: SandboxControl) -> None:
    die(shell, sandbox, 6)
    id_ = shell("dead", "replay", "--all", "--yes", "--canary", "2", "--detach", "--json").json["operation"]["id"]
    shell.tick()
    shell.tick()
    assert shell("operations", "show", id_, "--json").json["done"] == 2
    shell.pump()
    shell.tick()
    assert shell("operations", "show", id_, "--json").json["done"] == 6


def test_what_is_put_away_is_listed_no_more(shell: Shell, sandbox: SandboxControl) -> None:
    ids = die(shell, sandbox, 3)
    assert shell("dead", "discard", "--all").code == 2, "a reason is required"
    assert shell("dead", "discard", "--all", "--reason", "x").code == 4, "and a yes"
    done = shell("dead", "discard", "--query", "status:422", "--reason", "old list", "--yes")
    assert (done.code, done.out.splitlines()[-1]) == (0, "3 put away.")
    assert shell("dead", "list").code == 3
    assert shell("dead", "groups").code == 3
    again = shell("dead", "discard", ids[0], "--reason", "x")
    assert (again.code, "put away before" in again.out) == (4, True)
    assert shell("dead", "replay", ids[0]).code == 0
    assert shell.state(ids[0]) == "queued"


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (
            ("dead", "list", "--query", "stat:dead"),
            "query: at character 1: there is no field 'stat'; did you mean state?",
        ),
        (
            ("messages", "list", "--query", "state:daed"),
            "query: at character 7: 'daed' is no state; did you mean dead?",
        ),
        (("dead", "replay", "--query", "status:6xx", "--yes"), "query: at character 8: '6xx' is not an HTTP status"),
        (("dead", "replay", "--all", "--spread", "long"), "--spread: 'long' is not a span"),
        (("dead", "replay", "--all", "--rate", "fast"), "--rate: 'fast' is not a rate"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_place(offline: Shell, command: tuple[str, ...], sentence: str) -> None:
    ended = offline(*command)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: {sentence}")


def test_the_audit_trail_is_shown_newest_first(offline: Shell) -> None:
    assert offline("audit").code == 3
    for number in range(3):
        offline("channel", "pause", "sms", "--reason", f"reason {number}\x1b[2J")
    shown = offline("audit", "--limit", "2")
    assert "\x1b[2J" not in shown.out
    assert shown.out.index("reason 2") < shown.out.index("reason 1")
    first = offline("audit", "--limit", "2", "--json").json
    rest = offline("audit", "--before", first["next_before"], "--json").json
    assert [each["reason"][:8] for each in [*first["entries"], *rest["entries"]]] == [
        "reason 2",
        "reason 1",
        "reason 0",
    ]


def test_what_was_put_away_needs_nobody(shell: Shell, sandbox: SandboxControl) -> None:
    die(shell, sandbox, 2)
    assert "2 dead" in shell("status").out
    assert shell("dead", "discard", "--all", "--yes", "--reason", "old list").code == 0
    assert "Nothing needs a person." in shell("status").out
    assert shell("status", "--json").json["needs_a_person"]["dead"] == 0
