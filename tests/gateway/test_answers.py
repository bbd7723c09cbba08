"""Every answer of the design's table, over real sockets, on every transport."""

from __future__ import annotations

import gzip
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import OutcomeKind

from .conftest import Connect
from .messages import ENDPOINTS, gift, send, sms
from .stand import Peer, Script, Stand, always, answer, dripping, once

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        ((200, 201, 202, 204, 207, 299), OutcomeKind.ACCEPTED),
        ((300, 301, 302, 303, 304, 307, 308), OutcomeKind.MISCONFIGURED),
        ((401,), OutcomeKind.UNAUTHORIZED),
        ((402, 403, 404, 405, 407, 421), OutcomeKind.MISCONFIGURED),
        ((408, 425), OutcomeKind.FAILED),
        ((409,), OutcomeKind.CONFLICT),
        ((400, 406, 410, 411, 412, 413, 414, 415, 417, 418, 422, 428, 431, 451), OutcomeKind.REJECTED),
        ((429,), OutcomeKind.THROTTLED),
        ((500, 501, 502, 503, 504, 505, 507, 511, 520, 521, 522, 524, 599), OutcomeKind.FAILED),
        ((101, 103, 600, 700, 999), OutcomeKind.IN_DOUBT),
    ],
)
def test_each_status_has_its_outcome(connect: Connect, statuses: tuple[int, ...], kind: OutcomeKind) -> None:
    for status in statuses:
        body = b"" if status in (204, 304) or status < 200 else b"{}"
        with Stand(always(answer(status, body))) as api:
            outcome = send(connect(api.url)).outcome
        assert (status, outcome.kind, outcome.http_status) == (status, kind, status)
        assert len(api.received) == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"id":"m-1"}', "m-1"),
        (b'{"messageId":12345678901234567}', "12345678901234567"),
        (b'{"message_id":"x"}', "x"),
        (b'{"data":{"id":"nested"}}', "nested"),
        (b'{"id":null,"data":{"id":9}}', "9"),
        (b'{"id":true}', None),
        (b'{"id":"  "}', None),
        (b'{"id":{"a":1}}', None),
        (b'[{"id":"m-1"}]', None),
        (b"", None),
        (b"OK", None),
        (b'{"id":"m-\\u001b[31m1\\u0000"}', "m-1"),
        (b'{"id":"' + b"x" * 500 + b'"}', "x" * 200),
    ],
)
def test_the_providers_id_is_taken_where_there_is_one(connect: Connect, body: bytes, expected: str | None) -> None:
    with Stand(always(answer(201, body))) as api:
        outcome = send(connect(api.url)).outcome
    assert (outcome.kind, outcome.provider_id) == (OutcomeKind.ACCEPTED, expected)


