"""docker-compose.yml and Dockerfile, proved as far as no container engine is needed: what they run is run here."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from redis import Redis

from dispatcher.sandbox import SandboxSettings, running_sandbox
from dispatcher.settings import known_names
from tests.servers import running_valkey

ROOT = Path(__file__).parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def test_it_is_a_compose_file_by_the_specification() -> None:
    compose = PyCompose.from_json(json.dumps(COMPOSE))
    compose.validate()
    assert set(compose.service_names()) == {"redis", "postgres", "migrate", "worker", "clock", "sandbox"}


def test_the_specification_would_refuse_a_wrong_one() -> None:
    broken = json.loads(json.dumps(COMPOSE))
    broken["services"]["worker"]["stop_grace"] = "60s"
    with pytest.raises(ValueError, match="stop_grace"):
        PyCompose.from_json(json.dumps(broken)).validate()


def test_every_setting_that_it_gives_is_a_setting() -> None:
    known = known_names()
    for name, service in OURS.items():
        for setting in service.get("environment", {}):
            assert setting.removesuffix("_FILE") in known, f"{name} sets {setting}"


def test_what_services_refer_to_is_there() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"]), name
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in COMPOSE["volumes"], name


def test_redis_keeps_what_it_is_given_and_evicts_nothing() -> None:
    command = SERVICES["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert command[command.index("--appendonly") + 1] == "yes"


def test_every_long_running_service_has_a_health_check_and_comes_back() -> None:
    for name in ("redis", "postgres", "worker", "clock"):
        assert SERVICES[name]["healthcheck"]["test"], name
        assert SERVICES[name]["restart"] == "unless-stopped", name


def test_no_secret_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for setting, value in service.get("environment", {}).items():
            if re.search("SECRET|PASSWORD|LEDGER_URL", setting):
                assert str(value).startswith("/run/secrets/"), setting


@pytest.fixture
def environment(fresh_postgres: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the environment of the compose file with the addresses of servers of ours."""
    secrets = {"/run/secrets/ledger_url": fresh_postgres, "/run/secrets/client_secret": "sandbox-secret"}
    with running_valkey() as redis_url, running_sandbox(SandboxSettings()) as sandbox:
        ours = {
            "DISPATCHER_REDIS_URL": redis_url,
            "DISPATCHER_API_BASE_URL": sandbox.url,
            "DISPATCHER_CLIENT_ID": "sandbox-client",
            "DISPATCHER_HOME": str(tmp_path / "home"),
        }
        given = {}
        for name, value in SERVICES["worker"]["environment"].items():
            if value in secrets:
                (tmp_path / name).write_text(secrets[value])
                given[name] = str(tmp_path / name)
            else:
                default = re.fullmatch(r"\$\{\w+:-(.*)\}", value)
                given[name] = ours.get(name, default[1] if default else value)
        yield {**os.environ, **given}


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "dispatcher"] if command[0] != "dispatcher" else [sys.executable, "-m"]
    return subprocess.run([*program, *command], env=environment, capture_output=True, text=True, timeout=30)


def health(service: str, environment: dict[str, str]) -> int:
    test = SERVICES[service]["healthcheck"]["test"]
    assert test[0] == "CMD"
    return run(test[1:], environment).returncode


@pytest.mark.slow
@pytest.mark.parametrize("service", ["worker", "clock"])
def test_a_service_starts_answers_and_stops_cleanly(service: str, environment: dict[str, str]) -> None:
    assert run(SERVICES["migrate"]["command"], environment).returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "dispatcher", *SERVICES[service]["command"]],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    ready = next(line for line in process.stderr if '"event": "ready"' in line or '"event": "clock_ready"' in line)
    assert ready
    assert health(service, environment) == 0
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    grace = int(SERVICES[service]["stop_grace_period"].removesuffix("s"))
    assert time.monotonic() - asked < grace / 4


@pytest.mark.slow
def test_the_health_check_fails_without_redis_or_ledger_and_not_without_the_api(environment: dict[str, str]) -> None:
    run(SERVICES["migrate"]["command"], environment)
    assert health("worker", environment | {"DISPATCHER_API_BASE_URL": "http://127.0.0.1:1"}) == 0
    Redis.from_url(environment["DISPATCHER_REDIS_URL"]).shutdown(nosave=True)
    assert health("worker", environment) == 1


@pytest.mark.slow
def test_a_worker_refuses_a_ledger_that_was_not_migrated(environment: dict[str, str], tmp_path: Path) -> None:
    empty = {**environment, "DISPATCHER_LEDGER_URL": f"sqlite:///{tmp_path}/empty.db"}
    refused = run(SERVICES["worker"]["command"], empty)
    assert refused.returncode == 1
    assert refused.stderr.strip().endswith("run `dispatcher migrate`")
    assert "Traceback" not in refused.stderr


def test_the_image_is_built_from_what_is_here_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    instructions = [line.split(maxsplit=1) for line in lines if line and line[0].isalpha()]
    sources = [source for word, rest in instructions if word == "COPY" for source in rest.split()[:-1]]
    assert sources
    assert all((ROOT / source).exists() for source in sources)
    user = [rest for word, rest in instructions if word == "USER"][-1]
    assert user != "root"
    assert ["ENTRYPOINT", '["dispatcher"]'] in instructions
