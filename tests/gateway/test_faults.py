"""Every fault of the measured table (research/engineering.md, section 7), over real sockets, on every transport."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.ports import Transport

from .certificates import Certificates
from .conftest import Connect
from .messages import ENDPOINTS, TOKEN, gather, gift, send, sms
from .stand import Peer, Script, Stand, always, answer, once


def named(outcome: Outcome) -> tuple[OutcomeKind, str | None]:
    return outcome.kind, outcome.error


class TestNoByteLeft:
    """Nothing can have happened, so it is not sent, whatever the client's exception is called."""

    def test_a_name_that_does_not_resolve(self, connect: Connect) -> None:
        outcome = send(connect("http://nowhere.invalid")).outcome
        assert named(outcome) == (OutcomeKind.NOT_SENT, "dns")

    def test_a_port_where_nobody_listens(self, connect: Connect) -> None:
        with Stand(always(answer())) as gone:
            url = gone.url
        assert named(send(connect(url)).outcome) == (OutcomeKind.NOT_SENT, "refused")

    @pytest.mark.timed
    def test_a_host_that_does_not_answer_the_connect(self, connect: Connect) -> None:
        with full_backlog() as port:
            sent = send(connect(f"http://127.0.0.1:{port}"))
        assert named(sent.outcome) == (OutcomeKind.NOT_SENT, "connect_timeout")
        assert timedelta(seconds=0.3) < sent.latency < timedelta(seconds=0.6)

    @pytest.mark.timed
    def test_a_tls_handshake_that_stalls(self, connect: Connect, certificates: Certificates) -> None:
        with Stand(Peer.hang) as api:
            sent = send(secure(connect, api, certificates))
        assert named(sent.outcome) == (OutcomeKind.NOT_SENT, "tls_handshake")
        assert sent.latency < timedelta(seconds=0.6)

    @pytest.mark.timed
    def test_a_tls_handshake_that_drips(self, connect: Connect, certificates: Certificates) -> None:
        def drip(peer: Peer) -> None:
            for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 500:  # a long handshake record, one byte at a time
                peer.send(bytes([byte]))
                time.sleep(0.02)

        with Stand(drip) as api:
            sent = send(secure(connect, api, certificates))
        assert named(sent.outcome) == (OutcomeKind.NOT_SENT, "tls_handshake")
        assert sent.latency < timedelta(seconds=0.6)

    @pytest.mark.parametrize("end", [Peer.reset, lambda peer: peer.socket.close()], ids=["RST", "FIN"])
    def test_a_tls_handshake_that_is_broken_off(
        self, connect: Connect, certificates: Certificates, end: Script
    ) -> None:
        def script(peer: Peer) -> None:
            peer.socket.recv(1)
            end(peer)

        with Stand(script) as api:
            outcome = send(secure(connect, api, certificates)).outcome
        assert named(outcome) == (OutcomeKind.NOT_SENT, "tls_handshake")

    def test_tls_to_a_port_that_speaks_plain_http(self, connect: Connect, certificates: Certificates) -> None:
        def plain(peer: Peer) -> None:
            peer.socket.recv(10)
            peer.send(answer(400))

        with Stand(plain) as api:
            outcome = send(secure(connect, api, certificates)).outcome
        assert named(outcome) == (OutcomeKind.NOT_SENT, "tls_handshake")

    @pytest.mark.parametrize("which", ["untrusted", "expired", "other_host"])
    def test_a_certificate_that_is_not_good_is_a_configuration_fault(
        self, connect: Connect, certificates: Certificates, which: str
    ) -> None:
        with Stand(always(answer()), tls=getattr(certificates, which)) as api:
            outcome = send(secure(connect, api, certificates)).outcome
        assert named(outcome) == (OutcomeKind.MISCONFIGURED, "certificate")
        assert outcome.error_description
        assert api.received == []

    def test_a_lease_that_ran_out_while_it_waited_keeps_the_message_here(self, connect: Connect) -> None:
        with Stand(always(answer())) as api:
            outcome = send(connect(api.url), sms(lease=timedelta(seconds=-1))).outcome
        assert named(outcome) == (OutcomeKind.NOT_SENT, "lease_over")
        assert api.connections == 0

    @pytest.mark.timed
    def test_a_lease_that_runs_out_while_it_connects_keeps_the_message_here(self, connect: Connect) -> None:
        with full_backlog() as port:
            transport = connect(f"http://127.0.0.1:{port}", connect_timeout=timedelta(seconds=3))
            sent = send(transport, sms(lease=timedelta(seconds=0.3)))
        assert sent.outcome.kind is OutcomeKind.NOT_SENT
        assert sent.latency < timedelta(seconds=0.6)


