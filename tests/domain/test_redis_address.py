"""The URL of Redis: read once, for every connection, or refused in one sentence without any of its secrets."""

from __future__ import annotations

import pytest

from dispatcher.domain.redis_address import RedisAddress, parse_redis_url


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("redis://queue", RedisAddress(hosts=(("queue", 6379),))),
        ("redis://queue:7000/5", RedisAddress(hosts=(("queue", 7000),), db=5)),
        ("redis://queue/?db=5", RedisAddress(hosts=(("queue", 6379),), db=5)),
        ("redis://queue/5?db=5", RedisAddress(hosts=(("queue", 6379),), db=5)),
        ("REDISS://queue", RedisAddress(hosts=(("queue", 6379),), tls=True)),
        ("redis://:a%40b%2Fc%3A@queue", RedisAddress(hosts=(("queue", 6379),), password="a@b/c:")),
        ("redis://me:p@[::1]:7000/1", RedisAddress(hosts=(("::1", 7000),), username="me", password="p", db=1)),
        ("redis://:7000", RedisAddress(hosts=(("127.0.0.1", 7000),))),
        ("unix:///run/redis.sock", RedisAddress(path="/run/redis.sock")),
        ("unix://me:p@/run/redis.sock?db=3", RedisAddress(path="/run/redis.sock", username="me", password="p", db=3)),
        ("redis+socket:///run/redis.sock", RedisAddress(path="/run/redis.sock")),
        (
            "redis+sentinel://me:p@one,two:5000/main/2",
            RedisAddress(hosts=(("one", 26379), ("two", 5000)), master="main", username="me", password="p", db=2),
        ),
        (
            "rediss+sentinel://one/main?sentinel_password=s",
            RedisAddress(hosts=(("one", 26379),), master="main", sentinel_password="s", tls=True),
        ),
    ],
)
def test_what_it_says(url: str, found: RedisAddress) -> None:
    assert parse_redis_url(url) == found
    if found.password is None and found.sentinel_password is None:
        assert parse_redis_url(str(found)) == found


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "is not a Redis URL"),
        ("queue:6379", "is not a Redis URL"),
        ("redis:", "is not a Redis URL"),
        ("http://queue", "is not a Redis URL"),
        ("redis://queue?socket_timeout=3", "socket_timeout: is not an option"),
        ("redis://queue?protocol=3", "protocol: is not an option"),
        ("redis://queue?db=1&db=2", "db: is given more than once"),
        ("redis://queue/1?db=2", "names two databases"),
        ("redis://queue/-1", "a database that is not a number"),
        ("redis://queue/x", "a database that is not a number"),
        ("redis://queue/1/2", "a database that is not a number"),
        ("rediss://queue?ssl_cert_reqs=none", "always verified"),
        ("rediss://queue?ssl_ca_certs=x.pem", "DISPATCHER_REDIS_CA_BUNDLE"),
        ("redis://a,b", "several hosts"),
        ("redis+sentinel://a,b", "no name of a master"),
        ("unix://", "is not a Redis URL"),
        ("unix:///", "no path"),
        ("unix://host/run/redis.sock", "no path"),
        ("redis://queue:99999", "no host and port"),
        ("redis://queue:0", "no host and port"),
        ("redis://que ue", "no host and port"),
        (f"redis://{'x' * 64}.example", "no host and port"),
        ("redis://[::1", "is not a URL"),
        ("redis://:hush/secret@queue", "no host and port"),
        ("redis://:hush?secret@queue", "has a \\?"),
        ("redis://:hush#secret@queue", "has a #"),
        ("redis://:hush@secret@queue", "more than one @"),
        ("redis://:hush:secret@queue", "has a :"),
    ],
)
def test_what_is_refused_and_that_no_secret_is_in_the_reason(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        parse_redis_url(url)
    assert "hush" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_neither_its_text_nor_its_repr_has_a_password() -> None:
    address = parse_redis_url("redis+sentinel://me:hush@one/main?sentinel_password=hush")
    assert "hush" not in f"{address} {address!r}"
