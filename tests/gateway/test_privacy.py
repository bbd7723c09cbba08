"""No secret, number or text gets out: not by repr, not by a log, not by what is kept of an answer."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from dispatcher.domain.outcome import OutcomeKind
from tests.hearing import events

from .conftest import Connect
from .messages import NOTE, NUMBER, SECRET, TEXT, TOKEN, gather, gift, send, sms
from .stand import Peer, Script, Stand, answer, once

PRIVATE = (SECRET, NUMBER, NUMBER[1:], "0491570006", TEXT, NOTE, "918273")


def echo(status: int) -> Script:
    """Answer with all that was sent, as a careless API or gateway does."""

    def script(peer: Peer) -> None:
        while (received := peer.receive()) is not None:
            body = received.headers["authorization"].encode() + b" said " + received.body
            peer.send(answer(status, body, x_echo=received.headers["authorization"]))

    return script


def garble(peer: Peer) -> None:
    """Echo the token where no HTTP client can parse it."""
    while (received := peer.receive()) is not None:
        secret = received.headers["authorization"].encode()
        peer.send(b"HTTP/1.1 400 Bad\r\n" + secret + b"\r\n: \r\n" + secret + received.body + b"\r\n\r\n")


@pytest.mark.parametrize("script", [echo(200), echo(400), echo(503), echo(302), echo(700), garble])
def test_nothing_private_gets_out(connect: Connect, script: Script, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Stand(script) as api:
        transport = connect(api.url)
        sents = [send(transport, message) for message in (sms(), gift())]
    assert len(api.received) == 2
    shown = caplog.text + repr(events(caplog)) + repr(transport)
    for sent in sents:
        outcome = sent.outcome
        shown += f"{sent!r} {outcome.response} {outcome.error} {outcome.error_description} {outcome.provider_id}"
    for private in PRIVATE:
        assert private not in shown


def test_an_id_that_is_the_recipients_number_is_hidden(connect: Connect) -> None:
    with Stand(once(answer(200, b'{"id":"to-61491570006-1"}'))) as api:
        outcome = send(connect(api.url)).outcome
    assert (outcome.kind, outcome.provider_id) == (OutcomeKind.ACCEPTED, "to-[hidden]-1")


def test_a_token_that_cannot_be_a_header_stays_out_of_the_log(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Stand(Peer.hang) as api:
        transport = connect(api.url)
        transport.start([sms()], replace(TOKEN, value=SECRET + "\r\nX-Injected: yes"))
        (sent,) = gather(transport, 1)
        assert api.bytes_seen == 0
    assert sent.outcome.kind is OutcomeKind.NOT_SENT
    assert SECRET not in caplog.text + repr(events(caplog)) + repr(sent) + str(sent.outcome.error_description)
