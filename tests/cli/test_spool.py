"""`dispatcher spool`, and what else tells of the spool."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dispatcher.domain.identity import MessageId
from dispatcher.domain.message import Channel
from dispatcher.domain.state import State
from dispatcher.engine import Quarantined
from dispatcher.testing import ACCEPTED
from tests.making import new_id, settled, wish

from .conftest import Shell


def quarantine(shell: Shell, *, known: bool) -> str:
    """Put an answer into quarantine and return its message's id."""
    shell.gift("order-1")
    services = shell.services()
    now = services.clock.now()
    (held,) = services.ledger.claim(wish(now, Channel.GIFT)).messages
    answer = settled(held, ACCEPTED, now)
    if not known:
        answer = replace(answer, message_id=MessageId(new_id(now)))
    services.spool.quarantine([Quarantined(reason="a CHECK refused it", answer=answer)])
    services.close()
    return str(answer.message_id)


def test_an_answer_is_listed_and_settled_once_the_ledger_takes_it(shell: Shell) -> None:
    message = quarantine(shell, known=True)
    listed = shell("spool", "list")
    assert listed.code == 0
    assert message in listed.out
    assert "a CHECK refused it" in listed.out
    assert shell("spool", "list", "--json").json["quarantined"][0]["outcome"] == "accepted"
    assert shell.state(message) == State.SENDING.value
    retried = shell("spool", "retry")
    assert (retried.code, retried.out.strip()) == (0, "1 settled, 0 still in quarantine.")
    assert shell.state(message) == State.ACCEPTED.value
    assert shell("spool", "list").code == 3
    assert shell("spool", "retry").code == 3


def test_an_answer_that_the_ledger_refuses_again_stays(shell: Shell) -> None:
    message = quarantine(shell, known=False)
    retried = shell("spool", "retry", "--json")
    assert retried.code == 4
    assert retried.json["settled"] == 0
    assert retried.json["quarantined"][0] | {"finished_at": ""} == {
        **retried.json["quarantined"][0],
        "message": message,
        "reason": "the ledger has no message with this id",
        "finished_at": "",
    }
    assert shell("spool", "list").code == 0


def test_a_damaged_line_is_listed_without_what_it_says(shell: Shell) -> None:
    services = shell.services()
    services.spool.quarantine([Quarantined(reason="Invalid JSON", line="{")])
    services.close()
    listed = shell("spool", "list")
    assert "damaged line" in listed.out
    assert shell("spool", "retry").code == 4


def test_check_and_status_count_what_is_in_quarantine(shell: Shell) -> None:
    quarantine(shell, known=True)
    (found,) = (step for step in shell("check", "--json").json["steps"] if step["name"] == "spool")
    assert (found["mark"], found["found"].split(" in ")[0]) == ("warning", "1")
    assert "dispatcher spool retry" in found["advice"]
    assert "1 in quarantine on this host: dispatcher spool list" in shell("status").out
    document = shell("status", "--json").json
    assert document["needs_a_person"]["quarantined"] == 1
    assert document["spool"] == {"waiting": 0, "quarantined": 1}


@pytest.mark.parametrize("what", ["home", "spool"])
def test_a_spool_that_cannot_be_written_to_is_named_at_start_and_by_check(
    shell: Shell, tmp_path: Path, what: str
) -> None:
    """A file in its place stands for a read-only file system, which a test cannot have everywhere."""
    shell.set(ledger_url=f"sqlite:///{shutil.move(tmp_path / 'home' / 'ledger.db', tmp_path / 'ledger.db')}")
    shutil.rmtree(tmp_path / "home")
    if what == "spool":
        (tmp_path / "home").mkdir()
    (tmp_path / "home" if what == "home" else tmp_path / "home" / "spool").write_text("")
    (found,) = (step for step in shell("check", "--json").json["steps"] if step["name"] == "spool")
    assert found["mark"] == "fault"
    ended = shell("worker")
    assert ended.code == 2
    assert "DISPATCHER_HOME: " in ended.err
    assert "cannot be written to" in ended.err
