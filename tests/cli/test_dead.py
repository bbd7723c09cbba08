"""`dispatcher dead`: what was given up, and sending it again."""

from __future__ import annotations

import pytest

from dispatcher.sandbox import SandboxControl

from .conftest import Shell


def die(shell: Shell, sandbox: SandboxControl, count: int = 1) -> list[str]:
    """Enqueue SMS that the API refuses for good."""
    sandbox.fault(path="/sendSMS", action="status", status=400, error="invalid_recipient", times=count)
    ids = [shell.sms() for _ in range(count)]
    shell.pump()
    return ids


def give_up_gift(shell: Shell, sandbox: SandboxControl, key: str) -> str:
    """Enqueue a gift that may have been carried out, and give it up."""
    sandbox.fault(path="/gifting/send", action="cut_after_accepting", times=1)
    one = shell.gift(key)
    shell.pump()
    assert shell("in-doubt", "resolve", one, "--give-up", "--reason", "nobody knows").code == 0
    return one


def test_nothing_dead_is_exit_code_3(offline: Shell) -> None:
    assert offline("dead", "list").code == 3
    assert offline("dead", "replay", "--all").code == 3
    document = offline("dead", "replay", "--all", "--json")
    assert (document.code, document.json["planned"]) == (3, 0)


def test_dead_and_expired_are_listed_with_the_reason(shell: Shell, sandbox: SandboxControl) -> None:
    (dead,) = die(shell, sandbox)
    expired = shell.sms(expires_at="+1s")
    services = shell.services()
    services.ledger.expire(now=services.clock.now().replace(year=2100), limit=10)
    services.close()
    for width in (80, 120):
        shell.columns(width)
        ended = shell("dead", "list")
        assert ended.code == 0
        assert all(len(line) <= width for line in ended.out.splitlines())
        assert all(part in ended.out for part in (dead, expired, "400 invalid_recipient", "dead", "expired"))
    assert [each["id"] for each in shell("dead", "list", "--json").json["messages"]] == [expired, dead]
    assert shell("dead", "list", "--channel", "gift").code == 3
    assert "call 1: rejected" in shell("dead", "show", dead).out


def test_one_is_replayed_without_asking_and_goes_out(shell: Shell, sandbox: SandboxControl) -> None:
    (one,) = die(shell, sandbox)
    ended = shell("dead", "replay", one, "--reason", "number corrected")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "  send again  1 sms to +61•••••••06\n1 queued again.\n"
    shell.pump()
    assert shell.state(one) == "accepted"
    audit = shell("messages", "show", one, "--json").json["audit"]
    assert [(each["action"], each["reason"]) for each in audit] == [("replay", "number corrected")]


def test_the_time_it_lay_dead_is_not_told_as_waiting(shell: Shell, sandbox: SandboxControl) -> None:
    (one,) = die(shell, sandbox)
    services = shell.services()
    long_ago = "2020-01-01 00:00:00.000000"
    with services.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE dispatcher_messages SET created_at = ?, due_at = ?", (long_ago, long_ago))
        connection.exec_driver_sql("UPDATE dispatcher_attempts SET started_at = ?, finished_at = ?", (long_ago,) * 2)
    services.close()
    shell("dead", "replay", one)
    shell.pump()
    story = shell("messages", "show", one, "--json").json["story"]
    assert story[-1]["title"] == "is accepted"
    assert all(each["took_s"] is None or each["took_s"] < 60 for each in story)


def test_more_than_one_needs_a_yes_where_nobody_can_be_asked(shell: Shell, sandbox: SandboxControl) -> None:
    ids = die(shell, sandbox, 3)
    refused = shell("dead", "replay", "--all")
    assert refused.code == 4
    assert "  send again  3 sms: rejected\n" in refused.out
    assert refused.err.startswith("error: Send these 3 again? Without a terminal, confirm with --yes")
    assert {shell.state(one) for one in ids} == {"dead"}
    done = shell("dead", "replay", "--all", "--yes")
    assert (done.code, done.out.splitlines()[-1]) == (0, "3 queued again.")
    assert {shell.state(one) for one in ids} == {"queued"}


def test_a_dry_run_only_shows_the_plan(shell: Shell, sandbox: SandboxControl) -> None:
    ids = die(shell, sandbox, 2)
    document = shell("dead", "replay", "--all", "--dry-run", "--json").json
    assert (document["dry_run"], document["planned"], document["replayed"]) == (True, 2, 0)
    assert document["by_safety"] == [{"channel": "sms", "safety": "rejected", "messages": 2, "money": {}}]
    assert (document["operation"], shell("operations", "list").code) == (None, 3)
    assert {shell.state(one) for one in ids} == {"dead"}


