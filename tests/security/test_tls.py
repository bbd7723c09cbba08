"""TLS cannot be switched off, and whatever speaks to the API refuses a server that is not vouched for."""

from __future__ import annotations

import ast
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import dispatcher
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.gateway.aio_line import async_tls_context
from dispatcher.gateway.connection import tls_context
from dispatcher.oauth import Credentials, Mint
from dispatcher.oauth.token import FailureKind, Minted
from tests.gateway.certificates import Certificates, make_certificates
from tests.gateway.messages import TOKEN, TRANSPORTS, send
from tests.gateway.stand import Peer, Stand, always, answer

PACKAGE = Path(dispatcher.__file__).parent
TOKEN_ANSWER = b'{"access_token":"t","token_type":"Bearer","expires_in":3600}'

PATIENT = timedelta(seconds=4)
"""A deadline that no busy machine misses: here a call fails for what the server shows, never for its time."""

Call = Callable[[str, str], bool]
"""Calls the API at a URL, trusting a bundle, and says whether it went well."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def mint(url: str, bundle: str) -> bool:
    credentials = Credentials(token_url=f"{url}/t", client_id="me", client_secret="hush", scopes=frozenset())
    found = Mint(credentials=credentials, ca_bundle=bundle, deadline=timedelta(seconds=5))()
    assert isinstance(found, Minted) or found.kind in (FailureKind.CONFIGURATION, FailureKind.TRANSIENT)
    return isinstance(found, Minted)


def sends(factory: Callable[..., object]) -> Call:
    def call(url: str, bundle: str) -> bool:
        transport = factory(url, ca_bundle=bundle, connect_timeout=PATIENT, read_timeout=PATIENT)
        try:
            return send(transport).outcome.kind is OutcomeKind.ACCEPTED  # type: ignore[arg-type]
        finally:
            transport.close()  # type: ignore[attr-defined]

    return call


def probes(factory: Callable[..., object]) -> Call:
    def call(url: str, bundle: str) -> bool:
        transport = factory(url, ca_bundle=bundle, connect_timeout=PATIENT, read_timeout=PATIENT)
        try:
            return transport.probe(TOKEN).kind is OutcomeKind.ACCEPTED  # type: ignore[attr-defined]
        finally:
            transport.close()  # type: ignore[attr-defined]

    return call


CALLS: dict[str, Call] = {"mint": mint} | {
    f"{what.__name__} by {factory.__name__}": what(factory) for factory in TRANSPORTS for what in (sends, probes)
}


@pytest.fixture(params=CALLS, ids=lambda name: name.replace(" ", "_"))
def call(request: pytest.FixtureRequest) -> Call:
    """Return each of the ways in which the API is called."""
    return CALLS[request.param]


@pytest.mark.parametrize("which", ["untrusted", "expired", "other_host"])
def test_a_certificate_that_proves_nothing_gets_nothing(call: Call, certificates: Certificates, which: str) -> None:
    with Stand(always(answer(200, TOKEN_ANSWER)), tls=getattr(certificates, which)) as api:
        assert not call(api.url, str(certificates.authority))
        assert api.bytes_seen == 0, "neither secret, token nor message may have left"


def test_the_public_authorities_do_not_vouch_for_a_private_one(call: Call, certificates: Certificates) -> None:
    with Stand(always(answer(200, TOKEN_ANSWER)), tls=certificates.good) as api:
        assert not call(api.url, "")
        assert api.bytes_seen == 0
        assert call(api.url, str(certificates.authority))


def old_tls(certificates: Certificates) -> ssl.SSLContext:
    """Return a server that speaks TLS 1.1 at the most, as its owner once set it up."""
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificates.authority.with_name("good.pem"))
    served.set_ciphers("ALL:@SECLEVEL=0")
    served.minimum_version = ssl.TLSVersion.TLSv1
    served.maximum_version = ssl.TLSVersion.TLSv1_1
    return served


def spoken_to_by_one_who_takes_anything(port: int) -> str | None:
    lax = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    lax.check_hostname, lax.verify_mode, lax.minimum_version = False, ssl.CERT_NONE, ssl.TLSVersion.TLSv1
    lax.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", port)) as plain, lax.wrap_socket(plain) as spoken:
        return spoken.version()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_before_1_2_is_refused(call: Call, certificates: Certificates) -> None:
    with Stand(Peer.hang, tls=old_tls(certificates)) as api:
        assert spoken_to_by_one_who_takes_anything(api.port) in ("TLSv1", "TLSv1.1")
        assert not call(api.url, str(certificates.authority))
        assert api.bytes_seen == 0


@pytest.mark.parametrize("make", [tls_context, async_tls_context])
def test_the_contexts_verify(make: Callable[[str | None], ssl.SSLContext]) -> None:
    context = make(None)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def switches_off() -> Iterator[str]:
    """Yield every place in the package that could switch verification off."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            for what in _loosened(node):
                yield f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', '?')}: {what}"


_LOOSE = re.compile(
    r"CERT_NONE|CERT_OPTIONAL|_create_unverified_context|disable_warnings|PROTOCOL_TLSv1|SSLv\d|fingerprint="
)
_MUST_HOLD = {"verify", "check_hostname", "verify_ssl", "ssl", "assert_hostname", "verify_mode", "cert_reqs"}


def _loosened(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) if _LOOSE.search(name):
            yield name
        case ast.Constant(value="CERT_NONE" | "CERT_OPTIONAL"):
            yield "a word for no verification"
        case ast.keyword(arg=str(name), value=ast.Constant(value=False | 0 | None)) if name in _MUST_HOLD:
            yield f"{name} given as a constant that verifies nothing"
        case ast.Assign(targets=[ast.Attribute(attr=name)], value=ast.Constant(value=False | 0 | None)):
            if name in _MUST_HOLD:
                yield f"{name} set to a constant that verifies nothing"
        case ast.Assign(targets=[ast.Attribute(attr="verify_mode"), *_]):
            yield "verify_mode set by hand"


def test_no_code_can_switch_verification_off() -> None:
    assert list(switches_off()) == []


@pytest.mark.parametrize(
    "code",
    [
        "requests.get(url, verify=False)",
        "context.check_hostname = False",
        "context.verify_mode = ssl.CERT_NONE",
        "context.verify_mode = mode",
        "aiohttp.TCPConnector(ssl=False)",
        "ssl._create_unverified_context()",
        "create_urllib3_context(cert_reqs='CERT_NONE')",
    ],
)
def test_that_search_would_find_it(code: str) -> None:
    assert any(what for node in ast.walk(ast.parse(code)) for what in _loosened(node))


def test_no_setting_is_for_that() -> None:
    from dispatcher.settings import known_names

    assert [name for name in known_names() if re.search("VERIFY|INSECURE|SSL|TLS", name)] == []
