"""Secrets from files on the whole way; `dispatcher check` as typed: open files are told, plain HTTP is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from dispatcher.cli.secret_files import is_open_to_all
from dispatcher.domain.errors import SettingsError
from dispatcher.domain.state import State
from dispatcher.settings import load_settings
from dispatcher.wiring import require_api
from tests.making import NUMBER
from tests.security.conftest import CLIENT_SECRET, Start
from tests.security.planted import SECRETS, leaks, processes_of
from tests.security.test_nothing_leaks import with_password

IN_FILES = ("CLIENT_SECRET", "LEDGER_URL", "REDIS_URL", "ENQUEUE_KEY", "WEB_SECRET")


@pytest.mark.slow
def test_a_worker_has_its_secrets_from_files_and_none_in_its_environment(start: Start, fresh_postgres: str) -> None:
    system = start(with_password(fresh_postgres))
    client = system.client()  # it is given them as arguments
    for name in IN_FILES:
        file = system.folder / name.lower()
        file.write_text(system.environment.pop(f"DISPATCHER_{name}") + "\n")
        file.chmod(0o600)
        system.environment[f"DISPATCHER_{name}_FILE"] = str(file)
    system.worker()
    system.clock()
    system.wait_ready()
    with client:
        receipt = client.send_sms(NUMBER, "hello")
        system.wait_until(lambda: client.message(receipt.id).state is State.ACCEPTED)
    environments = [process.joinpath("environ").read_text() for process in processes_of(system)]
    assert len(environments) > len(system.processes), "the worker's children too"
    for environment in environments:
        assert "DISPATCHER_CLIENT_SECRET_FILE" in environment
        assert not leaks(environment, SECRETS)


def check(folder: Path, **settings: str) -> dict[str, Any]:
    """Run `dispatcher check` and return its steps by name."""
    given = {"HOME": str(folder / "home"), "REDIS_URL": "redis://127.0.0.1:1", "CLIENT_ID": "me", **settings}
    ended = subprocess.run(
        [sys.executable, "-m", "dispatcher", "check", "--json"],
        env={**os.environ, **{f"DISPATCHER_{name}": value for name, value in given.items()}},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert CLIENT_SECRET not in ended.stdout + ended.stderr
    return {step["name"]: step for step in json.loads(ended.stdout)["steps"]}


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://api.example.test", False),
        ("http://192.0.2.7", False),
        ("http://localhost.example.test", False),
        ("http://127.0.0.1.example.test", False),
        ("http://127.0.0.1@example.test", False),
        ("http://127.0.0.1:9", True),
        ("http://[::1]:9", True),
        ("https://api.example.test", True),
    ],
)
def test_plain_http_is_refused_but_to_this_machine(url: str, allowed: bool, tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, api_base_url=url, client_id="me", client_secret=CLIENT_SECRET)
    with nullcontext() if allowed else pytest.raises(SettingsError, match="plain http://"):
        require_api(settings)


def test_the_command_refuses_plain_http_unless_it_is_told_to_allow_it(tmp_path: Path) -> None:
    given = {"API_BASE_URL": "http://api.example.test", "PROXY": "http://127.0.0.1:9", "CLIENT_SECRET": CLIENT_SECRET}
    refused, allowed = (check(tmp_path, **given, ALLOW_HTTP=said)["api"] for said in ("false", "true"))
    assert (refused["mark"], allowed["mark"]) == ("fault", "ok")
    assert "DISPATCHER_ALLOW_HTTP" in refused["found"]


def test_a_worker_refuses_plain_http_too(tmp_path: Path) -> None:
    given = {"HOME": str(tmp_path), "API_BASE_URL": "http://api.example.test", "CLIENT_ID": "me", "CLIENT_SECRET": "x"}
    ended = subprocess.run(
        [sys.executable, "-m", "dispatcher", "worker"],
        env={**os.environ, **{f"DISPATCHER_{name}": value for name, value in given.items()}},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode != 0
    assert "plain http://" in ended.stderr


@pytest.fixture
def reachable() -> Iterator[Path]:
    """Return a folder that everybody may enter; pytest's own are for their owner alone."""
    folder = Path(tempfile.mkdtemp(prefix="dispatcher-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_secrets_file_that_everybody_may_read_is_told(reachable: Path, tmp_path: Path) -> None:
    file = reachable / "secret"
    file.write_text(CLIENT_SECRET)
    file.chmod(0o644)
    step = check(tmp_path, CLIENT_SECRET_FILE=str(file))["secret files"]
    assert (step["mark"], str(file) in step["found"]) == ("warning", True)
    assert "chmod" in step["advice"]
    file.chmod(0o640)
    assert check(tmp_path, CLIENT_SECRET_FILE=str(file))["secret files"]["mark"] == "ok"


@pytest.mark.parametrize(
    ("file_mode", "folder_mode", "open_"),
    [(0o600, 0o755, False), (0o640, 0o755, False), (0o644, 0o755, True), (0o602, 0o755, True), (0o644, 0o700, False)],
)
def test_open_is_what_everybody_may_read_or_write_and_can_get_to(
    reachable: Path, file_mode: int, folder_mode: int, open_: bool
) -> None:
    file = reachable / "secret"
    file.touch()
    file.chmod(file_mode)
    reachable.chmod(folder_mode)
    assert is_open_to_all(file) is open_
    assert not is_open_to_all(reachable / "none")
