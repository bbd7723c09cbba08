"""The remote API: what a send looks like, who carries it, and what its answer means."""

from __future__ import annotations

from dispatcher.gateway.classify import Answer, Fault, FaultKind, outcome_of
from dispatcher.gateway.endpoints import Endpoint
from dispatcher.gateway.gift import gift_endpoint
from dispatcher.gateway.requests_transport import RequestsTransport
from dispatcher.gateway.sms import sms_endpoint

__all__ = [
    "Answer",
    "Endpoint",
    "Fault",
    "FaultKind",
    "RequestsTransport",
    "gift_endpoint",
    "outcome_of",
    "sms_endpoint",
]
