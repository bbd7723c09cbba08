"""The package in a container: a user without a name, no HOME, nothing to write but /tmp and the volume, as PID 1."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.deploy import dockerfile
from tests.deploy.image import Installed, install
from tests.install import interpreters
from tests.install.built import build
from tests.install.conftest import Begin
from tests.install.journey import EVERY_HELP, NUMBER, Journey, take
from tests.install.sealed import Sealed, impossible, seal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(impossible() is not None, reason=str(impossible())),
]

UID = dockerfile.stages()["dispatcher"].last("USER").partition(":")[0]
WHAT_IT_IS = """
import json, os, pwd, pathlib
def writable(path):
    try:
        pathlib.Path(path, "probe").touch()
    except OSError:
        return False
    return True
def named(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "pid": os.getpid(), "uid": os.getuid(), "gid": os.getgid(), "name": named(os.getuid()), "home": os.getenv("HOME"),
    "writable": [path for path in ("/", "/usr", "/etc", "/var", "/tmp", os.getcwd()) if writable(path)],
    "capabilities": int(status["CapBnd"], 16) if os.environ.get("ROOT") else 0,
}))
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return the wheel beside this machine's packages."""
    folder = tmp_path_factory.mktemp("image")
    return install(folder)


@pytest.fixture
def container(packages: Installed, tmp_path: Path) -> Sealed:
    """Return containers that share a home."""
    return seal(packages, tmp_path / "home", packages.programs.parent, EVERY_HELP)


def _begun(begin: Begin, container: Sealed, **settings: str) -> Journey:
    ledger = f"sqlite:///{container.home / 'ledger.db'}"
    return begin(container, ledger_url=ledger, DISPATCHER_HOME=str(container.home), **settings)


def test_it_is_a_container(container: Sealed) -> None:
    said = container.run(["python", "-c", WHAT_IT_IS], {"ROOT": "1" if os.geteuid() == 0 else ""}, container.home)
    assert json.loads(said.stdout or said.stderr) == {
        "pid": 1,
        "uid": int(UID),
        "gid": int(UID),
        "name": None,
        "home": None,
        "writable": ["/tmp", str(container.home)],
        "capabilities": 0,
    }


@pytest.mark.exhaustive
def test_everything_runs_and_sigterm_ends_it(container: Sealed, begin: Begin) -> None:
    take(_begun(begin, container), metrics=True, pages=True)


@pytest.mark.exhaustive
def test_a_user_without_a_name_acts_under_its_id(container: Sealed, begin: Begin) -> None:
    journey = _begun(begin, container)
    journey.succeeds("migrate")
    journey.succeeds("channel", "pause", "gift", "--reason", "wrong amounts")
    cancel = (
        "from dispatcher import Dispatcher\n"
        "with Dispatcher.from_env() as client:\n"
        f"    client.cancel(client.send_sms('{NUMBER}', 'Never mind').id, reason='never mind')\n"
    )
    cancelled = container.run(["python", "-c", cancel], journey.variables, container.home)
    assert cancelled.returncode == 0, cancelled.stderr
    audit = journey.succeeds("audit", "--json")
    assert f"cli:uid {UID}" in audit
    assert f"application:uid {UID}" in audit


@pytest.mark.parametrize(
    "command",
    [
        "worker",
        *(pytest.param(each, marks=pytest.mark.exhaustive) for each in ("status", "migrate", "check", "demo", "up")),
    ],
)
def test_without_a_home_it_asks_for_one_in_one_sentence(container: Sealed, command: str) -> None:
    ended = container.run(["dispatcher", command], {"DISPATCHER_HOME": ""}, container.home)
    assert ended.returncode != 0
    said = ended.stdout + ended.stderr
    assert "DISPATCHER_HOME" in said
    assert "Traceback" not in said


def test_a_home_in_the_settings_is_enough(container: Sealed, begin: Begin) -> None:
    (container.home / ".env").write_text(f"DISPATCHER_HOME={container.home}\n")
    ended = container.run(
        ["env", "-u", "DISPATCHER_HOME", container.program("dispatcher"), "migrate"], {}, container.home
    )
    assert ended.returncode == 0, ended.stderr
    assert (container.home / "ledger.db").exists()


def test_a_command_that_is_the_first_process_ends_at_sigterm(container: Sealed, begin: Begin) -> None:
    """The kernel ignores a signal that such a process has no handler for; Docker would kill it ten seconds later."""
    journey = _begun(begin, container)
    journey.succeeds("migrate")
    log = container.home.parent / "sms.log"
    waiting = container.start(
        ["dispatcher", "sms", NUMBER, "Wait", "--wait", "60"], journey.variables, container.home, log
    )
    journey.running["sms"] = waiting
    journey.wait_until(lambda: "queued" in journey.command("messages", "list", "--json").stdout)
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait(timeout=10) == 128 + signal.SIGTERM
    journey.running.clear()


@pytest.mark.timed
def test_a_worker_that_waits_for_redis_ends_at_sigterm(container: Sealed, begin: Begin) -> None:
    journey = _begun(begin, container, DISPATCHER_REDIS_URL="redis://127.0.0.1:1/0")
    journey.succeeds("migrate")
    journey.start("worker", until="Cannot connect")
    began = time.monotonic()
    journey.running["worker"].send_signal(signal.SIGTERM)
    assert journey.running.pop("worker").wait(timeout=15) == 0
    assert time.monotonic() - began < 15


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_what_the_dockerfile_builds_runs_in_a_container(begin: Begin, tmp_path: Path) -> None:
    version = interpreters.of_the_image()
    python = interpreters.found(version) or pytest.skip(f"no Python {version} on this machine")
    image = build(tmp_path / "image", python=python)
    container = seal(image, tmp_path / "home", image.programs.parent, python.parents[1], EVERY_HELP)
    take(_begun(begin, container), metrics=True, pages=True)
