"""Campaigns on the command line: what would surprise, once found by trying."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatcher.sandbox import SandboxControl

from .conftest import MOBILE, Shell

ONE = f"recipient\n{MOBILE}\n"


def make(shell: Shell, *options: str) -> None:
    """Make a campaign of one."""
    ended = shell("campaign", "create", "-", "--name", "spring", "--template", "Hi", *options, input=ONE)
    assert ended.code == 0, ended


def test_a_scheduled_campaign_that_is_started_by_hand_sends_now(shell: Shell) -> None:
    make(shell, "--starts-at", "+1h")
    assert shell("campaign", "start", "spring").out == "spring runs: 1 recipient.\n"
    assert shell.pump() == 1


@pytest.mark.parametrize(("made", "started"), [(("--expires-at", "+1h"), "+2h"), ((), "+31d")])
def test_a_start_after_its_messages_expire_is_refused(offline: Shell, made: tuple[str, ...], started: str) -> None:
    make(offline, *made)
    ended = offline("campaign", "start", "spring", "--at", started)
    assert ended.code == 2
    assert ended.err.startswith("error: starts_at: its messages expire before, at ")


@pytest.mark.parametrize("command", [("campaign", "create"), ("campaign", "dry-run"), ("suppress", "import")])
def test_the_list_itself_is_never_written_over(offline: Shell, tmp_path: Path, command: tuple[str, ...]) -> None:
    file = tmp_path / "list.csv"
    file.write_text(ONE)
    text = ("--template", "Hi") if command[0] == "campaign" else ()
    ended = offline(*command, str(file), *text, "--invalid-to", str(file))
    assert (ended.code, file.read_text()) == (2, ONE)
    assert "is the file of the recipients itself" in ended.err


def test_a_second_run_leaves_the_invalid_rows_of_the_first(offline: Shell, tmp_path: Path) -> None:
    file, bad = tmp_path / "list.csv", tmp_path / "bad.csv"
    file.write_text(f"{ONE}12\n")
    given = ("campaign", "create", str(file), "--template", "Hi", "--invalid-to", str(bad))
    offline(*given)
    first = bad.read_text()
    assert "12" not in first
    assert "is not E.164" in first
    offline(*given)
    assert bad.read_text() == first
    assert sorted(path.name for path in tmp_path.iterdir() if "bad" in path.name) == ["bad.csv"]


def test_the_time_that_a_message_lay_dead_is_not_told_as_waiting(shell: Shell, sandbox: SandboxControl) -> None:
    make(shell)
    shell("campaign", "start", "spring")
    sandbox.fault(path="/sendSMS", action="status", status=400, error="x", times=1)
    shell.pump()
    one = shell("messages", "list", "--json").json["messages"][0]["id"]
    services, long_ago = shell.services(), "2020-01-01 00:00:00.000000"
    with services.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE dispatcher_messages SET created_at = ?, due_at = ?", (long_ago, long_ago))
        connection.exec_driver_sql("UPDATE dispatcher_attempts SET started_at = ?, finished_at = ?", (long_ago,) * 2)
    services.close()
    shell("campaign", "retry-failed", "spring", "--reason", "try again")
    shell.pump()
    story = shell("messages", "show", one, "--json").json["story"]
    assert all(each["took_s"] is None or each["took_s"] < 60 for each in story)
    assert any(each["title"].startswith("replay by cli:") for each in story)


def test_a_message_of_a_scheduled_campaign_that_was_paused_says_so(offline: Shell) -> None:
    make(offline, "--starts-at", "+1h")
    offline("campaign", "pause", "spring", "--reason", "wrong price")
    one = offline("messages", "list", "--json").json["messages"][0]["id"]
    assert "its campaign is paused by" in offline("messages", "show", one).out


def test_standard_input_has_no_name_to_take(offline: Shell) -> None:
    for name in ((), ("--name", " ")):
        ended = offline("campaign", "create", "-", *name, "--template", "Hi", input=ONE)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith("error: --name: is needed")


def test_a_number_that_is_given_twice_counts_once(offline: Shell) -> None:
    assert offline("suppress", "add", MOBILE, MOBILE).out == "1 opted out of sms; 0 had before.\n"


def test_an_export_of_nobody_is_exit_code_3_and_no_file(offline: Shell, tmp_path: Path) -> None:
    assert offline("suppress", "export", str(tmp_path / "out.csv")).code == 3
    assert list(tmp_path.glob("out.csv")) == []
    make(offline)
    assert offline("campaign", "export", "spring", "--state", "dead").code == 3
