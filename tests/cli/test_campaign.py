"""`dispatcher campaign`: from a file of recipients to who got it."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dispatcher.sandbox import SandboxControl

from .conftest import MOBILE, OTHER_MOBILE, Shell

BOTH = f"recipient,first_name\n{MOBILE},Ann\n{OTHER_MOBILE},Łuk\n"
# Two to whom it goes; then one doubled, three invalid, and one that has opted out.
MIXED = f"{BOTH}{MOBILE},Ann\n12,x\n+61491570157,\n+61491570158,Bo,more\n+61491570110,Di\n"
NOT_E164 = (
    "number is not E.164: it has no + (spreadsheets remove it); "
    "write it as +61491570006, or set the region for national numbers"
)
HI = ("--template", "Hi {first_name}")


@pytest.fixture
def mixed(offline: Shell, tmp_path: Path) -> str:
    """A file with something of everything."""
    offline("suppress", "add", "+61491570110")
    (tmp_path / "spring.csv").write_text(MIXED, "utf-8")
    return str(tmp_path / "spring.csv")


def create(shell: Shell, *options: str, name: str = "spring", text: str = BOTH) -> str:
    """Make a campaign and return the id of its last message."""
    assert shell("campaign", "create", "-", "--name", name, *HI, *options, input=text).code == 0
    return str(shell("messages", "list", "--json").json["messages"][0]["id"])


def table(text: str) -> list[list[str]]:
    return list(csv.reader(text.splitlines()))


def test_what_is_left_out_is_counted_and_written_down(offline: Shell, mixed: str, tmp_path: Path) -> None:
    made = offline("campaign", "create", mixed, *HI, "--invalid-to", str(tmp_path / "bad.csv"))
    assert (made.code, made.err) == (0, "")
    lines = [" ".join(line.split()) for line in made.out.splitlines()]
    assert lines[1:6:2] == ["recipients 2 of 7 rows", "invalid 3 left out", "opted out 1 left out"]
    assert {"1 7 has 3 cells where the header has 2", f"All invalid rows are in {tmp_path / 'bad.csv'}."} <= set(lines)
    assert table((tmp_path / "bad.csv").read_text("utf-8-sig")) == [
        ["line", "number", "reason"],
        [
            "5",
            "••",
            NOT_E164,
        ],
        ["6", "+61•••••••57", "first_name is empty, and the template needs it"],
        ["7", "+61•••••••58", "has 3 cells where the header has 2"],
    ]
    nobody = offline("campaign", "create", "-", *HI, "--name", "x", input="recipient,first_name\n12,x\n")
    assert (nobody.code, "file: no row of 1 can get a message; first line 2" in nobody.err) == (2, True)
    assert offline("campaign", "show", "x").code == 3


def test_made_twice_nothing_changes_and_another_of_its_name_is_refused(offline: Shell, mixed: str) -> None:
    given = ("campaign", "create", mixed, *HI, "--starts-at", "+1h")
    first = offline(*given, "--json").json
    assert (first["name"], first["state"], first["source"]) == ("spring", "scheduled", "spring.csv")
    assert [first[name] for name in ("total", "invalid", "duplicates", "opted_out")] == [2, 3, 1, 1]
    assert [each["first_lines"] for each in first["reasons"]] == [[5], [6], [7]]
    assert offline(*given, "--json").json == first | {"duplicate": True, "reasons": None}
    assert offline(*given).out.startswith("spring was taken in before (2 recipients); nothing was changed, ")
    assert offline.rows() == 2
    for text, template, differs in ((MIXED, "Hello", "template"), (BOTH, HI[1], "file")):
        refused = offline("campaign", "create", "-", "--name", "spring", "--template", template, input=text)
        assert (refused.code, refused.out) == (4, "")
        assert f", whose {differs} is another; give a new name" in refused.err
    assert offline("campaign", "cancel", "spring", "--yes", "--json").json["state"] == "cancelled"
    assert create(offline)


def test_a_dry_run_says_it_all_and_writes_nothing(shell: Shell, mixed: str, tmp_path: Path) -> None:
    told = shell("campaign", "dry-run", mixed, *HI, "--invalid-to", str(tmp_path / "bad.csv"))
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith("Dry run of spring.csv (utf-8, commas): nothing was written.\n")
    assert all(part in told.out for part in ("2 of 7 rows", "Ł          latin capital letter l", "20 ms of sending"))
    assert "Line 2, to +61•••••••06\nHi Ann\n\nLine 3, to +61•••••••56\nHi Łuk\n" in told.out
    assert told.out.endswith("! 43% of the rows are invalid: is it the right file?\n")
    assert OTHER_MOBILE not in told.out
    assert len(table((tmp_path / "bad.csv").read_text("utf-8-sig"))) == 4
    document = shell("campaign", "dry-run", mixed, *HI, "--json").json
    assert [document[name] for name in ("rows", "recipients", "invalid", "opted_out", "parts")] == [7, 2, 3, 1, 2]
    assert (document["written"], document["duplicates"]) == (False, {"rows": 1, "first_lines": [4]})
    assert document["samples"][0] == {"line": 2, "recipient": "+61•••••••06", "text": "Hi Ann"}
    assert (shell.rows(), shell("campaign", "list").code) == (0, 3)


def test_a_dry_run_says_how_numbers_were_rewritten(offline: Shell) -> None:
    text = f"recipient\n{MOBILE}\n0491 570 156\n+61 491 570 157\n"
    told = offline("campaign", "dry-run", "-", "--template", "Hi", "--region", "AU", input=text)
    assert "rewritten      1 in national form → +61…; 1 with spaces or punctuation" in told.out
    document = offline("campaign", "dry-run", "-", "--template", "Hi", "--region", "AU", "--json", input=text).json
    assert document["rewritten"] == {"national": 1, "spaced": 1}


def test_money_is_shown_as_it_was_read(offline: Shell) -> None:
    gifts = ("--channel", "gift", "--sku", "A", "--amount", "5", "--currency", "EUR", "--budget", "1,500.00 20/day")
    assert "budget         EUR 1500.00 20.00/day" in offline("campaign", "dry-run", "-", *gifts, input=BOTH).out
    made = offline("campaign", "create", "-", "--name", "x", *gifts, input=BOTH).out
    assert "amount      EUR 5.00" in made
    assert "budget      EUR 1500.00 20.00/day" in made
    wrong = offline("campaign", "create", "-", "--name", "y", *gifts[:-1], "15,00", input=BOTH)
    assert (wrong.code, wrong.err) == (
        2,
        "error: budget: '15,00' is not a budget: it has a decimal comma: write 15.00\n",
    )


def test_a_dry_run_of_gifts_counts_the_money_even_without_redis(offline: Shell) -> None:
    gifts = ("--channel", "gift", "--sku", "COFFEE", "--amount", "5", "--currency", "AUD", "--budget", "9")
    told = offline("campaign", "dry-run", "-", *gifts, input=BOTH)
    assert (told.code, "unknown: Redis cannot be reached" in told.out) == (0, True)
    assert "! the budget does not cover it: AUD 10.00 for all of them" in told.out
    document = offline("campaign", "dry-run", "-", *gifts, "--json", input=BOTH).json
    assert (document["money"], document["at_present_rate"]) == ({"AUD": "10.00"}, None)


def test_columns_country_and_form_of_a_file_can_be_told(offline: Shell) -> None:
    given = ("--map", "Mobile=recipient", "--map", "Vorname=first_name", "--region", "au", "--delimiter", "pipe")
    create(offline, *given, text="Vorname|Mobile\nAnn|0491 570 006\n")
    (message,) = offline("messages", "list", "--json", "--reveal").json["messages"]
    assert (message["recipient"], message["body"]) == (MOBILE, "Hi Ann")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--template", "Hi {code}"), "template: {code} is no column of the file; the file has recipient"),
        (("--window", "never"), "window: 'never' is not a window; write it as 09:00-20:00"),
        (("--region", "Oz"), "region: 'Oz' is not a country's code"),
        (("--map", "x=recipient"), "map: there is no column 'x'; the file has recipient, first_name"),
        (("--channel", "gift"), "sku: is neither given nor a column"),
        (("--channel", "mail"), "'mail' is not one of 'sms', 'gift'"),
        (("--starts-at", "2020-01-01T00:00Z"), "starts_at: 2020-01-01 00:00:00 UTC is past"),
    ],
)
def test_what_cannot_be_a_campaign(offline: Shell, options: tuple[str, ...], sentence: str) -> None:
    for verb in ("create", "dry-run"):
        ended = offline("campaign", verb, "-", "--name", "x", *HI, *options, input=BOTH)
        assert (ended.code, ended.out) == (2, "")
        assert sentence in ended.err
    assert offline("campaign", "list").code == 3


def test_an_unknown_campaign_is_exit_code_3(offline: Shell) -> None:
    for verb in ("show", "start", "resume", "cancel", "retry-failed", "export", "pause"):
        ended = offline("campaign", verb, "nope", *(("--reason", "x") if verb == "pause" else ()))
        assert (ended.code, ended.out) == (3, "")
        assert ended.err.startswith("error: no campaign has the id or name 'nope'; `dispatcher campaign list`")


def test_a_list_fits_its_screen_and_is_narrowed_by_state(offline: Shell) -> None:
    create(offline, name="one")
    create(offline, "--starts-at", "+1h", name="two")
    for width in (80, 120):
        offline.columns(width)
        lines = offline("campaign", "list").out.splitlines()
        assert [line.split()[-1] for line in lines if len(line) <= width] == ["name", "two", "one"]
    for states, names in (("draft",), ["one"]), (("draft", "SCHEDULED"), ["two", "one"]), (("paused",), []):
        ended = offline("campaign", "list", *(f"--state={each}" for each in states), "--json")
        assert ([each["name"] for each in ended.json["campaigns"]], ended.code) == (names, 0 if names else 3)
    assert offline("campaign", "list", "--state", "paused").out == "No campaign matches.\n"
    assert offline("campaign", "list", "--state", "nope").code == 2


def test_it_runs_and_is_finished_when_everybody_has_got_it(shell: Shell) -> None:
    create(shell)
    assert shell.pump() == 0
    assert shell("campaign", "start", "spring").out == "spring runs: 2 recipients.\n"
    assert shell("campaign", "start", "spring").code == 4
    shell.pump()
    shell.tick()
    told = shell("campaign", "show", "spring").out
    assert all(part in told for part in ("spring  finished\n", "100%  2 of 2", "accepted  2", "Hi {first_name}"))
    document = shell("campaign", "show", "spring", "--json").json
    assert (document["state"], document["counts"]["accepted"], document["failures"]) == ("finished", 2, [])
    assert shell("campaign", "show", document["id"], "--follow").out.endswith("UTC  finished: 2 of 2\n")
    assert "is finished, so it cannot be cancelled" in shell("campaign", "cancel", "spring", "--yes").err


def test_a_pause_holds_until_it_is_resumed(shell: Shell) -> None:
    one = create(shell)
    assert shell("campaign", "pause", "spring", "--reason", "typo").code == 4
    shell("campaign", "start", "spring")
    held = shell("campaign", "pause", "spring", "--reason", "typo", "--json").json
    assert (held["state"], held["pause_reason"], held["paused_until"]) == ("paused", "typo", None)
    assert shell.pump() == 0
    assert shell("campaign", "resume", "spring").out == "spring runs again.\n"
    assert shell("campaign", "resume", "spring").code == 4
    for options in (("--reason", " "), ("--until", "2020-01-01T00:00:00Z")):
        assert shell("campaign", "pause", "spring", *options).code == 2
    assert "spring is paused until 20" in shell("campaign", "pause", "spring", "--reason", "x", "--until", "+2h").out
    assert shell("campaign", "resume", "spring", "--json").json["paused_until"] is None
    shell.pump()
    assert shell.state(one) == "accepted"


def test_a_message_says_what_its_campaign_waits_for(shell: Shell) -> None:
    one, now = create(shell), datetime.now(UTC)

    def why(id: str) -> str:
        return str(shell("messages", "show", id, "--json").json["story"][-1]["title"])

    assert "waits: its campaign has not been started" in shell("messages", "show", one).out
    assert shell("campaign", "start", "spring", "--at", "2020-01-01T00:00:00Z").code == 2
    assert shell("campaign", "start", "spring", "--at", "+1h").out.startswith("spring starts at 20")
    assert why(one).startswith("waits: its campaign starts at 20")
    shell("campaign", "pause", "spring", "--reason", "typo")
    assert why(one).startswith("waits: its campaign is paused by cli:")
    window = f"{now + timedelta(hours=2):%H:%M}-{now + timedelta(hours=3):%H:%M} UTC"
    night = create(shell, "--window", window, name="night")
    shell("campaign", "start", "night")
    assert shell.pump() == 0
    assert why(night).startswith(f"waits: outside its send window ({window}), which opens at 20")


def test_calling_off_needs_a_yes_where_nobody_can_be_asked(shell: Shell) -> None:
    one = create(shell)
    asked = shell("campaign", "cancel", "spring", "--json")
    assert (asked.code, asked.out) == (4, "")
    assert asked.err.startswith("error: Call off 'spring', with 2 recipients who got nothing yet?")
    assert shell("campaign", "list", "--state", "draft").code == 0
    done = shell("campaign", "cancel", "spring", "--yes", "--reason", "wrong list")
    assert (done.code, done.out) == (0, "spring is cancelled: 2 recipients will get nothing.\n")
    shell.tick()
    assert shell.state(one) == "cancelled"


def start_with_failures(shell: Shell, sandbox: SandboxControl, count: int) -> None:
    """Run a campaign of two, of which the API refuses some for good."""
    create(shell)
    sandbox.fault(path="/sendSMS", action="status", status=400, error="invalid_recipient", times=count)
    assert shell("campaign", "start", "spring", "--json").json["state"] == "running"
    shell.pump()
    shell.tick()


def test_the_failed_are_sent_again_once(shell: Shell, sandbox: SandboxControl) -> None:
    start_with_failures(shell, sandbox, 2)
    assert "2  dead   400 invalid_recipient" in shell("campaign", "show", "spring").out
    assert shell("campaign", "retry-failed", "spring", "--dry-run").out == "spring: 2 would be queued again.\n"
    asked = shell("campaign", "retry-failed", "spring")
    assert (asked.code, asked.out) == (4, "")
    assert asked.err.startswith("error: Send 2 messages of 'spring' again? Without a terminal, confirm with --yes")
    assert shell("campaign", "retry-failed", "spring", "--yes", "--json").json["queued_again"] == 2
    again = shell("campaign", "retry-failed", "spring", "--yes")
    assert (again.code, again.out) == (3, "spring: nothing is dead or expired.\n")
    assert shell("campaign", "show", "spring").out.startswith("spring  running\n")
    shell.pump()
    shell.tick()
    assert shell("campaign", "show", "spring").out.startswith("spring  finished\n")
    assert sandbox.summary()["carried_out"]["sms"] == 2


def test_an_export_has_whole_numbers_and_no_formula(shell: Shell, sandbox: SandboxControl, tmp_path: Path) -> None:
    start_with_failures(shell, sandbox, 1)
    services = shell.services()
    with services.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE dispatcher_messages SET last_error = '=1+1' WHERE state = 'dead'")
    services.close()
    head, *rows = table(shell("campaign", "export", "spring").out)
    assert head[:5] == ["recipient", "state", "reason", "attempts", "may_be_a_duplicate"]
    assert [row[0] for row in rows] == [MOBILE, OTHER_MOBILE]
    assert {row[1]: row[2] for row in rows} == {"accepted": "", "dead": "'=1+1"}
    _, dead = table(shell("campaign", "export", "spring", "--state", "dead", "--state", "expired").out)
    assert dead[1:7] == ["dead", "'=1+1", "1", "no", "", ""]
    assert shell("campaign", "export", "spring", str(tmp_path / "got.csv"), "--state", "accepted").out == ""
    got = (tmp_path / "got.csv").read_text("utf-8")
    assert (got[:10], len(table(got))) == ("\ufeffrecipient", 2)
