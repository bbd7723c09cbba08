"""What is particular to the transport on aiohttp."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import TCPConnector

from dispatcher.domain.outcome import OutcomeKind

from .messages import aiohttp_transport, send
from .stand import Stand, always, answer


def test_a_call_that_comes_too_late_to_its_first_byte_does_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that stood still in the meantime has had no chance to hear its own alarm."""
    connect = TCPConnector.connect

    async def stood_still(connector: TCPConnector, *given: Any) -> Any:
        connection = await connect(connector, *given)
        time.sleep(0.3)
        return connection

    monkeypatch.setattr(TCPConnector, "connect", stood_still)
    with Stand(always(answer())) as api:
        transport = aiohttp_transport(api.url, connect_timeout=timedelta(seconds=0.1))
        outcome = send(transport).outcome
        transport.close()
        assert api.received == []
    assert outcome.kind is OutcomeKind.NOT_SENT


def test_a_connection_that_is_closed_as_soon_as_it_is_there_carries_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = TCPConnector.connect

    async def closed(connector: TCPConnector, *given: Any) -> Any:
        connection: Any = await connect(connector, *given)
        connection.protocol.transport.abort()
        return connection

    monkeypatch.setattr(TCPConnector, "connect", closed)
    with Stand(always(answer())) as api:
        transport = aiohttp_transport(api.url)
        outcome = send(transport).outcome
        transport.close()
        assert api.received == []
    assert outcome.kind is OutcomeKind.NOT_SENT, "nothing was written, so nothing is in doubt"
