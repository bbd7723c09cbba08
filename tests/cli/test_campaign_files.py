"""Files that people send, on the command line: what is read, what is named, what is warned of."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from .conftest import MOBILE, Shell

RUSSIAN = "+79161234567"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "list.csv"


def test_a_dry_run_warns_of_what_is_sent_literally(offline: Shell, file: Path) -> None:
    file.write_text(f"recipient,first_name,\r\n{MOBILE},NULL,x\r\n,,\r\n", encoding="utf-8-sig")
    template = ("--template", "Hi {{first_name}} {First name}e\u0301")
    report = offline("campaign", "dry-run", str(file), *template)
    assert report.code == 0
    text = " ".join(report.out.split())
    assert (
        "! {{first_name}} is sent literally, as {first_name}; to send the cell of a column write {first_name}" in text
    )
    assert "! column 'first_name' says in 1 message that it has no value, and that is sent as text: NULL (1)" in text
    assert "text form 1 text put into composed form (NFC)" in text
    document = offline("campaign", "dry-run", str(file), *template, "--json").json
    assert document["placeholders"] == [{"column": "first_name", "text": "NULL", "messages": 1}]
    assert (document["normalized"], len(document["warnings"])) == (1, 2)
    made = offline("campaign", "create", str(file), *template)
    assert "sent literally" in made.out
    assert "no value" in made.out
    offline.set(normalize_text="false")
    assert offline("campaign", "dry-run", str(file), *template, "--json").json["normalized"] == 0


def test_a_file_of_another_format_is_named(offline: Shell, file: Path) -> None:
    packed = file.with_name("list.csv.gz")
    packed.write_bytes(gzip.compress(b"recipient\n"))
    for command in (("campaign", "dry-run", "--template", "Hi"), ("campaign", "create", "--template", "Hi")):
        ended = offline(*command, str(packed))
        assert (ended.code, ended.out) == (1, "") or ended.code == 2
        assert "is a gzip archive, not CSV; unpack it and give list.csv" in ended.err
    assert "is a gzip archive" in offline("suppress", "import", str(packed)).err


def test_a_dry_run_says_when_a_window_opens_and_for_whom_it_never_does(offline: Shell, file: Path) -> None:
    file.write_text(f"recipient\n+33612345678\n{RUSSIAN}\n")
    window = ("--template", "Hi", "--window", "09:00-12:00")
    text = " ".join(offline("campaign", "dry-run", str(file), *window).out.split())
    assert "for 1 recipient in Europe/Paris" in text
    assert "never opens for 1 row, left out as invalid" in text
    assert "window is never open before the messages expire" in text
    found = offline("campaign", "dry-run", str(file), *window, "--json").json["window"]
    assert found["never_open_rows"] == 1
    (opening,) = found["openings"]
    assert (opening["recipients"], opening["zones"], opening["zones_left_out"]) == (1, ["Europe/Paris"], [])


def test_status_list_and_show_say_until_when_a_window_is_closed(offline: Shell, file: Path) -> None:
    file.write_text(f"recipient\n{MOBILE}\n")
    opens = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(hours=2)
    window = f"{opens:%H:%M}-{opens + timedelta(hours=1):%H:%M} UTC"
    assert (
        offline("campaign", "create", str(file), "--template", "Hi", "--window", window, "--name", "spring").code == 0
    )
    assert "closed until" not in offline("status").out, "it does not run"
    assert "closed until" not in offline("campaign", "list").out
    assert offline("campaign", "start", "spring").code == 0
    sentence = f"closed until {opens:%Y-%m-%d %H:%M}:00 UTC"
    assert sentence in " ".join(offline("campaign", "show", "spring").out.split())
    assert f"spring {sentence}" in " ".join(offline("status").out.split())
    assert sentence in " ".join(offline("campaign", "list").out.split())
    (listed,) = offline("campaign", "list", "--json").json["campaigns"]
    assert (listed["window_closed"], datetime.fromisoformat(listed["closed_until"])) == (True, opens)
    shown = offline("campaign", "show", "spring", "--json").json
    assert (shown["window_closed"], datetime.fromisoformat(shown["closed_until"])) == (True, opens)
    (closed,) = offline("status", "--json").json["closed_campaigns"]
    assert (closed["name"], datetime.fromisoformat(closed["closed_until"])) == ("spring", opens)
