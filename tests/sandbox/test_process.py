"""The sandbox as a process: how it starts, what it says when it cannot, how it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dispatcher.sandbox import SandboxNotStarted, SandboxSettings, running_sandbox
from dispatcher.sandbox.command_line import arguments, parse

from .caller import Caller, ask_token, error_of, get_token

COMMAND = [sys.executable, "-m", "dispatcher.sandbox"]


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=10, check=False)


def test_help_names_every_setting() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    for field in SandboxSettings.__dataclass_fields__:
        assert f"--{field.replace('_', '-')}" in shown.stdout or field == "signing_key"


def listens(url: str) -> bool:
    at = urlsplit(url)
    try:
        socket.create_connection((at.hostname, at.port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--rate-limit", "fast"], "rate_limit: wants calls per s, m or h"),
        (["--fault", "{"], "--fault: wants JSON such as"),
        (["--fault", "[]"], "rule: wants a JSON object such as"),
        (["--fault", '{"path": "/sendSMS", "action": "explode"}'], "action: wants one of status, hang"),
        (["--granted-scopes", "fly"], "granted_scopes: wants null or a list of scopes"),
        (["--port", "70000"], "port: wants a whole number from 0"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1 port 8025: Cannot assign requested address"),
        (["--journal", "/nowhere/at/all"], "journal /nowhere/at/all: cannot be opened (No such file or directory)"),
    ],
)
def test_what_cannot_be_started_says_why_in_one_line(options: list[str], sentence: str) -> None:
    ended = run(*options)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SandboxNotStarted), running_sandbox(SandboxSettings(port=port)):
            pass
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in capfd.readouterr().err


@pytest.mark.timed
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_even_with_requests_that_hang(number: signal.Signals) -> None:
    with running_sandbox() as sandbox:
        caller = Caller(sandbox.url, get_token(sandbox.url))
        sandbox.fault(path="*", action="hang")
        hanging = [caller.wire() for _ in range(20)]
        while len(sandbox.journal("sms")) < len(hanging):
            time.sleep(0.01)
        began = time.monotonic()
        os.kill(sandbox.pid, number)
        for wire in hanging:
            assert wire.read() == b""
    assert time.monotonic() - began < 1.5


def test_its_exit_code_after_a_signal_is_0() -> None:
    with subprocess.Popen([*COMMAND, "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.terminate()
        assert process.wait(5) == 0


def test_it_ends_with_the_process_that_started_it() -> None:
    script = (
        "import os, signal\n"
        "from dispatcher.sandbox import running_sandbox\n"
        "with running_sandbox() as sandbox:\n"
        "    print(sandbox.url, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=10, check=False)
    until = time.monotonic() + 5
    while listens(killed.stdout.strip()):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_secrets_are_not_in_its_command_line() -> None:
    with running_sandbox(SandboxSettings(client_secret="hush hush", signing_key="hush key")) as sandbox:
        assert b"hush" not in Path(f"/proc/{sandbox.pid}/cmdline").read_bytes()
        assert ask_token(sandbox.url, auth=("sandbox-client", "hush hush")).status_code == 200
        assert error_of(ask_token(sandbox.url)) == (401, "invalid_client")


def test_its_own_client_id_and_rules_come_by_options() -> None:
    rule = '{"path": "/oauth2/token", "action": "status", "status": 500, "times": 1}'
    command = [
        *COMMAND,
        "--port=0",
        "--client-id=shop",
        "--client-secret=s3cret",
        "--until-stdin-closes",
        "--fault",
        rule,
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        answers = [ask_token(url, auth=("shop", "s3cret")).status_code for _ in range(2)]
        process.terminate()
    assert answers == [500, 200]


def test_settings_survive_the_way_through_the_command_line() -> None:
    settings = SandboxSettings(
        client_id="shop",
        host="::1",
        journal=Path("/tmp/a journal"),
        latency_ms=1.5,
        rate_limit="50/s",
        rate_burst=7,
        retry_after_s=0,
        token_real_expires_in=5,
        token_fault="down",
        granted_scopes=("read", "write"),
        honour_idempotency_keys=True,
        seed=-3,
    )
    assert parse(arguments(settings), {}).settings == settings


def test_a_secret_from_the_environment_is_used_unless_an_option_says_otherwise() -> None:
    environment = {"SANDBOX_CLIENT_SECRET": "from environment"}
    assert parse([], environment).settings.client_secret == "from environment"
    assert parse(["--client-secret", "from option"], environment).settings.client_secret == "from option"


def test_steering_a_sandbox_needs_only_the_standard_library() -> None:
    script = (
        "import sys, dispatcher\nbefore = set(sys.modules)\nimport dispatcher.sandbox\n"
        "print({name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=10, check=True)
    assert shown.stdout.strip() == "{'dispatcher'}"


def test_the_sandbox_imports_nothing_of_ours_but_itself() -> None:
    script = (
        "import sys, dispatcher\nbefore = set(sys.modules)\n"
        "import dispatcher.sandbox.server, dispatcher.sandbox.__main__\n"
        "print({name for name in set(sys.modules) - before if name.startswith('dispatcher.')"
        " and not name.startswith('dispatcher.sandbox')})"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=10, check=True)
    assert shown.stdout.strip() == "set()"
