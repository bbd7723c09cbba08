"""What is particular to the transport on requests."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import socket
import threading
import time
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

import dispatcher.gateway
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.gateway.wire import Wire
from dispatcher.ports import Transport

from .messages import TOKEN, gather, requests_transport, send, sms
from .stand import Stand, always, answer


def gateway_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("gateway-")}


def test_threads_are_made_as_load_grows_and_do_not_keep_the_process_alive() -> None:
    before = gateway_threads()
    with Stand(always(answer(), after=0.02)) as api, closing(requests_transport(api.url, capacity=32)) as transport:
        for _ in range(4):
            send(transport)
        assert len(gateway_threads() - before) == 1
        transport.start([sms() for _ in range(8)], TOKEN)
        assert len(gateway_threads() - before) == 8
        transport.start([sms() for _ in range(100)], TOKEN)
        assert len(gateway_threads() - before) == 32
        assert all(thread.daemon for thread in gateway_threads())
        gather(transport, 108)


def test_a_name_that_resolves_too_late_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking a name up cannot be interrupted; but what comes of it too late is not used."""
    look_up = socket.getaddrinfo

    def slow(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.5)
        return look_up(*args, **kwargs)

    with Stand(always(answer())) as api, closing(requests_transport(api.url)) as transport:
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        outcome = send(transport).outcome
    assert (outcome.kind, outcome.error) == (OutcomeKind.NOT_SENT, "connect_timeout")
    assert api.bytes_seen == 0


def test_a_call_that_comes_too_late_to_its_first_byte_does_not_leave() -> None:
    wire = Wire(connect_timeout=timedelta(seconds=9), read_timeout=timedelta(seconds=9))
    wire.begin(max_idle=timedelta(seconds=9), leave_within=timedelta(0))
    with pytest.raises(TimeoutError):
        wire.leave()
    assert not wire.bytes_left


def test_it_is_a_transport() -> None:
    transport: Transport = requests_transport("http://127.0.0.1:1")
    assert transport.in_flight == 0


@pytest.mark.parametrize("module", [info.name for info in pkgutil.iter_modules(dispatcher.gateway.__path__)])
def test_the_examples_in_its_docstrings_hold(module: str) -> None:
    assert doctest.testmod(importlib.import_module(f"dispatcher.gateway.{module}")).failed == 0