class TestBytesLeft:
    """Nobody knows what became of them."""

    @pytest.mark.timed
    @pytest.mark.parametrize(
        ("script", "error"),
        [
            pytest.param(once(then=Peer.reset), "reset_after_send", id="RST after the request"),
            pytest.param(once(), "reset_after_send", id="FIN after the request"),
            pytest.param(once(then=Peer.hang), "read_timeout", id="no answer"),
            pytest.param(once(b"HTTP/1.1 2"), "garbage", id="FIN within the status line"),
            pytest.param(once(b"HTTP/1.1 2", then=Peer.hang), "read_timeout", id="stall within the status line"),
            pytest.param(once(b"SSH-2.0-OpenSSH_9.6\r\n"), "garbage", id="another protocol"),
            pytest.param(once(b"HTTP/1.1 OK 200\r\n\r\n"), "garbage", id="status that is no number"),
            pytest.param(once(b"\x00" * 200), "garbage", id="zeros"),
            pytest.param(once(b"y" * 100_000), "garbage", id="status line too long"),
        ],
    )
    def test_is_in_doubt(self, connect: Connect, script: Script, error: str) -> None:
        with Stand(script) as api:
            sent = send(connect(api.url), gift())
            assert len(api.received) == 1
            assert named(sent.outcome) == (OutcomeKind.IN_DOUBT, error)
            assert sent.outcome.http_status is None
            assert sent.latency < timedelta(seconds=0.9)
            time.sleep(0.05)
            assert len(api.received) == 1  # and nothing below tried again

    @pytest.mark.parametrize(
        ("script", "error"),
        [
            pytest.param(once(then=Peer.reset), "reset_after_send", id="RST"),
            pytest.param(once(), "reset_after_send", id="FIN without TLS's goodbye"),
            pytest.param(once(then=Peer.hang), "read_timeout", id="no answer"),
        ],
    )
    def test_is_in_doubt_over_tls_too(
        self, connect: Connect, certificates: Certificates, script: Script, error: str
    ) -> None:
        with Stand(script, tls=certificates.good) as api:
            outcome = send(secure(connect, api, certificates)).outcome
        assert named(outcome) == (OutcomeKind.IN_DOUBT, error)
        assert len(api.received) == 1

    def test_a_request_that_nobody_reads(self, connect: Connect) -> None:
        """The system took the bytes, so they left as far as we can know."""
        with Stand(lambda _: time.sleep(1.2)) as api:
            outcome = send(connect(api.url)).outcome
        assert named(outcome) == (OutcomeKind.IN_DOUBT, "read_timeout")


