"""The connection of a token call, which another thread can cut at the deadline."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter


class Line(HTTPAdapter):
    """An adapter that can cut its connections from another thread, and then lets no request out any more."""

    def __init__(self) -> None:
        super().__init__(max_retries=0)
        self._connections: list[Any] = []
        self._over = threading.Event()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = self._watched(pool.ConnectionCls)
        return pool

    def cut(self) -> None:
        """Make every read and write under way fail now."""
        self._over.set()
        for connection in self._connections:
            with suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _watched(self, plain: Any) -> Any:
        line = self

        class Watched(plain):  # type: ignore[misc]
            def connect(self) -> None:
                line._connections.append(self)
                super().connect()
                if line._over.is_set():
                    self.close()
                    raise TimeoutError("the token call's deadline is over")

        return Watched
