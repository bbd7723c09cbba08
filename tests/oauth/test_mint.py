"""The token call itself, over real sockets, with everything that can happen to it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dispatcher.oauth import Mint
from dispatcher.oauth.token import Credentials, FailureKind, Minted, MintFailed

from .conftest import CLIENT_ID, SECRET, credentials_for
from .endpoint import TOKEN_PREFIX, Reply, TokenEndpoint, always, granting, refusing


def mint(credentials: Credentials, *, deadline: float = 5, **fields: Any) -> Minted | MintFailed:
    return Mint(credentials=credentials, deadline=timedelta(seconds=deadline), **fields)()


def failed(outcome: Minted | MintFailed) -> MintFailed:
    assert isinstance(outcome, MintFailed)
    return outcome


def test_the_call_is_as_the_api_documents_it(endpoint: TokenEndpoint, credentials: Credentials) -> None:
    outcome = mint(credentials)
    assert isinstance(outcome, Minted)
    (call,) = endpoint.calls
    assert (call.method, call.path) == ("POST", "/oauth2/token")
    assert call.form == {"grant_type": ["client_credentials"], "scope": ["gifting:send write"]}
    assert call.pair == f"{CLIENT_ID}:{SECRET}"


def test_without_scopes_none_are_asked_for(endpoint: TokenEndpoint) -> None:
    endpoint.answer = granting(scope="read")
    outcome = mint(credentials_for(endpoint, scopes=frozenset()))
    assert isinstance(outcome, Minted)
    assert outcome.scopes == {"read"}
    assert "scope" not in endpoint.calls[0].form


def test_the_time_of_the_call_is_told(endpoint: TokenEndpoint, credentials: Credentials) -> None:
    endpoint.answer = granting(delay=0.2)
    outcome = mint(credentials)
    assert isinstance(outcome, Minted)
    assert timedelta(seconds=0.2) <= outcome.taken < timedelta(seconds=2)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(endpoint: TokenEndpoint, credentials: Credentials, status: int) -> None:
    endpoint.answer = refusing(status, Location=endpoint.url + "/elsewhere")
    assert failed(mint(credentials)).kind is FailureKind.CONFIGURATION
    assert len(endpoint.calls) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(raw=b""),
        Reply(raw=b"SSH-2.0-OpenSSH_9.6\r\n"),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"),
        Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"),
        Reply(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n"),
        Reply(body=b"<html>"),
        Reply(status=204),
        Reply(status=500, body=b"x" * 10_000_000),
    ],
)
def test_garbage_is_a_failure_that_may_pass(endpoint: TokenEndpoint, credentials: Credentials, reply: Reply) -> None:
    endpoint.answer = always(reply)
    assert failed(mint(credentials)).kind is FailureKind.TRANSIENT


def test_an_endless_body_is_cut(endpoint: TokenEndpoint, credentials: Credentials) -> None:
    endpoint.answer = always(Reply(body=b"x" * 1_000_000, headers={"Content-Length": str(10**12)}))
    assert "64 KiB" in failed(mint(credentials)).reason


DRIPS = {
    "headers": Reply(raw=b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 50, drip=0.05),
    "body": Reply(body=b"{" + b" " * 500, drip=0.05),
    "silence": Reply(delay=5),
}


@pytest.mark.timed
@pytest.mark.parametrize("reply", DRIPS.values(), ids=DRIPS.keys())
def test_no_answer_outlasts_the_deadline(endpoint: TokenEndpoint, credentials: Credentials, reply: Reply) -> None:
    endpoint.answer = always(reply)
    before = threading.active_count()
    started = time.monotonic()
    outcome = failed(mint(credentials, deadline=0.5))
    assert outcome.kind is FailureKind.TRANSIENT
    assert time.monotonic() - started < 0.8
    for _ in range(100):
        if not [each for each in threading.enumerate() if each.name == "dispatcher-mint"]:
            break
        time.sleep(0.02)
    else:
        pytest.fail(f"the thread that was left behind did not end ({before} threads before)")


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/oauth2/token"
    credentials = Credentials(token_url=url, client_id="a", client_secret=SECRET, scopes=frozenset())
    outcome = failed(mint(credentials))
    assert outcome.kind is FailureKind.TRANSIENT
    assert "ConnectionRefusedError" in outcome.reason


def test_a_host_that_does_not_exist() -> None:
    credentials = Credentials(
        token_url="http://no-such-host.invalid/", client_id="a", client_secret=SECRET, scopes=frozenset()
    )
    assert failed(mint(credentials)).kind is FailureKind.TRANSIENT


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://example.com", "http://", "http://[::1", "http://a b/"])
def test_a_url_that_is_none_waits_for_a_person(url: str) -> None:
    credentials = Credentials(token_url=url, client_id="a", client_secret=SECRET, scopes=frozenset())
    outcome = failed(mint(credentials))
    assert outcome.kind is FailureKind.CONFIGURATION
    assert "DISPATCHER_API_BASE_URL" in outcome.reason


def test_the_environments_proxies_and_netrc_are_not_used(
    endpoint: TokenEndpoint, credentials: Credentials, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert isinstance(mint(credentials), Minted)
    assert endpoint.calls[0].pair == f"{CLIENT_ID}:{SECRET}"


def test_a_proxy_that_is_set_is_used(endpoint: TokenEndpoint) -> None:
    proxy = endpoint.url.removesuffix("/oauth2/token")
    outcome = mint(credentials_for(endpoint, token_url="http://api.invalid/oauth2/token"), proxy=proxy)
    assert isinstance(outcome, Minted)
    assert endpoint.calls[0].path == "http://api.invalid/oauth2/token"


def test_a_missing_ca_bundle_waits_for_a_person(endpoint: TokenEndpoint) -> None:
    url = endpoint.url.replace("http:", "https:")
    outcome = failed(mint(credentials_for(endpoint, token_url=url), ca_bundle="/no/such/file.pem"))
    assert outcome.kind is FailureKind.CONFIGURATION
    assert "DISPATCHER_CA_BUNDLE" in outcome.reason


def test_tls_to_a_plain_port_is_a_failure(endpoint: TokenEndpoint) -> None:
    url = endpoint.url.replace("http:", "https:")
    assert failed(mint(credentials_for(endpoint, token_url=url), deadline=2)).kind is FailureKind.TRANSIENT


def test_only_a_trusted_certificate_gets_the_secret(endpoint: TokenEndpoint, tmp_path: Path) -> None:
    bundle = _serve_tls(endpoint, tmp_path)
    credentials = credentials_for(endpoint, token_url=endpoint.url.replace("http:", "https:"))
    outcome = failed(mint(credentials))
    assert outcome.kind is FailureKind.CONFIGURATION
    assert "certificate" in outcome.reason
    assert endpoint.calls == []
    trusted = mint(credentials, ca_bundle=str(bundle))
    assert isinstance(trusted, Minted)
    assert trusted.value == f"{TOKEN_PREFIX}1"


def _serve_tls(endpoint: TokenEndpoint, folder: Path) -> Path:
    """Give the endpoint a self-signed certificate for 127.0.0.1; returns the file that makes it trusted."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "token endpoint")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file = folder / "key.pem"
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key_file)
    endpoint.server.socket = context.wrap_socket(endpoint.server.socket, server_side=True)
    return pem
