"""`dispatcher in-doubt`: what nobody knows, and answering for it."""

from __future__ import annotations

import pytest

from dispatcher.sandbox import SandboxControl

from .conftest import Shell


@pytest.fixture
def doubtful(shell: Shell, sandbox: SandboxControl) -> str:
    """A gift of which nobody knows whether it was carried out."""
    sandbox.fault(path="/gifting/send", action="cut_after_accepting", times=1)
    one = shell.gift("k1")
    shell.pump()
    assert shell.state(one) == "in_doubt"
    return one


def test_nothing_in_doubt_is_exit_code_3(offline: Shell) -> None:
    assert offline("in-doubt", "list").out == "Nothing is in doubt.\n"
    empty = offline("in-doubt", "list", "--json")
    assert (empty.code, empty.json["total"], empty.json["money_at_stake"]) == (3, 0, {})


def test_gifts_come_first_with_the_money_at_stake(shell: Shell, sandbox: SandboxControl, doubtful: str) -> None:
    sandbox.fault(path="/gifting/send", action="hang_after_accepting", times=1)
    second = shell.gift("k2", "7.50")
    shell.pump()
    sms = shell.sms()
    services = shell.services()
    with services.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE dispatcher_messages SET state = 'in_doubt', updated_at = '2020-01-01 00:00:00.000000' WHERE id = ?",
            (sms,),
        )
    services.close()
    ended = shell("in-doubt", "list")
    assert ended.code == 0
    assert ended.out.startswith("In doubt: 2 gifts, AUD 32.50 at stake; 1 SMS\n")
    assert "read_timeout" in ended.out
    document = shell("in-doubt", "list", "--json").json
    assert [each["id"] for each in document["messages"]] == [doubtful, second, sms]
    assert (document["total"], document["money_at_stake"]) == (3, {"AUD": "32.50"})
    assert "2 more: --limit 3 shows them." in shell("in-doubt", "list", "--limit", "1").out


def test_it_was_sent(shell: Shell, sandbox: SandboxControl, doubtful: str) -> None:
    ended = shell("in-doubt", "resolve", doubtful, "--sent", "--provider-id", "gft_81", "--reason", "seen there")
    assert (ended.code, ended.out) == (0, "gift AUD 25.00 (COFFEE) to +61•••••••06 counts as accepted.\n")
    story = shell("messages", "show", doubtful, "--json").json
    assert (story["message"]["state"], story["message"]["provider_id"]) == ("accepted", "gft_81")
    assert (story["audit"][0]["action"], story["audit"][0]["reason"]) == ("resolve sent", "seen there")
    assert shell("in-doubt", "resolve", doubtful, "--not-sent", "--reason", "no").code == 4
    shell.pump()
    assert sandbox.summary()["carried_out"]["gift"] == 1


def test_it_was_not_sent_and_goes_out(shell: Shell, sandbox: SandboxControl, doubtful: str) -> None:
    document = shell("in-doubt", "resolve", doubtful, "--not-sent", "--reason", "never came", "--json").json
    assert document["state"] == "queued"
    shell.pump()
    assert shell.state(doubtful) == "accepted"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "give one of --sent, --not-sent and --give-up"),
        (("--sent", "--give-up"), "give one of --sent, --not-sent and --give-up"),
        (("--give-up", "--provider-id", "x"), "--provider-id: goes only with --sent"),
        (("--sent", "--reason", "  "), "--reason: is empty; say why"),
    ],
)
def test_an_answer_must_be_one(shell: Shell, doubtful: str, options: tuple[str, ...], sentence: str) -> None:
    reason = () if "--reason" in options else ("--reason", "because")
    ended = shell("in-doubt", "resolve", doubtful, *options, *reason)
    assert ended.code == 2
    assert sentence in ended.err
    assert shell.state(doubtful) == "in_doubt"


def test_a_reason_is_required(shell: Shell, doubtful: str) -> None:
    ended = shell("in-doubt", "resolve", doubtful, "--sent")
    assert ended.code == 2
    assert "Missing option '--reason'" in ended.err


def test_a_query_narrows_the_list(shell: Shell, sandbox: SandboxControl, doubtful: str) -> None:
    sandbox.fault(path="/gifting/send", action="hang_after_accepting", times=1)
    second = shell.gift("k2", "7.50")
    shell.pump()
    document = shell("in-doubt", "list", "--query", "amount:<10", "--json").json
    assert ([each["id"] for each in document["messages"]], document["total"]) == ([second], 1)
    assert document["money_at_stake"] == {"AUD": "7.50"}
    assert shell("in-doubt", "list", "--query", "amount>100").code == 3
    wrong = shell("in-doubt", "list", "--query", "amont:<10")
    assert (wrong.code, "did you mean amount?" in wrong.err) == (2, True)
