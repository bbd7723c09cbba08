"""`dispatcher prune`: what it says, how it ends, and what the other commands say of what is redacted."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from dispatcher.admin import Pruning
from dispatcher.ledger import RetentionBooks
from dispatcher.ledger.tables import MESSAGES
from dispatcher.sandbox import SandboxControl

from .conftest import MOBILE, Shell
from .test_operations import die

TEXT = "Your code is 123456"
DAY = timedelta(days=1)


def grow_old(shell: Shell, days: int) -> None:
    """Let all that the ledger has be made and settled so many days earlier."""
    services = shell.services()
    with services.engine.begin() as connection:
        for row in connection.execute(text("SELECT id, updated_at FROM dispatcher_messages")).all():
            at = datetime.fromisoformat(f"{row.updated_at}+00:00") - days * DAY
            unix_ms = int(at.timestamp() * 1000)
            id_ = f"{unix_ms >> 16:08x}-{unix_ms & 0xFFFF:04x}{row.id[13:]}"
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            for table, column in (("dispatcher_attempts", "message_id"), ("dispatcher_messages", "id")):
                moved = text(f"UPDATE {table} SET {column} = :new WHERE {column} = :old")
                connection.execute(moved, {"new": id_, "old": row.id})
            connection.execute(
                text("UPDATE dispatcher_audit SET subject = :new WHERE subject = :old"), {"new": id_, "old": row.id}
            )
        connection.execute(
            update(MESSAGES).values(updated_at=text(f"datetime(updated_at, '-{days} days') || '.000000'"))
        )
    services.close()


def ids(shell: Shell) -> list[str]:
    return [each["id"] for each in shell("messages", "list", "--json").json["messages"]]


def test_nothing_is_done_without_a_plain_word(shell: Shell) -> None:
    shell.sms()
    shell.pump()
    grow_old(shell, 40)
    refused = shell("prune")
    assert (refused.code, refused.out) == (4, "")
    assert refused.err == (
        "error: Redact what was settled 30 days ago or earlier and remove what was settled 365 days ago or earlier, "
        "for good? Without a terminal, confirm with --yes\n"
    )
    assert "remove" not in shell("prune", "--remove-after", "0", "--json").err
    assert shell("messages", "show", *ids(shell), "--json").json["message"]["redacted_at"] is None


def test_what_is_old_is_redacted_and_then_removed(shell: Shell) -> None:
    shell.sms()
    shell.sms()
    shell.pump()
    young = shell("prune", "--yes")
    assert (young.code, young.out) == (3, "Nothing is old enough to be redacted or removed.\n")
    grow_old(shell, 40)
    assert shell("prune", "--dry-run").out == "2 messages would be redacted, 0 removed.\n"
    done = shell("prune", "--yes", "--limit", "1", "--rate", "500/s")
    assert (done.code, done.out) == (0, "1 message redacted, 0 removed.\n")
    done = shell("prune", "--yes", "--json", "--reason", "nightly")
    assert (done.code, done.json) == (
        0,
        {
            "redact_after_days": 30,
            "remove_after_days": 365,
            "dry_run": False,
            "redacted": 1,
            "removed": 0,
            "interrupted": False,
        },
    )
    shell.set(remove_after="31")
    foreseen = shell("prune", "--dry-run", "--json")
    assert (foreseen.code, foreseen.json["dry_run"], foreseen.json["removed"]) == (0, True, 2)
    assert shell("prune", "--yes").out == "0 messages redacted, 2 removed.\n"
    assert shell.rows() == 0
    assert shell("prune", "--dry-run").code == 3
    trail = shell("audit", "--about", "ledger", "--json").json["entries"]
    assert [each["details"]["removed"] for each in trail] == [2, 0, 0, 0]
    assert len(trail) == 4, "a dry run is none"
    assert "nightly" in shell("audit").out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--redact-after", "30", "--remove-after", "10"), "--redact-after, --remove-after: removing after 10 days"),
        (("--redact-after", "0", "--remove-after", "0"), "both ages are 0"),
        (("--rate", "fast"), "--rate: 'fast' is not a rate"),
        (("--redact-after", "-1"), "--redact-after"),
        (("--limit", "0"), "--limit"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_done(offline: Shell, options: tuple[str, ...], says: str) -> None:
    ended = offline("prune", "--yes", *options)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err
    assert offline("audit").code == 3


def test_settings_that_contradict_each_other_are_refused(offline: Shell) -> None:
    offline.set(redact_after="30", remove_after="10")
    ended = offline("prune", "--yes")
    assert ended.code == 2
    assert "DISPATCHER_REDACT_AFTER, DISPATCHER_REMOVE_AFTER: removing after 10 days" in ended.err


def test_a_ledger_that_is_away_is_one_sentence(bare: Shell) -> None:
    bare.set(ledger_url="postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    ended = bare("prune", "--yes")
    assert (ended.code, ended.out) == (1, "")
    assert "the ledger cannot be used now" in ended.err


def test_ctrl_c_ends_it_between_two_steps(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        shell.sms()
    shell.pump()
    grow_old(shell, 40)
    monkeypatch.setattr(RetentionBooks, "step_size", 2)
    whole = Pruning.run

    def interrupted(self: Pruning, *given: Any, **named: Any) -> Any:
        yield next(whole(self, *given, **named))
        raise KeyboardInterrupt

    monkeypatch.setattr(Pruning, "run", interrupted)
    ended = shell("prune", "--yes")
    assert (ended.code, ended.out) == (130, "Stopped: 2 redacted, 0 removed so far; the next run goes on.\n")
    monkeypatch.setattr(Pruning, "run", whole)
    assert shell("prune", "--yes").out == "1 message redacted, 0 removed.\n"


def test_other_commands_say_that_it_is_redacted(shell: Shell, sandbox: SandboxControl) -> None:
    die(shell, sandbox, 2)
    grow_old(shell, 40)
    shell("prune", "--yes")
    id_, other = ids(shell)
    for reveal in ((), ("--reveal",)):
        for command in (("messages", "list"), ("dead", "list"), ("messages", "show", id_), ("dead", "show", id_)):
            shown = shell(*command, *reveal)
            assert shown.code == 0
            assert "redacted" in shown.out
            assert MOBILE not in shown.out
            assert "+61" not in shown.out
            assert TEXT not in shown.out
        document = shell("messages", "show", id_, "--json", *reveal).json["message"]
        assert (document["recipient"], document["body"], document["body_characters"]) == ("redacted", None, None)
        assert document["redacted_at"] is not None
    assert "To send it after all" not in shell("messages", "show", id_).out
    assert "was redacted" in shell("messages", "show", id_).out
    replay = shell("dead", "replay", id_)
    assert (replay.code, "its words were redacted" in replay.out) == (4, True)
    edit = shell("dead", "edit", id_, "--to", MOBILE, "--text", "All new", "--reason", "x")
    assert (edit.code, "its words were redacted" in edit.err) == (4, True)
    edit = shell("dead", "edit", id_, "--text", "All new", "--reason", "x")
    assert (edit.code, "its words were redacted" in edit.err) == (4, True)
    every = shell("dead", "replay", "--all", "--yes")
    assert (every.code, "leave out   2: redacted" in every.out) == (4, True)
    assert shell("dead", "groups").code == 0
    assert shell("dead", "discard", id_, other, "--reason", "old", "--yes").code == 0
    assert {shell.state(each) for each in (id_, other)} == {"dead"}


def test_an_export_says_how_many_it_lacks(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"recipient\n{MOBILE}\n")
    shell("campaign", "create", str(tmp_path / "list.csv"), "--name", "spring", "--template", "Hi")
    shell("campaign", "start", "spring")
    shell.pump()
    shell.tick()
    grow_old(shell, 40)
    shell("prune", "--yes")
    assert "redacted,accepted" in shell("campaign", "export", "spring").out
    grow_old(shell, 400)
    shell("prune", "--yes")
    export = shell("campaign", "export", "spring")
    assert (export.code, export.out.count("\n")) == (3, 1)
    assert export.err == "Without 1 recipient whose messages were removed since they were old.\n"
    assert shell("campaign", "show", "spring", "--json").json["counts"]["accepted"] == 1
