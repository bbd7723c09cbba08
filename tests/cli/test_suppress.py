"""`dispatcher suppress`: who opted out, and what that means for what is queued."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from .conftest import MOBILE, OTHER_MOBILE, Shell


def table(file: Path) -> list[list[str]]:
    """Read what an export wrote, as a spreadsheet would."""
    with file.open(newline="", encoding="utf-8-sig") as opened:
        return list(csv.reader(opened))


def test_who_opts_out_is_counted_once(offline: Shell) -> None:
    first = offline("suppress", "add", MOBILE, "--reason", "STOP on 24 November")
    assert (first.code, first.out) == (0, "1 opted out of sms; 0 had before.\n")
    assert offline("suppress", "add", MOBILE, OTHER_MOBILE).out == "1 opted out of sms; 1 had before.\n"
    again = offline("suppress", "add", MOBILE, "--channel", "gift", "--json")
    assert (again.code, again.json) == (0, {"channel": "gift", "given": 1, "new": 1, "invalid": []})
    services = offline.services()
    with services.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT actor LIKE 'cli:%', action, subject, reason FROM dispatcher_audit ORDER BY id"
        ).all()
    services.close()
    assert tuple(rows[0]) == (1, "suppress", "channel:sms", "STOP on 24 November")


def test_numbers_are_masked_on_the_screen_and_in_json_unless_revealed(offline: Shell) -> None:
    offline("suppress", "add", MOBILE, "--reason", "STOP \x1b[2J")
    for width in (80, 120):
        offline.columns(width)
        head, line = offline("suppress", "list").out.splitlines()
        assert head.split() == ["channel", "number", "since", "reason"]
        assert line.startswith("sms      +61•••••••06  20")
        assert line.endswith(r" UTC  STOP \x1b[2J")
    (one,) = offline("suppress", "list", "--json").json["suppressions"]
    assert (one["channel"], one["recipient"], one["reason"]) == ("sms", "+61•••••••06", "STOP \x1b[2J")
    assert MOBILE in offline("suppress", "list", "--reveal").out
    assert offline("suppress", "list", "--reveal", "--json").json["suppressions"][0]["recipient"] == MOBILE


def test_a_list_is_narrowed_and_says_when_there_is_more(offline: Shell) -> None:
    empty = offline("suppress", "list")
    assert (empty.code, empty.out) == (3, "Nobody opted out.\n")
    assert offline("suppress", "list", "--json").json == {"suppressions": [], "more": False}
    offline("suppress", "add", MOBILE, OTHER_MOBILE)
    assert offline("suppress", "list", "--channel", "gift").code == 3
    short = offline("suppress", "list", "--limit", "1")
    assert (short.code, len(short.out.splitlines())) == (0, 2)
    assert short.err == "There are more: a larger --limit, or `dispatcher suppress export FILE`.\n"
    assert offline("suppress", "list", "--limit", "1", "--json").json["more"] is True
    assert offline("suppress", "list", "--limit", "2").err == ""


def test_who_wants_messages_again_is_removed(offline: Shell) -> None:
    nobody = offline("suppress", "remove", MOBILE)
    assert (nobody.code, nobody.out) == (3, "0 may get sms again; 1 had not opted out.\n")
    offline("suppress", "add", MOBILE)
    assert offline("suppress", "remove", MOBILE, "--channel", "gift").code == 3
    document = offline("suppress", "remove", MOBILE, OTHER_MOBILE, "--json")
    assert (document.code, document.json) == (0, {"channel": "sms", "given": 2, "removed": 1})
    assert offline("suppress", "list").code == 3


def test_one_wrong_number_and_none_is_removed(offline: Shell) -> None:
    offline("suppress", "add", MOBILE)
    ended = offline("suppress", "remove", MOBILE, "0491570156")
    assert ended.code == 2
    assert "0491570156" not in ended.err
    assert ended.err.startswith("error: recipient: '049•••••56' is not E.164")
    assert offline("suppress", "remove").code == 2
    assert MOBILE in offline("suppress", "list", "--reveal").out


def test_a_number_that_cannot_be_read_fails_the_command_and_costs_no_other_opt_out(offline: Shell) -> None:
    ended = offline("suppress", "add", MOBILE, "0491570156", "+61 491 570 157", "x")
    assert (ended.code, ended.out) == (1, "2 opted out of sms; 0 had before.\n")
    second, fourth = ended.err.splitlines()
    assert second.startswith("error: number 2 is not recorded: recipient: '049•••••56' is not E.164")
    assert fourth.startswith("error: number 4 is not recorded: recipient: '•' has the letter 'x'")
    assert offline("suppress", "list", "--json", "--reveal").json["suppressions"][1]["recipient"] == "+61491570157"
    document = offline("suppress", "add", MOBILE, "x", "--json")
    assert (document.code, document.json["new"], document.json["invalid"][0]["position"]) == (1, 0, 2)
    assert offline("suppress", "add", "x").code == 2
    assert offline("suppress", "add").code == 2
    offline.set(region="AU")
    offline("suppress", "add", "0491570156")
    assert OTHER_MOBILE in offline("suppress", "list", "--reveal").out


def test_what_is_queued_is_taken_out_at_the_claim(shell: Shell) -> None:
    stopped, other = shell.sms(), shell.sms(to=OTHER_MOBILE)
    shell("suppress", "add", MOBILE)
    shell.pump()
    assert (shell.state(stopped), shell.state(other)) == ("suppressed", "accepted")
    listed = shell("messages", "list", "--state", "suppressed", "--json").json["messages"]
    assert [each["id"] for each in listed] == [stopped]
    story = shell("messages", "show", stopped)
    assert "sms to +61•••••••06: suppressed" in story.out
    assert "the recipient opted out" in story.out
    shell("suppress", "remove", MOBILE)
    shell.pump()
    assert shell.state(stopped) == "suppressed"
    fresh = shell.sms()
    shell.pump()
    assert shell.state(fresh) == "accepted"


def test_a_campaign_leaves_out_who_opted_out_before_and_after(shell: Shell) -> None:
    text = f"recipient\n{MOBILE}\n{OTHER_MOBILE}\n+61491570157\n"
    shell("suppress", "add", MOBILE)
    made = shell("campaign", "create", "-", "--name", "x", "--template", "Hi", "--json", input=text).json
    assert (made["total"], made["opted_out"]) == (2, 1)
    shell("suppress", "add", OTHER_MOBILE)
    shell("campaign", "start", "x")
    shell.pump()
    shell.tick()
    assert "+61•••••••56" in shell("messages", "list", "--state", "suppressed").out
    progress = shell("campaign", "show", "x", "--json").json
    assert (progress["state"], progress["counts"]["accepted"], progress["counts"]["suppressed"]) == ("finished", 1, 1)


def test_a_file_is_taken_in_once(offline: Shell, tmp_path: Path) -> None:
    bad, file = tmp_path / "bad.csv", tmp_path / "stop.csv"
    file.write_text(f"Name;Mobile\nAnn;0491 570 006\nBob;{OTHER_MOBILE}\nCy;12\nDi;\n", "utf-8")
    given = ("suppress", "import", str(file), "--map", "Mobile=recipient", "--region", "AU", "--invalid-to", str(bad))
    first = offline(*given)
    assert first.code == 1, "an opt-out that is not recorded is a failure"
    assert first.out.startswith("2 opted out, of 4 rows; 2 invalid.\n")
    assert "why invalid" in first.out
    fourth, fifth = first.err.splitlines()
    assert fourth.startswith("error: line 4 is not recorded: '••': number is not a")
    assert fifth.startswith("error: line 5 is not recorded: '': number is empty")
    assert [row[:2] for row in table(bad)] == [["line", "number"], ["4", "••"], ["5", ""]]
    again = offline(*given, "--json").json
    assert (again["rows"], again["new"], again["invalid"]) == (4, 0, 2)
    assert [each["first_lines"] for each in again["reasons"]] == [[4], [5]]
    assert [each["line"] for each in again["invalid_rows"]] == [4, 5]
    assert MOBILE in offline("suppress", "list", "--reveal").out


def test_a_file_may_come_by_standard_input(offline: Shell) -> None:
    ended = offline("suppress", "import", "-", "--channel", "gift", "--json", input=f"recipient\n{MOBILE}\n")
    assert (ended.code, ended.json["new"]) == (0, 1)
    assert MOBILE in offline("suppress", "list", "--channel", "gift", "--reveal").out


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("phone\n+61491570006\n", (), "file: has no column 'recipient'; the file has phone: say which it is"),
        ("recipient\n", (), "file: has a header and no row"),
        ("recipient\n1\n", ("--map", "nonsense"), "--map: 'nonsense' is not COLUMN=FIELD"),
        ("recipient\n1\n", ("--encoding", "utf8x"), "encoding: 'utf8x' is not the name of an encoding"),
        ("recipient\n1\n", ("--delimiter", "ab"), "delimiter: 'ab' is not one character"),
        ("recipient\n1\n", ("--channel", "mail"), "'mail' is not one of 'sms', 'gift'"),
    ],
)
def test_a_file_that_cannot_be_taken(offline: Shell, text: str, options: tuple[str, ...], sentence: str) -> None:
    ended = offline("suppress", "import", "-", *options, input=text)
    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.err
    assert offline("suppress", "list").code == 3


def test_an_export_can_be_taken_in_again(offline: Shell, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    offline("suppress", "add", MOBILE, "--reason", "=HYPERLINK(1)")
    offline("suppress", "add", OTHER_MOBILE, "--channel", "gift")
    assert offline("suppress", "export", str(file)).out == f"2 opt-outs written to {file}.\n"
    head, gift, sms = table(file)
    assert head == ["recipient", "channel", "reason", "opted_out_at"]
    assert (gift[:3], sms[:3]) == ([OTHER_MOBILE, "gift", ""], [MOBILE, "sms", "'=HYPERLINK(1)"])
    offline("suppress", "export", str(file), "--channel", "sms")
    assert [row[0] for row in table(file)] == ["recipient", MOBILE]
    offline("suppress", "remove", MOBILE)
    assert offline("suppress", "import", str(file), "--json").json["new"] == 1
    assert offline("suppress", "import", str(file), "--json").json["new"] == 0
    offline("suppress", "export", str(file))
    offline("suppress", "remove", OTHER_MOBILE, "--channel", "gift")
    assert offline("suppress", "import", str(file), "--json").json["new"] == 1, "each on the channel it was on"
    assert OTHER_MOBILE in offline("suppress", "list", "--channel", "gift", "--reveal").out
    assert MOBILE in offline("suppress", "list", "--channel", "sms", "--reveal").out


def test_opt_outs_are_read_however_people_wrote_their_numbers(offline: Shell, tmp_path: Path) -> None:
    file = tmp_path / "stop.csv"
    numbers = ["+61 491 570 006", "+61-491-570-156", "\u202a+61491570157\u202c", "+61491570158\u200b"]
    numbers += ["+61\u00a0491\u00a0570\u00a0159", "\ufeff+61491570110", "+61491570313"]
    file.write_text("Mobile,Name\n" + "".join(f"{number},x\n" for number in numbers), "utf-8")
    ended = offline("suppress", "import", str(file), "--map", "Mobile=recipient")
    said = "7 opted out, of 7 rows; 0 invalid.\n"
    forms = "Numbers rewritten: 3 with spaces or punctuation; 3 with invisible characters.\n"
    assert (ended.code, ended.out, ended.err) == (0, said + forms, "")


def test_lines_that_cannot_be_read_are_listed_up_to_a_limit(offline: Shell) -> None:
    text = "recipient\n" + "0491 570 006\n" * 150 + MOBILE
    ended = offline("suppress", "import", "-", input=text)
    assert (ended.code, ended.out.splitlines()[0]) == (1, "1 opted out, of 151 rows; 150 invalid.")
    assert len(ended.err.splitlines()) == 101
    assert ended.err.splitlines()[-1] == "error: 50 more lines are not recorded; --invalid-to FILE lists all"


REASONS = {
    "=HYPERLINK(1)": "=HYPERLINK(1)",
    "'=x": "'=x",
    "''-1": "''-1",
    "-5": "-5",
    "  padded ": "padded",
    'a "quoted", one': 'a "quoted", one',
    "two\r\nlines\rthree": "two\nlines\nthree",
    "陽子 😀": "陽子 😀",
    "a;b\tc": "a;b\tc",
}
"""As given, and as the ledger keeps it."""


def test_an_export_restores_the_same_list(offline: Shell, tmp_path: Path) -> None:
    given, back = tmp_path / "given.csv", tmp_path / "back.csv"
    for place, reason in enumerate(REASONS):
        on = "gift" if place % 2 else "sms"
        assert offline("suppress", "add", f"+61491571{place:03}", "--reason", reason, "--channel", on).code == 0
    assert offline("suppress", "add", MOBILE).code == 0
    before = offline("suppress", "list", "--json", "--reveal").json["suppressions"]
    assert {each["reason"] for each in before} == {*REASONS.values(), None}
    offline("suppress", "export", str(given))
    for each in before:
        offline("suppress", "remove", each["recipient"], "--channel", each["channel"])
    assert offline("suppress", "list").code == 3
    assert offline("suppress", "import", str(given)).out == "10 opted out, of 10 rows; 0 invalid.\n"
    assert offline("suppress", "list", "--json", "--reveal").json["suppressions"] == before
    offline("suppress", "export", str(back))
    assert back.read_bytes() == given.read_bytes()
    assert offline("suppress", "import", str(given)).out == "0 opted out, of 10 rows; 0 invalid.\n"


def test_dates_are_read_with_or_without_a_zone(offline: Shell) -> None:
    text = f"recipient,opted_out_at\n{MOBILE},2025-03-01T09:00:00+01:00\n{OTHER_MOBILE},2025-03-01\n"
    assert offline("suppress", "import", "-", input=text).code == 0
    first, second = offline("suppress", "list", "--json").json["suppressions"]
    assert (first["created_at"], second["created_at"]) == ("2025-03-01T08:00:00Z", "2025-03-01T00:00:00Z")


@pytest.mark.parametrize("moment", ["yesterday", "24/11/2025", "2999-01-01T00:00:00Z", "45620.5"])
def test_an_opt_out_whose_date_cannot_be_read_is_recorded_all_the_same(offline: Shell, moment: str) -> None:
    text = f"recipient,opted_out_at\n{MOBILE},{moment}\n"
    ended = offline("suppress", "import", "-", input=text)
    assert (ended.code, ended.out) == (1, "1 opted out, of 1 row; 0 invalid.\n")
    assert ended.err.startswith(
        "error: 1 opt-out recorded without its date (line 2): opted_out_at is not a past moment"
    )
    assert MOBILE in offline("suppress", "list", "--reveal").out
    assert offline("suppress", "import", "-", "--json", input=text).json["undated"] == {"rows": 1, "first_lines": [2]}


def test_of_two_lines_for_a_number_the_earlier_date_counts(offline: Shell) -> None:
    text = f"recipient,opted_out_at,reason\n{MOBILE},2025-03-02,late\n{MOBILE},2025-03-01,early\n"
    assert offline("suppress", "import", "-", input=text).out.startswith("1 opted out, of 2 rows")
    (one,) = offline("suppress", "list", "--json").json["suppressions"]
    assert (one["created_at"], one["reason"]) == ("2025-03-01T00:00:00Z", "early")


def test_an_export_that_cannot_be_written_is_a_failure(offline: Shell, tmp_path: Path) -> None:
    ended = offline("suppress", "export", str(tmp_path / "nowhere" / "out.csv"))
    assert ended.code == 1
    assert ended.err.startswith("error: No such file or directory: ")


def test_an_import_says_which_numbers_it_rewrote(offline: Shell) -> None:
    text = "recipient\n0491570006\n+61 491 570 156\n491571003\n+61491571004\nx\n0491 571 005\n"
    ended = offline("suppress", "import", "-", "--region", "AU", input=text)
    assert ended.out.splitlines()[:2] == [
        "5 opted out, of 6 rows; 1 invalid.",
        "Numbers rewritten: 2 in national form → +61…; 1 with spaces or punctuation; "
        "1 in national form without its leading 0 → +61….",
    ]
    found = offline("suppress", "import", "-", "--region", "AU", "--json", input=text).json
    assert found["rewritten"] == {"national": 2, "spaced": 1, "national_without_zero": 1}
    plain = offline("suppress", "import", "-", "--json", input="recipient\n+61491571004\n").json
    assert plain["rewritten"] == {}
