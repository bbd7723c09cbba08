"""Where Redis is: the one reader of DISPATCHER_REDIS_URL, for Celery's connections and for our own.

    redis://[[user]:password@]host[:port][/db]             rediss:// with TLS
    unix://[[user]:password@]/path/to/redis.sock[?db=0]
    redis+sentinel://[[user]:password@]host[:port][,host[:port]]/master[/db]      rediss+sentinel:// with TLS

What a URL may say beside that is refused by name: libraries disagree about it. No error repeats a value, since a part
of a password may be anywhere in a URL whose special characters are not escaped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_PORT, _SENTINEL_PORT = 6379, 26379
_UNIX = ("unix", "redis+socket")
_SENTINEL = ("redis+sentinel", "rediss+sentinel")
_SCHEMES = ("redis", "rediss", *_UNIX, *_SENTINEL)
_NAMED = re.compile(r"[a-z][a-z_]{1,30}", re.ASCII)
_ESCAPE = "in a password write @ as %40, / as %2F, ? as %3F, # as %23 and : as %3A"
_ADVICE = {
    "ssl_ca_certs": "set DISPATCHER_REDIS_CA_BUNDLE",
    "ssl_certfile": "set DISPATCHER_REDIS_CLIENT_CERT",
    "ssl_keyfile": "set DISPATCHER_REDIS_CLIENT_KEY",
    "ssl_cert_reqs": "a certificate is always verified; for a private authority set DISPATCHER_REDIS_CA_BUNDLE",
    "ssl_check_hostname": "a certificate is always verified; for a private authority set DISPATCHER_REDIS_CA_BUNDLE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """A Redis server, or the Sentinels that know which one is the master."""

    hosts: tuple[tuple[str, int], ...] = ()
    """The server's host and port, or those of the Sentinels; none for a socket."""
    path: str = ""
    """Of a Unix socket."""
    master: str = ""
    """The name by which Sentinels know the server."""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    tls: bool = False

    def __str__(self) -> str:
        """Return the address as a URL without its passwords.

        >>> str(parse_redis_url("redis+sentinel://:secret@a,b:5000/main/2"))
        'redis+sentinel://a:26379,b:5000/main/2'
        """
        if self.path:
            return f"unix://{self.path}?db={self.db}"
        places = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        scheme = "rediss" if self.tls else "redis"
        if self.master:
            return f"{scheme}+sentinel://{places}/{self.master}/{self.db}"
        return f"{scheme}://{places}/{self.db}"


def parse_redis_url(url: str) -> RedisAddress:
    """Read the URL of a Redis server.

    >>> parse_redis_url("rediss://worker:a%40b@queue.example/5")
    RedisAddress(hosts=(('queue.example', 6379),), path='', master='', db=5, username='worker', \
sentinel_username=None, tls=True)
    >>> parse_redis_url("redis://queue.example?socket_timeout=3")
    Traceback (most recent call last):
        ...
    ValueError: socket_timeout: is not an option of this URL; leave it out

    :raises ValueError: what is wrong with it, without any of its values.
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        raise ValueError(f"is not a URL; write redis://host:6379/0 ({_ESCAPE})") from None
    scheme = parts.scheme.lower()
    if scheme not in _SCHEMES or not parts.netloc + parts.path:
        raise ValueError("is not a Redis URL; write redis://host:6379/0, or rediss:// for TLS, or unix:///path")
    if parts.fragment or url.rstrip().endswith("#"):
        raise ValueError(f"has a # in it, where a URL's address ends; {_ESCAPE}")
    if parts.netloc.count("@") > 1:
        raise ValueError(f"has more than one @ in it; {_ESCAPE}")
    options = _options(parts, sentinel=scheme in _SENTINEL)
    username, password = _credentials(parts)
    if scheme in _UNIX:
        if parts.netloc.rpartition("@")[2] or not parts.path.strip("/"):
            raise ValueError("has no path of a socket; write unix:///run/redis/redis.sock")
        return RedisAddress(path=unquote(parts.path), db=_database("", options), username=username, password=password)
    places = parts.netloc.rpartition("@")[2]
    port = _SENTINEL_PORT if scheme in _SENTINEL else _PORT
    hosts = tuple(_place(place, port) for place in places.split(","))
    master, path = "", parts.path.strip("/")
    if scheme in _SENTINEL:
        master, _, path = path.partition("/")
        if not master:
            raise ValueError("has no name of a master; write redis+sentinel://host:26379/mymaster/0")
    elif len(hosts) > 1:
        raise ValueError("has several hosts; name one server, or use redis+sentinel:// with the Sentinels")
    return RedisAddress(
        hosts=hosts,
        master=unquote(master),
        db=_database(path, options),
        username=username,
        password=password,
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
        tls=scheme.startswith("rediss"),
    )


def _options(parts: SplitResult, *, sentinel: bool) -> dict[str, str]:
    known = {"db", *(("sentinel_username", "sentinel_password") if sentinel else ())}
    options: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if not _NAMED.fullmatch(name):
            raise ValueError(f"has a ? in it, where a URL's options begin; {_ESCAPE}")
        if name not in known:
            raise ValueError(f"{name}: is not an option of this URL; {_ADVICE.get(name, 'leave it out')}")
        if name in options:
            raise ValueError(f"{name}: is given more than once")
        options[name] = value
    return options


def _credentials(parts: SplitResult) -> tuple[str | None, str | None]:
    given, at, _ = parts.netloc.rpartition("@")
    if not at:
        return None, None
    username, _, password = given.partition(":")
    if ":" in password:
        raise ValueError(f"has a : in its password; {_ESCAPE}")
    return unquote(username) or None, unquote(password) or None


def _place(text: str, port: int) -> tuple[str, int]:
    try:
        found = urlsplit(f"//{text}")
        host, given = found.hostname or "127.0.0.1", found.port
        host.encode("idna")
    except ValueError:
        given, host = 0, ""
    if given == 0 or not host or re.search(r"[\s%\\]", text):
        raise ValueError(f"has no host and port that can be read; write redis://host:6379/0 ({_ESCAPE})")
    return host, given or port


def _database(path: str, options: dict[str, str]) -> int:
    texts = {text for text in (path, options.get("db", "")) if text}
    if len(texts) > 1:
        raise ValueError("names two databases, in its path and in ?db=; leave one out")
    text = texts.pop() if texts else "0"
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII):
        raise ValueError(f"has a database that is not a number from 0 up; write redis://host:6379/0 ({_ESCAPE})")
    return int(text)
