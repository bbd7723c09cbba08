"""The journal: every request in order, served in pages, counted, and kept on disk."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from dispatcher.sandbox import SandboxControl, SandboxNotStarted, SandboxSettings, running_sandbox

from .caller import SMS, Caller, ask_token, error_of, get_token


def page(sandbox: SandboxControl, query: str) -> dict[str, Any]:
    answer = requests.get(f"{sandbox.url}/_sandbox/journal?{query}", timeout=5)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_every_request_is_written_down_in_order(sandbox: SandboxControl, caller: Caller) -> None:
    began = time.time()
    ask_token(sandbox.url)
    caller.send_sms()
    caller.send_gift()
    caller.probe()
    caller.send_sms({})
    entries = sandbox.journal()
    assert [(entry.seq, entry.kind, entry.status) for entry in entries] == [
        (1, "token", 200),
        (2, "sms", 200),
        (3, "gift", 200),
        (4, "probe", 200),
        (5, "sms", 400),
    ]
    assert began <= entries[0].at <= entries[-1].at <= time.time()
    assert entries[1].jti != entries[0].jti is not None


def test_pages_follow_on_each_other_without_gap_or_overlap(sandbox: SandboxControl, caller: Caller) -> None:
    for _ in range(3):
        caller.send_sms()
        caller.probe()
    first = page(sandbox, "limit=4")
    assert ([entry["seq"] for entry in first["entries"]], first["next"]) == ([1, 2, 3, 4], 4)
    second = page(sandbox, f"after={first['next']}&limit=4")
    assert ([entry["seq"] for entry in second["entries"]], second["next"]) == ([5, 6], 6)
    assert page(sandbox, "after=6") == {"entries": [], "next": 6}
    only_sms = page(sandbox, "kind=sms&limit=2")
    assert ([entry["seq"] for entry in only_sms["entries"]], only_sms["next"]) == ([1, 3], 3)
    assert [entry["seq"] for entry in page(sandbox, "kind=sms&after=3")["entries"]] == [5]


@pytest.mark.parametrize(
    ("query", "field"),
    [("after=-1", "after"), ("after=x", "after"), ("limit=0", "limit"), ("limit=9999999", "limit"), ("kind=x", "kind")],
)
def test_a_bad_page_is_refused_with_the_field_named(sandbox: SandboxControl, query: str, field: str) -> None:
    answer = requests.get(f"{sandbox.url}/_sandbox/journal?{query}", timeout=5)
    assert error_of(answer) == (400, "invalid_request")
    assert answer.json()["error_description"].startswith(f"{field}: ")


def test_the_summary_counts_what_the_journal_has(sandbox: SandboxControl, caller: Caller) -> None:
    ask_token(sandbox.url)
    for _ in range(3):
        caller.send_sms()
    caller.send_sms(SMS | {"recipient": "+61400000009"})
    caller.send_gift()
    caller.send_gift({})
    summary = sandbox.summary()
    most = summary.pop("most_in_one_second")
    assert set(most) == {"any", "token", "sms", "gift"}
    assert 1 <= most["sms"] <= most["any"] <= 7
    assert summary == {
        "entries": 7,
        "by_kind": {"token": 1, "sms": 4, "gift": 2},
        "by_status": {"200": 6, "400": 1},
        "carried_out": {"token": 1, "sms": 4, "gift": 1},
        "not_carried_out": {"gift": 1},
        "token_requests": 1,
        "recipients_carried_out_more_than_once": {"sms": {"+61400000000": 3}, "gift": {}},
        "keys_carried_out_more_than_once": {},
    }


def test_the_journal_on_disk_outlives_a_kill_of_the_sandbox(tmp_path: Path) -> None:
    settings = SandboxSettings(journal=tmp_path / "journal.jsonl", signing_key="a key that stays")
    with running_sandbox(settings) as sandbox:
        caller = Caller(sandbox.url, get_token(sandbox.url))
        for number in range(20):
            assert caller.send_sms(Idempotency_Key=f"k{number}").status_code == 200
        before = sandbox.journal()
        sandbox.kill()
    with running_sandbox(settings) as sandbox:
        assert sandbox.journal() == before
        assert sandbox.summary()["carried_out"] == {"token": 1, "sms": 20}
        assert Caller(sandbox.url, caller.token).send_sms().status_code == 200
        assert [entry.seq for entry in sandbox.journal()] == list(range(1, 23))


def test_a_line_that_a_crash_cut_short_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    settings = SandboxSettings(journal=path)
    with running_sandbox(settings) as sandbox:
        ask_token(sandbox.url)
        ask_token(sandbox.url)
    path.write_bytes(path.read_bytes()[:-10])
    with running_sandbox(settings) as sandbox:
        assert len(sandbox.journal()) == 1
        ask_token(sandbox.url)
    assert [json.loads(line)["seq"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_reset_empties_the_file_too(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with running_sandbox(SandboxSettings(journal=path)) as sandbox:
        ask_token(sandbox.url)
        sandbox.reset()
        assert path.read_bytes() == b""


def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "precious.txt"
    path.write_text("not yours\n")
    with pytest.raises(SandboxNotStarted), running_sandbox(SandboxSettings(journal=path)):
        pass
    assert path.read_text() == "not yours\n"
    assert "line 1 is no entry of a sandbox" in capfd.readouterr().err


def test_two_sandboxes_do_not_share_a_journal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    settings = SandboxSettings(journal=tmp_path / "journal.jsonl")
    with running_sandbox(settings), pytest.raises(SandboxNotStarted), running_sandbox(settings):
        pass
    assert "another sandbox has it open" in capfd.readouterr().err
