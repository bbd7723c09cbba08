"""No secret, token or client id gets out: not by repr, not by an error and its causes, not by a log."""

from __future__ import annotations

import logging
import traceback
from contextlib import suppress
from datetime import timedelta

import pytest

from dispatcher.domain.errors import TokenUnavailable
from dispatcher.oauth.answer import Answer
from dispatcher.oauth.seal import Opened
from dispatcher.oauth.token import Minted
from tests.hearing import events

from .conftest import CLIENT_ID, SECRET, Bench, credentials_for
from .endpoint import TOKEN_PREFIX, Reply, always, granting, refusing

NEVER = (SECRET, TOKEN_PREFIX, CLIENT_ID, "Basic ")


def test_values_mask_what_they_hold(bench: Bench) -> None:
    source = bench.source()
    token = source.token("write")
    now = bench.clock.now()
    values = [
        source,
        token,
        bench.store(),
        bench.store().read(),
        Minted(value=token.value, lifetime=timedelta(1), scopes=frozenset(), taken=timedelta(0)),
        Opened(value=token.value, scopes=frozenset()),
        Answer(status=200, headers={"x": SECRET}, body=token.value.encode(), taken=timedelta(0), received_at=now),
        source.state(),
    ]
    for value in values:
        assert not [private for private in NEVER if private in f"{value!r} {value}"]
    assert SECRET not in repr(credentials_for(bench.endpoint))


def test_neither_logs_nor_errors_tell(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = f"client {CLIENT_ID} with {SECRET} is not known"
    told = []
    answers = [
        refusing(401, "invalid_client", echo),
        refusing(400, echo, echo),
        refusing(503, "server_error", echo),
        always(Reply(raw=f"{SECRET} {CLIENT_ID}\r\n".encode())),
        always(Reply(body=f'{{"access_token": "{TOKEN_PREFIX}\\n"}}'.encode())),
        granting(token_type=TOKEN_PREFIX),
        granting(expires_in=1e-9),
    ]
    for answer in answers:
        bench.redis.flushall()
        bench.endpoint.answer = answer
        source = bench.source()
        try:
            source.token("write")
        except TokenUnavailable as error:
            told += traceback.format_exception(error)
            told.append(repr((error.__cause__, error.__context__)))
        told.append(repr(source.state()))
    bench.redis.flushall()
    bench.endpoint.answer = granting()
    source = bench.source()
    source.retire(source.token("write").generation)
    source.token("write")
    bench.redis.hset(bench.key("record"), "sealed", "foreign")
    with suppress(TokenUnavailable):
        bench.source().token("write")
    assert {event["event"] for event in events(caplog)} >= {"token_minted", "token_mint_failed", "token_retired"}
    everything = "\n".join([*told, repr(events(caplog)), caplog.text])
    assert "invalid_client" in everything
    assert not [private for private in NEVER if private in everything]
