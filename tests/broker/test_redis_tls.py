"""TLS to Redis is verified, by Celery's connections as by our own: nothing is said to a server that proves nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError
from redis import RedisError

from dispatcher.broker import make_app, make_intake_app, make_ringing_app
from dispatcher.broker.connecting import RedisServer, connect
from dispatcher.domain.errors import SettingsError
from dispatcher.domain.redis_address import parse_redis_url
from dispatcher.settings import load_settings
from dispatcher.wiring import Services, redis_server
from tests.gateway.certificates import Certificates, make_certificates
from tests.gateway.stand import Stand, always
from tests.servers import free_port, stoppable_redis

WAIT = timedelta(seconds=2)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def by_us(server: RedisServer) -> None:
    client = connect(server, connect_timeout=WAIT, reply_timeout=WAIT)
    try:
        assert client.ping()
    finally:
        client.close()


def by_celery(make: Callable[..., object]) -> Callable[[RedisServer], None]:
    def call(server: RedisServer) -> None:
        connection = make(server).connection_for_write()  # type: ignore[attr-defined]
        try:
            connection.ensure_connection(max_retries=1)
            assert connection.default_channel.client.ping()
        finally:
            connection.release()

    return call


CALLS = {
    "by_us": by_us,
    "by_a_worker": by_celery(lambda server: make_app(server, time_limit=60)),
    "by_the_intake": by_celery(make_intake_app),
    "by_a_producer": by_celery(make_ringing_app),
}


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Callable[[RedisServer], None]:
    """Return each of the ways in which Redis is called."""
    return CALLS[request.param]


def at(port: int, **files: str) -> RedisServer:
    return RedisServer(address=parse_redis_url(f"rediss://:hush@127.0.0.1:{port}/0"), **files)


@pytest.mark.parametrize("which", ["untrusted", "expired", "other_host"])
def test_a_server_that_proves_nothing_hears_no_password(
    call: Callable[[RedisServer], None], certificates: Certificates, which: str
) -> None:
    with Stand(always(b"+OK\r\n"), tls=getattr(certificates, which)) as server:
        with pytest.raises((RedisError, OperationalError, OSError)):
            call(at(server.port, ca_bundle=str(certificates.authority)))
        time.sleep(0.05)
        assert server.bytes_seen == 0


def test_the_systems_authorities_do_not_vouch_for_a_private_one(
    call: Callable[[RedisServer], None], certificates: Certificates
) -> None:
    with Stand(always(b"+OK\r\n"), tls=certificates.good) as server:
        with pytest.raises((RedisError, OperationalError, OSError)):
            call(at(server.port))
        assert server.bytes_seen == 0


@contextmanager
def redis_with_tls(program: str, certificates: Certificates, *, clients: str) -> Iterator[int]:
    good = str(certificates.authority.with_name("good.pem"))
    arguments = ["--tls-cert-file", good, "--tls-key-file", good, "--tls-ca-cert-file", str(certificates.authority)]
    port = free_port()
    arguments += ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", clients, "--requirepass", "hush"]
    with stoppable_redis(program, *arguments, port=port) as server:
        yield server.port


def test_a_private_authority_is_trusted_by_setting(
    call: Callable[[RedisServer], None], certificates: Certificates, redis_server: str
) -> None:
    with redis_with_tls(redis_server, certificates, clients="no") as port:
        call(at(port, ca_bundle=str(certificates.authority)))


def test_a_client_shows_its_certificate(
    call: Callable[[RedisServer], None], certificates: Certificates, redis_server: str
) -> None:
    authority, own = str(certificates.authority), str(certificates.authority.with_name("good.pem"))
    with redis_with_tls(redis_server, certificates, clients="yes") as port:
        with pytest.raises((RedisError, OperationalError, OSError)):
            call(at(port, ca_bundle=authority))
        call(at(port, ca_bundle=authority, client_cert=own))
        call(at(port, ca_bundle=authority, client_cert=own, client_key=own))


def test_the_settings_reach_every_connection(certificates: Certificates) -> None:
    own = str(certificates.authority.with_name("good.pem"))
    settings = load_settings(
        redis_url="rediss://queue.example", redis_ca_bundle=str(certificates.authority), redis_client_cert=own
    )
    server = redis_server(settings)
    assert (server.ca_bundle, server.client_cert, server.address.tls) == (str(certificates.authority), own, True)
    arguments = Services(settings).redis.connection_pool.connection_kwargs
    assert (arguments["ssl_ca_certs"], arguments["ssl_certfile"]) == (server.ca_bundle, own)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"redis_ca_bundle": "/nowhere.pem"}, "DISPATCHER_REDIS_CA_BUNDLE: cannot read /nowhere.pem"),
        ({"redis_ca_bundle": __file__}, "DISPATCHER_REDIS_CA_BUNDLE: .* cannot be used"),
        ({"redis_client_cert": "/nowhere.pem"}, "DISPATCHER_REDIS_CLIENT_CERT: cannot read"),
        ({"redis_client_cert": __file__}, "DISPATCHER_REDIS_CLIENT_CERT: .* cannot be used"),
        ({"redis_client_key": __file__}, "DISPATCHER_REDIS_CLIENT_KEY: is set without"),
        ({"redis_url": "redis://queue", "redis_ca_bundle": __file__}, "DISPATCHER_REDIS_URL is not rediss://"),
    ],
)
def test_a_file_that_is_no_use_is_named(given: dict[str, str], says: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=says):
        redis_server(load_settings(home=tmp_path, **{"redis_url": "rediss://queue.example", **given}))
