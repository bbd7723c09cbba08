"""Fixtures of the gateway's tests: a transport that is closed after the test, and certificates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from dispatcher.ports import Transport

from .certificates import Certificates, make_certificates
from .messages import TRANSPORTS

Connect = Callable[..., Transport]
"""``connect(base_url, **settings)`` makes a transport of the kind under test."""


@pytest.fixture(params=TRANSPORTS, ids=lambda factory: factory.__name__)
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Make transports, and close them when the test is over."""
    with ExitStack() as stack:

        def make(base_url: str, **settings: object) -> Transport:
            transport: Transport = request.param(base_url, **settings)
            stack.callback(transport.close)
            return transport

        yield make


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Make an authority and its servers' certificates."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))
