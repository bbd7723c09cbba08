"""The process that serves the pages."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable

import uvicorn

from dispatcher.domain.errors import SettingsError
from dispatcher.ledger import PATIENT, require_head
from dispatcher.logs import get_logger
from dispatcher.settings import Settings
from dispatcher.telemetry import configure_logs
from dispatcher.web.app import make_web
from dispatcher.wiring import Services, secure_home

log = get_logger(__name__)

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve_web(settings: Settings, *, host: str, port: int, on_ready: Callable[[str], None] = lambda _: None) -> int:
    """Serve the pages until SIGTERM, and return the exit code.

    :param port: 0 for any that is free.
    :raises SettingsError: the address is open to others and nobody is named, or it is taken.
    :raises LedgerUnavailable: the ledger cannot be reached.
    :raises LedgerOutdated: it is not at the migration head.
    """
    if host not in LOOPBACK and not settings.web_users.get_secret_value():
        raise SettingsError(
            f"DISPATCHER_WEB_USERS: names nobody, and {host} is open to others; "
            "`dispatcher web --hash` makes the hash of a password"
        )
    configure_logs(settings.log_level)
    secure_home(settings)
    services = Services(settings, deadlines=PATIENT)
    try:
        require_head(services.engine)
        listener = _listen(host, port)
        # h11 bounds a request's head at 64 KB; httptools, which uvicorn prefers where it is installed, does not.
        config = uvicorn.Config(
            make_web(services), http="h11", log_level="warning", access_log=False, server_header=False
        )
        url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"
        log.info("web_ready", url=url)
        on_ready(url)
        # Once it has stopped serving, uvicorn raises SIGTERM again for the handler that was there before its own.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        services.close()
    return 0


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SettingsError(f"--port: {host}:{port} cannot be listened on ({error.strerror}); give another") from None
