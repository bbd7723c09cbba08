"""The program as a whole: the real script, its exit codes, its manners in pipes and at the end."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from dispatcher.cli.app import app
from dispatcher.settings import known_names

from .conftest import MOBILE, Shell

PROGRAM = shutil.which("dispatcher", path=str(Path(sys.executable).parent)) or "dispatcher"

COMMANDS = [
    *("demo", "up", "sandbox", "worker", "clock", "migrate", "check", "token", "status", "sms", "gift"),
    *("messages list", "messages show", "messages cancel", "dead list", "dead show", "dead replay"),
    *("in-doubt list", "in-doubt resolve", "channel pause", "channel resume"),
]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("module", ["exits", "noun", "screen", "when"])
def test_examples_in_docstrings(module: str) -> None:
    assert doctest.testmod(importlib.import_module(f"dispatcher.cli.{module}")).failed == 0


@pytest.mark.timed
def test_help_answers_at_once() -> None:
    took = []
    for _ in range(3):
        began = time.monotonic()
        shown = run("--help")
        took.append(time.monotonic() - began)
        assert shown.returncode == 0
    assert min(took) < 0.5
    assert all(command.split()[0] in shown.stdout for command in COMMANDS)
    assert "0 done, 1 failed, 2 usage, 3 nothing matched, 4 refused" in " ".join(shown.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(bare: Shell, command: str) -> None:
    ended = bare(*command.split(), "--help")
    assert ended.code == 0
    assert f"dispatcher {command}" in ended.out
    if command not in ("worker", "clock", "up"):
        assert "--json" in ended.out


def test_alone_it_prints_help_and_a_noun_without_a_verb_is_wrong_usage(bare: Shell) -> None:
    alone, noun = bare(), bare("messages")
    assert (alone.code, "Usage: dispatcher" in alone.out) == (0, True)
    assert (noun.code, "cancel" in noun.out) == (2, True)


def test_the_version(bare: Shell) -> None:
    assert bare("--version").out.startswith("dispatcher 0.")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("sned",), "error: No such command 'sned'"),
        (("sms", MOBILE, "Hi", "--kye", "x"), "error: No such option: --kye"),
        (("messages", "list", "--limit", "0"), "error: Invalid value for '--limit'"),
    ],
)
def test_wrong_usage_is_one_line(bare: Shell, arguments: tuple[str, ...], sentence: str) -> None:
    ended = bare(*arguments)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith(sentence)


def test_settings_that_are_unknown_or_wrong_are_all_named(bare: Shell) -> None:
    bare.set(sms_rat="5/s")
    ended = bare("status")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "error: DISPATCHER_SMS_RAT: there is no such setting; did you mean DISPATCHER_SMS_RATE?\n"
    bare.set(sms_rat="", sms_rate="fast", gift_rate="0/s")
    ended = bare("sms", MOBILE, "Hi")
    assert ended.code == 2
    assert [line.split(":")[1] for line in ended.err.splitlines()] == [" DISPATCHER_SMS_RATE", " DISPATCHER_GIFT_RATE"]


@pytest.mark.parametrize("command", [("status",), ("sms", MOBILE, "Hi"), ("messages", "list"), ("worker",), ("clock",)])
def test_a_ledger_that_is_not_at_the_head_stops_everything(bare: Shell, command: tuple[str, ...]) -> None:
    bare.set(api_base_url="http://127.0.0.1:1", client_id="a", client_secret="b")
    ended = bare(*command)
    assert (ended.code, ended.out) == (1, "")
    assert "run `dispatcher migrate`" in ended.err


def test_a_ledger_at_another_revision_takes_nothing(offline: Shell) -> None:
    services = offline.services()
    with services.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE dispatcher_alembic_version SET version_num = '0000'")
    services.close()
    ended = offline("sms", MOBILE, "Hi")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: the ledger is at revision 0000, this version needs revision ")
    assert offline.rows() == 0


def test_a_ledger_that_cannot_be_reached(bare: Shell) -> None:
    bare.set(ledger_url="postgresql://nobody@127.0.0.1:1/none")
    ended = bare("sms", MOBILE, "Hi")
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert ended.err.startswith("error: the ledger cannot be used now: ")


def test_a_folder_that_cannot_be_made_is_no_traceback(bare: Shell) -> None:
    bare.set(ledger_url="sqlite:////proc/none/ledger.db")
    ended = bare("status")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "/proc/none" in ended.err


def test_migrating_says_before_and_after(bare: Shell) -> None:
    first = bare("migrate", "--json")
    assert (first.code, first.json["before"], first.json["after"]) == (0, None, first.json["head"])
    assert bare("migrate").out == f"The ledger is at revision {first.json['head']} already.\n"
    refused = bare("migrate", "--to", "base")
    assert refused.code == 4
    assert "deletes every message" in refused.err
    assert bare("migrate", "--to", "base", "--yes", "--json").json["after"] is None


def test_a_revision_that_does_not_exist(offline: Shell) -> None:
    ended = offline("migrate", "--to", "9999")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "9999" in ended.err


def test_home_may_be_an_option(bare: Shell, tmp_path: Path) -> None:
    assert bare("--home", str(tmp_path / "elsewhere"), "migrate").code == 0
    assert (tmp_path / "elsewhere" / "ledger.db").exists()


def test_the_script_end_to_end(offline: Shell) -> None:
    sent = run("sms", MOBILE, "Your code is 123456", "--json")
    assert sent.returncode == 0, sent.stderr
    one = json.loads(sent.stdout)["id"]
    shown = run("messages", "show", one)
    assert (shown.returncode, "sms to +61•••••••06: queued" in shown.stdout) == (0, True)
    missing = run("messages", "show", "nonsense")
    assert (missing.returncode, missing.stdout) == (3, "")
    assert missing.stderr.startswith("error: no message has the id 'nonsense'")
    assert "\x1b" not in sent.stdout + shown.stdout + missing.stderr


def test_piped_lines_are_whole_and_an_early_end_of_the_reader_is_no_fault(offline: Shell, tmp_path: Path) -> None:
    for _ in range(3):
        offline.sms()
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    piped = subprocess.run([PROGRAM, "messages", "list"], capture_output=True, text=True, env=environment)
    assert all("+61•••••••06" in line for line in piped.stdout.splitlines()[1:])
    script = f"{PROGRAM} messages list --json | head -c 1 >/dev/null"
    cut = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=environment)
    assert cut.stderr == ""


def test_a_terminal_without_unicode_gets_question_marks(offline: Shell) -> None:
    offline.sms()
    shown = run("messages", "list", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert (shown.returncode, "+61???????06" in shown.stdout) == (0, True)
    document = run("messages", "list", "--json", "--reveal", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert json.loads(document.stdout)["messages"][0]["recipient"] == MOBILE


def in_terminal(*arguments: str, typed: str = "", **environment: str) -> str:
    """What a terminal gets."""
    given, taken = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, *arguments],
        stdin=taken,
        stdout=taken,
        stderr=taken,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    )
    os.close(taken)
    os.write(given, typed.encode())
    seen = b""
    try:
        while part := os.read(given, 65536):
            seen += part
    except OSError:  # the terminal's other end was closed
        pass
    process.wait(10)
    os.close(given)
    return seen.decode()


def test_colour_is_for_terminals_that_want_it(offline: Shell) -> None:
    one = offline.sms()
    offline("messages", "cancel", one)
    assert "\x1b[" in in_terminal("messages", "list")
    assert "\x1b[3" not in in_terminal("messages", "list", NO_COLOR="1")


def test_a_person_is_asked_before_more_than_one_is_replayed(offline: Shell) -> None:
    ids = [offline.sms(expires_at="+1s") for _ in range(2)]
    time.sleep(1.1)
    services = offline.services()
    services.ledger.expire(now=services.clock.now(), limit=10)
    services.close()
    refused = in_terminal("dead", "replay", "--all", typed="n\n")
    assert "Send these 2 again? [y/N]" in refused
    assert "error: nothing was replayed" in refused
    assert {offline.state(one) for one in ids} == {"expired"}
    assert "2 queued again." in in_terminal("dead", "replay", "--all", typed="y\n")
    assert {offline.state(one) for one in ids} == {"queued"}


def test_ctrl_c_ends_quietly(shell: Shell) -> None:
    process = subprocess.Popen(
        [PROGRAM, "sms", MOBILE, "Hi", "--wait", "30"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 30
    while shell.rows() == 0:
        assert time.monotonic() < until, "it has enqueued nothing"
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "")


def test_the_sandbox_says_where_it_is(bare: Shell) -> None:
    command = [PROGRAM, "sandbox", "--port", "0", "--client-id", "shop", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "SANDBOX_CLIENT_SECRET": "hush"}
    ) as process:
        assert process.stdout is not None
        lines = ""
        while not lines.endswith("}\n"):
            lines += process.stdout.readline()
        told = json.loads(lines)
        assert "hush" not in lines
        assert urlopen(told["docs_url"], timeout=5).status == 200
        assert told["client_id"] == "shop"
        process.terminate()
        assert process.wait(5) == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--rate-limit", "fast"), "error: rate_limit: wants calls per s, m or h"),
        (("--fault", "{"), "error: --fault: wants JSON such as"),
        (("--fault", '{"path": "/sendSMS", "action": "explode"}'), "error: action: wants one of status, hang"),
        (("--host", "192.0.2.1"), "error: cannot listen on 192.0.2.1 port 8025"),
        (("--journal", "/nowhere/at/all"), "error: journal /nowhere/at/all: cannot be opened"),
    ],
)
def test_a_sandbox_that_cannot_start(bare: Shell, options: tuple[str, ...], sentence: str) -> None:
    ended = bare("sandbox", *options)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith(sentence)


@pytest.mark.slow
def test_worker_and_clock_send_what_the_script_enqueues(shell: Shell) -> None:
    programs = [
        subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for arguments in (("worker", "--processes", "1", "--concurrency", "4"), ("clock",))
    ]
    try:
        sent = run("sms", MOBILE, "Hi", "--wait", "15", "--json")
        assert (sent.returncode, json.loads(sent.stdout)["state"]) == (0, "accepted"), sent.stderr
    finally:
        for program in programs:
            program.terminate()
    assert [program.wait(20) for program in programs] == [0, 0]


def test_a_worker_without_an_api_is_wrong_usage(offline: Shell) -> None:
    ended = offline("worker")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "DISPATCHER_API_BASE_URL" in ended.err
    assert offline("worker", "--processes", "0").code == 2


def test_nothing_is_named_twice() -> None:
    names = [info.name or (info.callback and info.callback.__name__) for info in app.registered_commands]
    assert len(names) == len(set(names))
    assert "DISPATCHER_HOME" in known_names()
