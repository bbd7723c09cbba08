"""The pages on a real ledger and Valkey, served on a socket; what workers would do is done by the test."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
import uvicorn
from argon2 import PasswordHasher
from redis import Redis

from dispatcher.settings import Settings, load_settings
from dispatcher.web import make_web
from dispatcher.wiring import Services

PASSWORD = "correct horse battery staple"
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
"""Cheap to verify; `make_hash`, whose hashes are dear, has tests of its own."""


@dataclass
class Site:
    """A served site and one visitor."""

    url: str
    services: Services
    visitor: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str, **more: str) -> requests.Response:
        return self.visitor.get(self.url + path, params=more, timeout=10, allow_redirects=False)

    def token(self, path: str) -> str:
        """Return the token that the forms of a page carry."""
        found = re.search(r'name="token" value="([0-9a-f]+)"', self.get(path).text)
        assert found is not None, f"{path} has no form"
        return found[1]

    def post(self, path: str, on: str | None = None, *, site: str = "same-origin", **form: str) -> requests.Response:
        """Send a form as a browser does from one of our pages."""
        if on is not None:
            form["token"] = self.token(on)
        return self.visitor.post(
            self.url + path, data=form, headers={"Sec-Fetch-Site": site}, timeout=10, allow_redirects=False
        )

    def sign_in(self, name: str, password: str = PASSWORD, **more: str) -> requests.Response:
        return self.post("/sign-in", name=name, password=password, **more)


def settings_of(ledger_url: str, redis_url: str, home: Path, **more: str) -> Settings:
    return load_settings(
        ledger_url=ledger_url,
        redis_url=redis_url,
        home=home,
        api_base_url="http://127.0.0.1:9",
        client_id="c",
        client_secret="s",
        **more,
    )


class _Server(uvicorn.Server):
    """Ends at once: uvicorn's own looks every 0.1 s whether it should, and then sleeps for 0.1 s."""

    async def main_loop(self) -> None:
        await self.on_tick(0)
        while not self.should_exit:
            await asyncio.sleep(0.005)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.tasks:
            await asyncio.sleep(0.005)


def serve(services: Services) -> Iterator[str]:
    """Serve the pages in a thread for as long as the test lasts."""
    server = _Server(uvicorn.Config(make_web(services), port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        services.close()


@pytest.fixture
def site(ledger_url: str, valkey: str, redis: Redis, tmp_path: Path) -> Iterator[Site]:
    """Return pages for this machine only: nobody signs in."""
    services = Services(settings_of(ledger_url, valkey, tmp_path / "home"))
    for url in serve(services):
        yield Site(url=url, services=services)


@pytest.fixture
def guarded(sqlite_ledger: str, valkey: str, redis: Redis, tmp_path: Path) -> Iterator[Site]:
    """Return pages that three people may see."""
    users = ";".join(
        f"{name}:{role}:{HASH}" for name, role in (("vera", "viewer"), ("otto", "operator"), ("mona", "payments"))
    )
    services = Services(settings_of(sqlite_ledger, valkey, tmp_path / "home", web_users=users, web_secret="secret"))
    for url in serve(services):
        yield Site(url=url, services=services)


@pytest.fixture
def sqlite_ledger(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "guarded.db"
    path.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{path}"