class TestAnAcceptanceStandsWhateverBecomesOfItsBody:
    """The status line said yes; a body that does not come says nothing else."""

    @pytest.mark.timed
    @pytest.mark.parametrize(
        "script",
        [
            pytest.param(once(HEAD, b'{"id":'), id="cut by FIN"),
            pytest.param(once(HEAD, b'{"id":', 0.05, then=Peer.reset), id="cut by RST"),
            pytest.param(once(HEAD, b'{"id":', then=Peer.hang), id="stalled"),
            pytest.param(once(HEAD, then=Peer.hang), id="stalled before its first byte"),
            pytest.param(once(b"HTTP/1.1 200 OK\r\nDate: T", then=Peer.hang), id="stalled within its headers"),
            pytest.param(once(b"HTTP/1.1 200 OK\r\n"), id="cut before its headers"),
            pytest.param(once(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"), id="header too long"),
            pytest.param(once(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"), id="too many headers"),
            pytest.param(once(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nabcdef"), id="two lengths"),
            pytest.param(once(b"HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\n"), id="negative length"),
            pytest.param(
                once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\nwhat"), id="chunks that are none"
            ),
            pytest.param(
                once(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"), id="gzip not gzip"
            ),
            pytest.param(once(answer(200, b"\xff\xfe\x00{{{")), id="garbage"),
        ],
    )
    def test_accepted(self, connect: Connect, script: Script) -> None:
        with Stand(script) as api:
            sent = send(connect(api.url), gift())
        assert (sent.outcome.kind, sent.outcome.http_status) == (OutcomeKind.ACCEPTED, 200)
        assert sent.latency < timedelta(seconds=0.9)

    @pytest.mark.timed
    def test_a_body_without_end_is_left_at_64_kb(self, connect: Connect) -> None:
        def endless(peer: Peer) -> None:
            peer.receive()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                peer.send(b"x" * 8192)

        with Stand(endless) as api:
            started = time.monotonic()
            outcome = send(connect(api.url)).outcome
            assert time.monotonic() - started < 0.35
        assert outcome.kind is OutcomeKind.ACCEPTED
        assert outcome.response is not None
        assert len(outcome.response.encode()) <= 4096
        assert outcome.response.endswith("… cut at 4 kB")

    def test_a_huge_body_is_not_read_to_its_end_and_its_connection_is_not_kept(self, connect: Connect) -> None:
        with Stand(always(answer(200, b"y" * 1_000_000))) as api:
            transport = connect(api.url)
            assert send(transport).outcome.kind is OutcomeKind.ACCEPTED
            assert send(transport).outcome.kind is OutcomeKind.ACCEPTED
        assert api.connections == 2

    @pytest.mark.timed
    def test_a_body_that_drips_ends_with_the_deadline(self, connect: Connect) -> None:
        with Stand(dripping(answer(200, b'{"id":"m-1"}' + b" " * 500), every=0.005)) as api:
            sent = send(connect(api.url))
        assert sent.outcome.kind is OutcomeKind.ACCEPTED
        assert sent.latency < timedelta(seconds=0.9)

    def test_its_body_is_read_in_chunks_or_compressed_too(self, connect: Connect) -> None:
        chunks = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{"id":\r\n6\r\n"m-1"}\r\n0\r\n\r\n'
        packed = answer(200, gzip.compress(b'{"id":"m-1"}'), content_encoding="gzip")
        for data in (chunks, packed):
            with Stand(always(data)) as api:
                transport = connect(api.url)
                assert send(transport).outcome.provider_id == "m-1"
                assert send(transport).outcome.provider_id == "m-1"
            assert api.connections == 1


def test_a_refusal_stands_although_its_body_stalls(connect: Connect) -> None:
    with Stand(once(b"HTTP/1.1 400 Bad\r\nContent-Length: 90\r\n\r\n{", then=Peer.hang)) as api:
        outcome = send(connect(api.url)).outcome
    assert (outcome.kind, outcome.http_status) == (OutcomeKind.REJECTED, 400)
    assert outcome.response == "{… the answer broke off here"


@pytest.mark.timed
def test_headers_that_drip_end_with_the_deadline(connect: Connect) -> None:
    with Stand(dripping(b"HTTP/1.1 500 Oops\r\n" + b"X-Slow: yes\r\n" * 90, every=0.008)) as api:
        sent = send(connect(api.url))
    assert sent.latency < timedelta(seconds=0.9)
    assert (sent.outcome.kind, sent.outcome.http_status) == (OutcomeKind.FAILED, 500)


@pytest.mark.timed
def test_a_status_line_that_drips_leaves_the_call_in_doubt_at_the_deadline(connect: Connect) -> None:
    with Stand(dripping(b"HTTP/1.1 200 " + b"OK" * 500, every=0.02)) as api:
        sent = send(connect(api.url))
    assert sent.latency < timedelta(seconds=0.9)
    assert (sent.outcome.kind, sent.outcome.error) == (OutcomeKind.IN_DOUBT, "read_timeout")


def test_continue_is_waited_through(connect: Connect) -> None:
    with Stand(always(b"HTTP/1.1 100 Continue\r\n\r\n" + answer())) as api:
        assert send(connect(api.url)).outcome.kind is OutcomeKind.ACCEPTED


def test_the_answer_after_an_interim_one_is_never_taken_for_the_next_messages(connect: Connect) -> None:
    late = b"HTTP/1.1 103 Early Hints\r\n\r\n"

    def script(peer: Peer) -> None:
        peer.receive()
        peer.send(late)
        time.sleep(0.05)
        peer.send(answer(200, b'{"id":"of the first"}'))
        while peer.receive() is not None:
            peer.send(answer(400))

    with Stand(script) as api:
        transport = connect(api.url)
        first, second = send(transport).outcome, send(transport).outcome
    assert first.kind is OutcomeKind.IN_DOUBT or first.provider_id == "of the first"
    assert second.provider_id is None


class TestRetryAfter:
    """Seconds or a moment, on 429 and on failures, always clamped."""

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [("7", 7), ("0", 1), ("86400", 900), ("9" * 5000, 900), (" 12 ", 12), ("soon", None), ("-5", None), ("", None)],
    )
    def test_in_seconds(self, connect: Connect, value: str, seconds: int | None) -> None:
        with Stand(always(answer(429, b"", retry_after=value))) as api:
            outcome = send(connect(api.url)).outcome
        assert outcome.kind is OutcomeKind.THROTTLED
        assert outcome.retry_after == (None if seconds is None else timedelta(seconds=seconds))

    def test_as_a_moment_by_the_answers_own_clock(self, connect: Connect) -> None:
        date = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
        moment = format_datetime(date + timedelta(seconds=42), usegmt=True)
        data = answer(503, b"", retry_after=moment, date=format_datetime(date, usegmt=True))
        with Stand(always(data)) as api:
            outcome = send(connect(api.url)).outcome
        assert (outcome.kind, outcome.retry_after) == (OutcomeKind.FAILED, timedelta(seconds=42))

    def test_as_a_moment_by_our_clock_if_the_answer_has_none(self, connect: Connect) -> None:
        moment = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
        with Stand(always(answer(429, b"", retry_after=moment))) as api:
            wait = send(connect(api.url)).outcome.retry_after
        assert wait is not None
        assert timedelta(seconds=55) < wait <= timedelta(seconds=60)

    def test_is_not_heard_where_it_means_nothing(self, connect: Connect) -> None:
        with Stand(always(answer(400, b"", retry_after="60"))) as api:
            assert send(connect(api.url)).outcome.retry_after is None


def test_the_apis_own_words_are_kept(connect: Connect) -> None:
    body = b'{"error":"insufficient_scope","error_description":"needs\\u001b[2J\\nthe scope write"}'
    with Stand(always(answer(403, body))) as api:
        outcome = send(connect(api.url)).outcome
    assert outcome.error == "insufficient_scope"
    assert outcome.error_description == "needs the scope write"


@pytest.mark.parametrize("name", ["message", "Message"])
def test_the_gateways_own_words_are_kept_in_either_spelling(connect: Connect, name: str) -> None:
    with Stand(always(answer(403, f'{{"{name}":"Missing Authentication Token"}}'.encode()))) as api:
        assert send(connect(api.url)).outcome.error_description == "Missing Authentication Token"


@pytest.mark.parametrize("status", [200, 403, 504])
def test_the_ids_by_which_the_provider_finds_a_call_are_kept(connect: Connect, status: int) -> None:
    head = {
        "X-AMZN-RequestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "x-amz-apigw-id": "NEVERMORE=",
        "x-amzn-errortype": "AccessDeniedException",
        "X-Request-Id": f"{'y' * 300} {sms().recipient}",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    data = f"HTTP/1.1 {status} So\r\n{lines}Content-Length: 2\r\n\r\n{{}}".encode()
    with Stand(always(data)) as api:
        outcome = send(connect(api.url)).outcome
    assert dict(outcome.request_ids) == {
        "x-amzn-RequestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "x-amz-apigw-id": "NEVERMORE=",
        "x-amzn-ErrorType": "AccessDeniedException",
        "x-request-id": "y" * 128,
    }


def test_an_id_never_holds_the_recipient(connect: Connect) -> None:
    data = answer(403, b"{}", x_request_id=f"call-{sms().recipient}-1")
    with Stand(always(data)) as api:
        ((_, value),) = send(connect(api.url)).outcome.request_ids
    assert "491570006" not in value


@pytest.mark.timed
def test_each_channel_waits_as_long_as_its_endpoint_says(connect: Connect) -> None:
    seconds = {Channel.SMS: 0.2, Channel.GIFT: 0.9}
    endpoints = {
        channel: replace(ENDPOINTS[channel], read_timeout=timedelta(seconds=wait)) for channel, wait in seconds.items()
    }
    with Stand(always(b"")) as api:
        transport = connect(api.url, endpoints=endpoints)
        for message in (sms(), gift()):
            sent = send(transport, message)
            assert sent.outcome.error == "read_timeout"
            assert seconds[message.channel] <= sent.latency.total_seconds() < seconds[message.channel] + 0.4


def test_a_redirect_is_not_followed(connect: Connect) -> None:
    with Stand(always(answer())) as elsewhere:
        data = answer(307, b"", location=f"{elsewhere.url}/sendSMS?secret=1")
        with Stand(always(data)) as api:
            outcome = send(connect(api.url)).outcome
        assert elsewhere.connections == 0
    assert (outcome.kind, outcome.error) == (OutcomeKind.MISCONFIGURED, "redirect")
    assert outcome.error_description == "redirects to 127.0.0.1; it was not followed"


def test_cookies_are_not_kept(connect: Connect) -> None:
    with Stand(always(answer(200, b"{}", set_cookie="session=abc; Path=/"))) as api:
        transport = connect(api.url)
        send(transport)
        send(transport, sms())
    assert all("cookie" not in received.headers for received in api.received)