class TestKeptConnections:
    """A kept connection may be closed by the server at any moment, and a close that crosses a request is in doubt."""

    def test_are_reused(self, connect: Connect, certificates: Certificates) -> None:
        for tls in (None, certificates.good):
            with Stand(always(answer()), tls=tls) as api:
                transport = connect(api.url, ca_bundle=str(certificates.authority))
                for _ in range(5):
                    assert send(transport).outcome.kind is OutcomeKind.ACCEPTED
            assert (api.connections, len(api.received)) == (1, 5)

    def test_are_dropped_when_the_server_has_closed_them(self, connect: Connect) -> None:
        with Stand(once(answer())) as api:
            transport = connect(api.url)
            for _ in range(3):
                assert send(transport).outcome.kind is OutcomeKind.ACCEPTED
                time.sleep(0.05)
        assert api.connections == 3

    def test_are_in_doubt_when_the_close_crosses_the_request(self, connect: Connect) -> None:
        def closing_on_the_second(peer: Peer) -> None:
            peer.receive()
            peer.send(answer())
            peer.receive()

        with Stand(closing_on_the_second) as api:
            transport = connect(api.url)
            assert send(transport).outcome.kind is OutcomeKind.ACCEPTED
            assert named(send(transport).outcome) == (OutcomeKind.IN_DOUBT, "reset_after_send")
            assert send(transport).outcome.kind is OutcomeKind.ACCEPTED
        assert len(api.received) == 3

    def test_are_not_reused_after_a_rest(self, connect: Connect) -> None:
        brief = {channel: replace(endpoint, max_idle=timedelta(seconds=0.1)) for channel, endpoint in ENDPOINTS.items()}
        with Stand(always(answer())) as api:
            transport = connect(api.url, endpoints=brief)
            send(transport)
            send(transport)
            assert api.connections == 1
            time.sleep(0.15)
            send(transport)
        assert api.connections == 2

    def test_may_rest_less_before_a_gift_than_before_an_sms(self, connect: Connect) -> None:
        mixed = {
            Channel.SMS: ENDPOINTS[Channel.SMS],
            Channel.GIFT: replace(ENDPOINTS[Channel.GIFT], max_idle=timedelta(seconds=0.1)),
        }
        with Stand(always(answer())) as api:
            transport = connect(api.url, endpoints=mixed)
            send(transport)
            time.sleep(0.15)
            send(transport, sms())
            assert api.connections == 1
            time.sleep(0.15)
            send(transport, gift())
        assert api.connections == 2

    def test_with_something_unread_on_them_are_dropped(self, connect: Connect) -> None:
        with Stand(always(answer() + answer(400))) as api:
            transport = connect(api.url)
            for _ in range(3):
                assert send(transport).outcome.kind is OutcomeKind.ACCEPTED
                time.sleep(0.02)
        assert len(api.received) == 3

    def test_on_which_something_came_while_they_rested_are_dropped(self, connect: Connect) -> None:
        def chatty(peer: Peer) -> None:
            while peer.receive() is not None:
                peer.send(answer())
                time.sleep(0.03)
                peer.send(answer(400))

        with Stand(chatty) as api:
            transport = connect(api.url)
            for _ in range(3):
                assert send(transport).outcome.kind is OutcomeKind.ACCEPTED
                time.sleep(0.08)
        assert (api.connections, len(api.received)) == (3, 3)


def test_a_mark_does_not_outlive_its_call(connect: Connect) -> None:
    """A fault before the first byte is not sent, even right after a call on the same thread whose bytes had left."""
    with Stand(once()) as api:
        transport = connect(api.url, capacity=1)
        assert send(transport).outcome.kind is OutcomeKind.IN_DOUBT
    assert named(send(transport).outcome) == (OutcomeKind.NOT_SENT, "refused")
    transport.start([sms(lease=timedelta(seconds=-1))], TOKEN)
    assert gather(transport, 1)[0].outcome.kind is OutcomeKind.NOT_SENT


def secure(connect: Connect, api: Stand, certificates: Certificates) -> Transport:
    """Connect by TLS, trusting the tests' authority."""
    return connect(f"https://127.0.0.1:{api.port}", ca_bundle=str(certificates.authority))


@contextmanager
def full_backlog() -> Iterator[int]:
    """Listen without accepting, with the queue full: a further connect gets no answer at all."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = []
        try:
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
                waiting.append(filler)
            time.sleep(0.05)
            yield port
        finally:
            for filler in waiting:
                filler.close()
