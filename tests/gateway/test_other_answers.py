"""Answers that come before, beside or inside the answer: none is taken for it, and none for the next message's."""

from __future__ import annotations

import base64
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from dispatcher.domain.outcome import OutcomeKind

from .certificates import Certificates, make_certificates
from .conftest import Connect
from .messages import NUMBER, SECRET, TEXT, send, sms
from .stand import Peer, Stand, always, answer, once

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
MEGABYTES = 100 * 1024 * 1024


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize(
    ("final", "kind"), [(answer(200), OutcomeKind.ACCEPTED), (answer(400, b"{}"), OutcomeKind.REJECTED)]
)
@pytest.mark.parametrize(
    "before",
    [
        PROCESSING,
        HINTS,
        PROCESSING * 3 + HINTS,
        b"HTTP/1.1 100 Continue\r\n\r\n" + HINTS,
        HINTS + b"HTTP/1.1 100 C\r\n\r\n",
    ],
    ids=["102", "103", "several", "100 and 103", "103 and 100"],
)
@pytest.mark.parametrize("pause", [(), (0.05,)], ids=["at once", "later"])
def test_interim_answers_are_not_the_answer(
    connect: Connect, before: bytes, pause: tuple[float, ...], final: bytes, kind: OutcomeKind
) -> None:
    with Stand(once(before, *pause, final)) as api:
        outcome = send(connect(api.url)).outcome
    assert outcome.kind is kind


def test_an_interim_answer_alone_says_nothing(connect: Connect) -> None:
    with Stand(once(HINTS, then=Peer.hang)) as api:
        outcome = send(connect(api.url)).outcome
    assert (outcome.kind, outcome.http_status) == (OutcomeKind.IN_DOUBT, 103)


def test_a_final_status_that_breaks_off_after_an_interim_one_stands(connect: Connect) -> None:
    with Stand(once(HINTS, b"HTTP/1.1 200 OK\r\nDate: T", then=Peer.hang)) as api:
        outcome = send(connect(api.url)).outcome
    assert (outcome.kind, outcome.http_status) == (OutcomeKind.ACCEPTED, 200)


def test_interim_answers_without_end_end_with_the_call(connect: Connect) -> None:
    def endless(peer: Peer) -> None:
        peer.receive()
        while True:
            peer.send(HINTS)
            time.sleep(0.001)

    with Stand(endless) as api:
        assert send(connect(api.url)).outcome.kind is OutcomeKind.IN_DOUBT


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("cut", [0, 20, None], ids=["whole", "half of it", "later"])
def test_a_second_answer_is_not_the_next_messages(
    connect: Connect, certificates: Certificates, cut: int | None, *, encrypted: bool
) -> None:
    """The first message gets two answers, on one connection; the API refuses the second message."""
    second = answer(200, b'{"id":"not-yours"}')
    calls: list[int] = []

    def twice(peer: Peer) -> None:
        while peer.receive() is not None:
            calls.append(1)
            if len(calls) > 1:
                peer.send(answer(400, b"{}"))
            elif cut is None:
                peer.send(answer(200, b'{"id":"yours"}'))
                time.sleep(0.05)
                peer.send(second)
            else:
                peer.send(answer(200, b'{"id":"yours"}') + second[: cut or len(second)])
                time.sleep(0.05)
                peer.send(second[cut or len(second) :])

    with Stand(twice, tls=certificates.good if encrypted else None) as api:
        transport = connect(api.url, ca_bundle=str(certificates.authority))
        first = send(transport).outcome
        time.sleep(0.2)
        after = send(transport).outcome
    assert (first.kind, first.provider_id) == (OutcomeKind.ACCEPTED, "yours")
    assert after.kind is OutcomeKind.REJECTED


def test_half_of_a_second_answer_ends_its_connection(connect: Connect) -> None:
    """The other half comes with the next answer, if the next request comes on that connection."""
    second = answer(200, b'{"id":"not-yours"}')

    def half(peer: Peer) -> None:
        rest = b""
        while peer.receive() is not None:
            peer.send(rest + answer(400, b"{}") if api.connections > 1 or rest else answer() + second[:20])
            rest = second[20:]

    with Stand(half) as api:
        transport = connect(api.url)
        assert send(transport).outcome.kind is OutcomeKind.ACCEPTED
        assert send(transport).outcome.kind is OutcomeKind.REJECTED
        assert api.connections == 2


def deflated(size: int, bits: int) -> bytes:
    packing = zlib.compressobj(9, zlib.DEFLATED, bits)
    return packing.compress(bytes(size)) + packing.flush()


@pytest.mark.parametrize(("encoding", "bits"), [("deflate", 15), ("deflate", -15), ("gzip", 31), ("deflate, gzip", 31)])
def test_a_body_that_would_fill_the_memory_does_not(connect: Connect, encoding: str, bits: int) -> None:
    body = deflated(2 * MEGABYTES, bits)
    if "," in encoding:
        packing = zlib.compressobj(9, zlib.DEFLATED, 31)
        body = packing.compress(deflated(2 * MEGABYTES, 15)) + packing.flush()
    with Stand(always(answer(200, body, content_encoding=encoding))) as api:
        transport = connect(api.url)
        tracemalloc.start()
        try:
            outcome = send(transport).outcome
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert outcome.kind is OutcomeKind.ACCEPTED
    assert most < 4 * 1024 * 1024


@pytest.mark.parametrize(("encoding", "bits"), [("deflate", 15), ("deflate", -15), ("gzip", 31), ("X-GZIP", 31)])
def test_a_compressed_body_is_read_though_nobody_asked_for_it(connect: Connect, encoding: str, bits: int) -> None:
    packing = zlib.compressobj(9, zlib.DEFLATED, bits)
    body = packing.compress(b'{"id":"m-9"}') + packing.flush()
    with Stand(always(answer(200, body, content_encoding=encoding))) as api:
        assert send(connect(api.url)).outcome.provider_id == "m-9"


@pytest.mark.parametrize("shift", range(3))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
def test_an_echo_in_base64_keeps_neither_token_nor_number_nor_text(
    connect: Connect, shift: int, encode: Callable[[bytes], bytes]
) -> None:
    def echo(peer: Peer) -> None:
        received = peer.receive()
        assert received is not None
        headers = "\r\n".join(f"{name}: {value}" for name, value in received.headers.items())
        heard = encode(b"-" * shift + headers.encode() + b"\r\n\r\n" + received.body).decode()
        told = {"error": "x", "error_description": f"could not read: {heard}"}
        peer.send(answer(400, json.dumps(told).encode()))

    with Stand(echo) as api:
        outcome = send(connect(api.url), sms()).outcome
    assert outcome.error_description is not None
    for told in (outcome.error_description, outcome.response or ""):
        assert "could not read" in told
        for before in range(3):
            for private in (SECRET, TEXT, NUMBER):
                whole = base64.b64encode(b"\0" * before + private.encode()).decode()
                form = whole[4:-4]
                pieces = [form[at : at + 10] for at in range(len(form) - 9)]
                kept = [
                    piece for piece in pieces if piece in told or piece.translate(str.maketrans("+/", "-_")) in told
                ]
                assert not kept, (private, kept)
