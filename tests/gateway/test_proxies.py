"""A proxy that is configured is used, the environment's never; what a proxy refuses has not been sent."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from dispatcher.domain.errors import SettingsError
from dispatcher.domain.outcome import OutcomeKind

from .certificates import Certificates
from .conftest import Connect
from .messages import NUMBER, SECRET, TEXT, send
from .stand import Peer, Script, Stand, always, answer, once


def tunnel(peer: Peer) -> None:
    """Be a proxy that lets CONNECT through."""
    received = peer.receive()
    assert received is not None
    assert received.method == "CONNECT"
    host, port = received.target.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as upstream:
        peer.send(b"HTTP/1.1 200 Connection established\r\nVia: tests\r\n\r\n")
        back = threading.Thread(target=_pump, args=(upstream, peer.socket), daemon=True)
        back.start()
        _pump(peer.socket, upstream)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def poisoned_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment that would send every call astray, and replace its token, if anything heeded it."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        for spelling in (name, name.lower()):
            monkeypatch.setenv(spelling, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login intruder password hunter2\ndefault login intruder password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tmp_path / "no such bundle"))


@pytest.mark.usefixtures("poisoned_environment")
def test_the_environments_proxies_netrc_and_bundles_are_ignored(connect: Connect, certificates: Certificates) -> None:
    for tls in (None, certificates.good):
        with Stand(always(answer()), tls=tls) as api:
            outcome = send(connect(api.url, ca_bundle=str(certificates.authority))).outcome
        assert outcome.kind is OutcomeKind.ACCEPTED
        assert api.received[0].headers["authorization"] == f"Bearer {SECRET}"


def test_a_proxy_carries_https_through_a_tunnel_and_sees_nothing_of_it(
    connect: Connect, certificates: Certificates
) -> None:
    with Stand(always(answer()), tls=certificates.good) as api, Stand(tunnel) as proxy:
        transport = connect(
            api.url, proxy=f"http://someone:hunter2@127.0.0.1:{proxy.port}", ca_bundle=str(certificates.authority)
        )
        for _ in range(3):
            assert send(transport).outcome.kind is OutcomeKind.ACCEPTED
    assert (api.connections, proxy.connections, len(proxy.received)) == (1, 1, 1)
    (asked,) = proxy.received
    assert asked.headers["proxy-authorization"].startswith("Basic ")
    assert not {"authorization", "idempotency-key"} & asked.headers.keys()
    assert "proxy-authorization" not in api.received[0].headers


def test_a_proxy_may_itself_be_reached_by_tls(connect: Connect, certificates: Certificates) -> None:
    with Stand(always(answer()), tls=certificates.good) as api, Stand(tunnel, tls=certificates.good) as proxy:
        transport = connect(api.url, proxy=proxy.url, ca_bundle=str(certificates.authority))
        for _ in range(2):
            assert send(transport).outcome.kind is OutcomeKind.ACCEPTED
    assert proxy.connections == 1


def test_a_proxy_carries_plain_http_too(connect: Connect) -> None:
    with Stand(always(answer())) as proxy:
        outcome = send(connect("http://api.invalid", proxy=f"http://127.0.0.1:{proxy.port}")).outcome
    assert outcome.kind is OutcomeKind.ACCEPTED
    assert proxy.received[0].target == "http://api.invalid/sendSMS"


@pytest.mark.timed
@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(always(b"HTTP/1.1 403 Forbidden\r\n\r\n"), id="403"),
        pytest.param(always(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), id="407"),
        pytest.param(always(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), id="502"),
        pytest.param(always(b"what?\r\n\r\n"), id="garbage"),
        pytest.param(once(then=Peer.reset), id="RST"),
        pytest.param(once(), id="FIN"),
        pytest.param(once(then=Peer.hang), id="stall"),
    ],
)
def test_a_proxy_that_refuses_a_tunnel_has_sent_nothing(
    connect: Connect, certificates: Certificates, refusal: Script
) -> None:
    with Stand(always(answer()), tls=certificates.good) as api, Stand(refusal) as proxy:
        transport = connect(
            api.url, proxy=f"http://someone:hunter2@127.0.0.1:{proxy.port}", ca_bundle=str(certificates.authority)
        )
        sent = send(transport)
    assert (sent.outcome.kind, sent.outcome.error) == (OutcomeKind.NOT_SENT, "proxy")
    assert sent.latency.total_seconds() < 0.6
    assert api.connections == 0
    shown = repr(sent) + (sent.outcome.error_description or "")
    assert not any(private in shown for private in ("hunter2", "someone", SECRET, NUMBER, TEXT))


def test_a_tunnel_to_a_certificate_that_is_not_good_is_a_configuration_fault(
    connect: Connect, certificates: Certificates
) -> None:
    with Stand(always(answer()), tls=certificates.untrusted) as api, Stand(tunnel) as proxy:
        transport = connect(api.url, proxy=f"http://127.0.0.1:{proxy.port}", ca_bundle=str(certificates.authority))
        outcome = send(transport).outcome
    assert (outcome.kind, outcome.error) == (OutcomeKind.MISCONFIGURED, "certificate")


def test_an_answer_lost_within_a_tunnel_is_in_doubt(connect: Connect, certificates: Certificates) -> None:
    with Stand(once(), tls=certificates.good) as api, Stand(tunnel) as proxy:
        transport = connect(api.url, proxy=f"http://127.0.0.1:{proxy.port}", ca_bundle=str(certificates.authority))
        outcome = send(transport).outcome
    assert (outcome.kind, outcome.error) == (OutcomeKind.IN_DOUBT, "reset_after_send")


def test_a_proxy_that_is_down_has_sent_nothing(connect: Connect) -> None:
    for url in ("http://api.invalid", "https://api.invalid"):
        outcome = send(connect(url, proxy="http://127.0.0.1:1")).outcome
        assert (outcome.kind, outcome.error) == (OutcomeKind.NOT_SENT, "proxy")


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"base_url": "ftp://api.example.com"}, "API_BASE_URL"),
        ({"base_url": "api.example.com"}, "API_BASE_URL"),
        ({"base_url": ""}, "API_BASE_URL"),
        ({"proxy": "socks5://someone:hunter2@127.0.0.1:1080"}, "PROXY"),
        ({"proxy": "someone:hunter2@127.0.0.1"}, "PROXY"),
        ({"ca_bundle": "/no/such/bundle.pem"}, "CA_BUNDLE"),
        ({"ca_bundle": __file__}, "CA_BUNDLE"),
    ],
)
def test_a_setting_that_cannot_work_is_named_at_once(connect: Connect, settings: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError, match=name) as raised:
        connect(**({"base_url": "https://api.example.com"} | settings))
    assert "hunter2" not in str(raised.value)
