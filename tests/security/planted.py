"""What must not leak, planted so that it is recognised wherever it turns up, in clear or encoded."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, quote_plus

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine, select

from dispatcher.ledger.tables import METADATA
from tests.peeking import opened
from tests.security.conftest import CLIENT_SECRET, ENQUEUE_KEY, REDIS_PASSWORD, WEB_SECRET
from tests.security.roles import PASSWORD as LEDGER_PASSWORD
from tests.system.conftest import System

LUCKY, UNLUCKY, GIVEN, SEALED = "+61491570156", "+61491570157", "+61491570158", "+61491570159"
TEXT = "the parcel is under the third flowerpot"
NOTE = "for the silent neighbour with the orchids"
AMOUNT = "7731.05"
PROXY_PASSWORD = "the-proxys-pass-word-6650"

SECRETS = {
    "the client secret": CLIENT_SECRET,
    "client id and secret for HTTP Basic": base64.b64encode(f"sandbox-client:{CLIENT_SECRET}".encode()).decode(),
    "Redis' password": REDIS_PASSWORD,
    "the ledger's password": LEDGER_PASSWORD,
    "the key of sealed messages": ENQUEUE_KEY,
    "what signs the pages' sessions": WEB_SECRET,
    "the proxy's password": PROXY_PASSWORD,
    "a token": "eyJhbGci",
    "an Authorization header": "Bearer ey",
}
CONTENT = {"an SMS' text": TEXT, "a gift's note": NOTE} | {
    f"{name}'s number": number.removeprefix("+61")
    for name, number in {"lucky": LUCKY, "unlucky": UNLUCKY, "given": GIVEN, "sealed": SEALED}.items()
}
"""A number's digits without country and trunk prefix, which are in every way to write it."""
MONEY = {"an amount": AMOUNT}

BY_DESIGN = {
    "dispatcher_messages": {"recipient", "body", "gift"},
    "dispatcher_suppressions": {"recipient"},
    "dispatcher_campaigns": {"template"},
}
"""The ledger's own columns that hold content in clear; every other column of every table must hold none."""


def spaced(number: str) -> str:
    """Return a number as people write it.

    >>> spaced("+61491570156")
    '0491 570 156'
    """
    digits = number.removeprefix("+61")
    return f"0{digits[:3]} {digits[3:6]} {digits[6:]}"


def leaks(found: str | bytes, private: Mapping[str, str]) -> set[str]:
    """Name what is found of the private things, as it is, or in base64, hexadecimal or a URL."""
    text = found.decode("latin-1") if isinstance(found, bytes) else found
    digits = re.sub(r"(?<=\d)[ \-](?=\d)", "", text)
    return {name for name, value in private.items() if any(form in text or form in digits for form in _forms(value))}


def _forms(value: str) -> Iterator[str]:
    yield from {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1]}
    raw = value.encode()
    if len(raw) >= 9:
        yield raw.hex()
        for shift in range(3):
            # What stands before and behind changes the first and the last characters, never those between.
            yield base64.b64encode(b"\0" * shift + raw).decode()[4 if shift else 0 : -4]


class Wiretap(threading.Thread):
    """Hears every command that anybody sends to a Redis, arguments of scripts included."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._redis = Redis.from_url(url)
        self._tapping = threading.Event()
        self.heard: list[str] = []
        self.start()
        assert self._tapping.wait(5)

    def run(self) -> None:
        with suppress(RedisError, OSError, ValueError), self._redis.monitor() as monitor:  # type: ignore[no-untyped-call]  # until the server ends
            self._tapping.set()
            for each in monitor.listen():
                self.heard.append(each["command"])

    def text(self) -> str:
        return opened("\n".join(self.heard).replace('\\"', '"').encode())


def persisted(redis: Redis) -> bytes:
    """Return what Redis keeps on disk: a dump of now, and the log of all that was ever written."""
    redis.save()
    folder = Path(_config(redis, "dir"))
    files = [path for path in folder.rglob("*") if path.suffix in (".rdb", ".aof")]
    assert {path.suffix for path in files} == {".rdb", ".aof"}
    return b"\n".join(path.read_bytes() for path in files)


def keep_everything(redis: Redis) -> None:
    """Have Redis log every write to a file, and compress nothing, so that it can be searched."""
    redis.config_set("rdbcompression", "no")
    redis.config_set("appendonly", "yes")


def _config(redis: Redis, name: str) -> str:
    return str(redis.config_get(name)[name])


def rows_without_content(engine: Engine) -> str:
    """Return all rows of all tables, but for the columns that hold content by design."""
    told = []
    with engine.connect() as connection:
        for table in METADATA.sorted_tables:
            columns = [each for each in table.columns if each.name not in BY_DESIGN.get(table.name, ())]
            told += [f"{table.name}: {dict(row)}" for row in connection.execute(select(*columns)).mappings()]
    return "\n".join(told)


def processes_of(system: System) -> Iterator[Path]:
    """Yield where the kernel tells about each of our processes, children included."""
    sessions = {process.pid for process in system.processes}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended in the meantime
            if int(process.joinpath("stat").read_text().rpartition(")")[2].split()[3]) in sessions:
                yield process


def seen_by_others(system: System) -> str:
    """Return what every user of the host may read of all our processes: command lines, titles, names of threads."""
    told = []
    for process in processes_of(system):
        with suppress(OSError):
            told.append(process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode())
            told += [path.read_text() for path in process.glob("task/*/comm")]
    return "\n".join(told)


def spooled(folders: Iterable[Path]) -> str:
    """Return what is spooled now."""
    files = (path for folder in folders if folder.exists() for path in folder.rglob("*") if path.is_file())
    return "\n".join(path.read_text() for path in files)
