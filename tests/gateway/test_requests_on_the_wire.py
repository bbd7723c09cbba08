"""What leaves: path, scope, headers and body of each channel."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.gateway import gift_endpoint, sms_endpoint
from dispatcher.gateway.gift import gift_body
from dispatcher.gateway.sms import sms_body

from .conftest import Connect
from .messages import ENDPOINTS, NOTE, NUMBER, SECRET, TEXT, TOKEN, gift, send, sms
from .stand import Stand, always, answer


def test_an_sms_is_posted_as_the_documentation_says(connect: Connect) -> None:
    message = sms("Grüße, 你好 \U0001f389")
    with Stand(always(answer())) as api:
        send(connect(api.url), message)
    (received,) = api.received
    assert (received.method, received.target) == ("POST", "/sendSMS")
    assert json.loads(received.body) == {"recipient": NUMBER, "message": "Grüße, 你好 \U0001f389"}
    assert received.headers["authorization"] == f"Bearer {SECRET}"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["idempotency-key"] == str(message.id)
    assert received.headers["user-agent"].startswith("dispatcher")
    assert "cookie" not in received.headers
    assert "transfer-encoding" not in received.headers


def test_a_gift_is_posted_with_its_amount_as_exact_text(connect: Connect) -> None:
    with Stand(always(answer())) as api:
        send(connect(api.url), gift(amount="1000.10"))
    (received,) = api.received
    assert received.target == "/gifting/send"
    assert json.loads(received.body) == {
        "recipient": NUMBER,
        "sku": "CARD-25",
        "amount": "1000.10",
        "currency": "AUD",
        "note": NOTE,
    }
    assert b'"1E+3"' not in gift_body(gift(amount="1E+3"))


def test_the_idempotency_key_is_the_same_on_every_attempt(connect: Connect) -> None:
    message = sms()
    with Stand(always(answer(500))) as api:
        transport = connect(api.url)
        send(transport, message)
        send(transport, message)
        send(transport, sms())
    first, second, other = (received.headers["idempotency-key"] for received in api.received)
    assert first == second == str(message.id) != other


def test_paths_are_settings_and_a_path_in_the_base_url_is_kept(connect: Connect) -> None:
    endpoints = {Channel.SMS: sms_endpoint("/v3/messages"), Channel.GIFT: gift_endpoint("/v3/gifts")}
    with Stand(always(answer())) as api:
        transport = connect(api.url + "/api/", endpoints=endpoints)
        send(transport, sms())
        send(transport, gift())
    assert [received.target for received in api.received] == ["/api/v3/messages", "/api/v3/gifts"]


def test_each_channel_needs_its_documented_scope() -> None:
    assert {channel: endpoint.scope for channel, endpoint in ENDPOINTS.items()} == {
        Channel.SMS: "write",
        Channel.GIFT: "gifting:send",
    }
    assert ENDPOINTS[Channel.SMS].max_idle == timedelta(seconds=5)
    assert ENDPOINTS[Channel.GIFT].max_idle == timedelta(seconds=2)


def test_the_probe_asks_without_sending_anything(connect: Connect) -> None:
    with Stand(always(answer(200, b"{}"))) as api:
        outcome = connect(api.url, probe_path="/test-oauth2").probe(TOKEN)
    (received,) = api.received
    assert (received.method, received.target, received.body) == ("GET", "/test-oauth2", b"")
    assert received.headers["authorization"] == f"Bearer {SECRET}"
    assert "idempotency-key" not in received.headers
    assert outcome.kind is OutcomeKind.ACCEPTED


@pytest.mark.parametrize(("status", "kind"), [(401, "unauthorized"), (403, "misconfigured"), (503, "failed")])
def test_the_probe_is_classified_like_a_send(connect: Connect, status: int, kind: str) -> None:
    with Stand(always(answer(status, b'{"error":"nope"}'))) as api:
        outcome = connect(api.url).probe(TOKEN)
    assert (outcome.kind, outcome.http_status, outcome.error) == (kind, status, "nope")


def test_the_probe_says_what_keeps_it_from_the_api(connect: Connect) -> None:
    outcome = connect("http://127.0.0.1:1").probe(TOKEN)
    assert (outcome.kind, outcome.error) == (OutcomeKind.NOT_SENT, "refused")


def test_a_body_of_the_wrong_channel_is_refused_before_anything_leaves(connect: Connect) -> None:
    with pytest.raises(ValueError, match="text"):
        sms_body(gift())
    with pytest.raises(ValueError, match="sku"):
        gift_body(sms(TEXT))
    swapped = {Channel.SMS: gift_endpoint("/gifting/send")}
    with Stand(always(answer())) as api:
        sent = send(connect(api.url, endpoints=swapped))
    assert (sent.outcome.kind, sent.outcome.error) == (OutcomeKind.NOT_SENT, "ValueError")
    assert api.received == []