def test_gifts_that_may_have_been_carried_out_are_left_out(shell: Shell, sandbox: SandboxControl) -> None:
    guarded = give_up_gift(shell, sandbox, "k1")
    sandbox.clear_faults()
    sandbox.fault(path="/gifting/send", action="status", status=422, error="sold_out", times=1)
    safe = shell.gift("k2", "7.50")
    shell.pump()
    plan = shell("dead", "replay", "--all", "--dry-run")
    assert plan.code == 0
    assert "send again  1 gift: rejected, worth AUD 7.50\n" in plan.out
    assert "leave out   1: a gift that may have been carried out\n" in plan.out
    document = shell("dead", "replay", "--all", "--yes", "--json").json
    assert (document["replayed"], document["money"]) == (1, {"AUD": "7.50"})
    assert document["left_out"] == [{"why": "a gift that may have been carried out", "messages": 1}]
    shell.pump()
    assert (shell.state(guarded), shell.state(safe)) == ("dead", "accepted")
    assert sandbox.summary()["carried_out"]["gift"] == 2
    only = shell("dead", "replay", "--all", "--yes")
    assert only.code == 4
    named = shell("dead", "replay", guarded, "--yes")
    assert (named.code, shell.state(guarded)) == (4, "dead")


def test_of_named_messages_each_counts(shell: Shell, sandbox: SandboxControl) -> None:
    (dead,) = die(shell, sandbox)
    queued = shell.sms()
    mixed = shell("dead", "replay", dead, queued, "nonsense")
    assert mixed.code == 4
    assert "leave out   1: is queued; only dead, expired and cancelled messages can be sent again" in mixed.out
    assert "leave out   1: there is no such message" in mixed.out
    assert mixed.out.endswith("1 queued again.\n")
    assert shell("dead", "replay", "nonsense").code == 3


@pytest.mark.parametrize("arguments", [(), ("--all", "some-id"), ("some-id", "--channel", "sms")])
def test_what_to_replay_must_be_said_plainly(offline: Shell, arguments: tuple[str, ...]) -> None:
    ended = offline("dead", "replay", *arguments)
    assert ended.code == 2
    assert ended.err == "error: give the ids of messages, or --query TEXT, or --all; --channel goes with the last two\n"


def test_a_dead_message_is_put_right_and_sent(shell: Shell, sandbox: SandboxControl) -> None:
    (dead,) = die(shell, sandbox)
    for wrong, says in (
        ([], "say what is to be otherwise"),
        (["--to", "12"], "recipient"),
        (["--sku", "CARD"], "sku: is not a part of messages on this channel"),
        (["--text", "Hi", "--at", "2020-01-01T00:00Z"], "is past"),
    ):
        ended = shell("dead", "edit", dead, *wrong, "--reason", "typo")
        assert (ended.code, says in ended.err) == (2, True), ended.err
    assert shell.state(dead) == "dead"
    done = shell("dead", "edit", dead, "--to", "+61491570156", "--text", "Parcel 7", "--reason", "a digit was missing")
    assert (done.code, "is put right and queued again." in done.out) == (0, True)
    shell.pump()
    assert shell.state(dead) == "accepted"
    assert (sandbox.journal()[-1].recipient, sandbox.journal()[-1].message) == ("+61491570156", "Parcel 7")
    told = shell("messages", "show", dead).out
    assert "edit and replay by cli:" in told
    assert "a digit was missing" in told
    masked, whole = shell("messages", "show", dead, "--json"), shell("messages", "show", dead, "--json", "--reveal")
    assert "was" not in masked.json["audit"][0]["details"]
    assert whole.json["audit"][0]["details"]["was"]["recipient"].startswith("+61")
    assert shell("dead", "edit", dead, "--text", "again", "--reason", "no").code == 4


def test_a_named_message_is_replayed_at_a_moment(shell: Shell, sandbox: SandboxControl) -> None:
    (dead,) = die(shell, sandbox)
    assert shell("dead", "replay", dead, "--at", "+2h").code == 0
    shell.pump()
    assert shell.state(dead) == "queued"
    refused = shell("dead", "replay", dead, "--rate", "5/s")
    assert (refused.code, "go with --query or --all" in refused.err) == (2, True)
