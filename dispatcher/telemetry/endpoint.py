"""The HTTP server of a worker or clock: `/metrics` for Prometheus, `/healthz` and `/readyz` for orchestrators."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import MetricsHandler

from dispatcher.domain.errors import SettingsError
from dispatcher.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The two questions of an orchestrator. A restart is the answer to the first only."""

    wrong: Callable[[], str | None]
    """Liveness: the fault of this process that only a restart can correct; None if it works or waits."""
    ready: Callable[[], Mapping[str, str]]
    """Readiness: "ok" or an error for each dependency of the process."""


class Endpoint:
    """Serves the three paths. It has its port from the beginning, and answers once it is started."""

    def __init__(self, registry: CollectorRegistry, *, host: str, port: int, health: Health) -> None:
        """Take the port.

        :raises SettingsError: it cannot be listened on there.
        """
        self._owner = os.getpid()
        self._thread: Thread | None = None
        handler = type("_Bound", (_Handler,), {"registry": registry, "health": health})
        server = type("_Family", (_Server,), {"address_family": socket.AF_INET6 if ":" in host else socket.AF_INET})
        try:
            self._server = server((host, port), handler)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SettingsError(
                f"DISPATCHER_METRICS_PORT: {host}:{port} cannot be listened on ({reason}); give another, or 0 for none"
            ) from None
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"

    def start(self) -> None:
        """Begin to answer."""
        self._thread = Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()
        log.info("metrics_ready", url=self.url)

    def leave_to_parent(self) -> None:
        """After a fork: the port is the parent's; else it would stay taken for as long as an orphan lives."""
        if os.getpid() != self._owner:
            self._server.socket.close()

    def close(self) -> None:
        """Give the port back."""
        if self._thread is not None:
            self._server.shutdown()  # its loop would find the closed socket readable for ever, and use a whole core
            self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 16

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # that one only went away
            log.exception("scrape_failed")


class _Handler(MetricsHandler):
    timeout = 10
    server_version, sys_version = "dispatcher", ""
    health: Health

    def do_GET(self) -> None:  # noqa: N802 - http.server calls it so
        match urlsplit(self.path).path:
            case "/metrics":
                super().do_GET()
            case "/healthz":
                wrong = self.health.wrong()
                self._say(*((200, "ok") if wrong is None else (503, wrong)))
            case "/readyz":
                found = dict(self.health.ready())
                status = 200 if set(found.values()) == {"ok"} else 503
                self._say(status, json.dumps(found), media_type="application/json")
            case _:
                self._say(404, "there are /metrics, /healthz and /readyz")

    def _say(self, status: int, text: str, *, media_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.end_headers()
        self.wfile.write(f"{text}\n".encode())
