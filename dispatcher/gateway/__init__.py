"""The remote API: what a send looks like, who carries it, and what its answer means."""

from typing import TYPE_CHECKING

from dispatcher.lazy import exports

if TYPE_CHECKING:
    from dispatcher.gateway.classify import Answer, Fault, FaultKind, outcome_of
    from dispatcher.gateway.endpoints import Endpoint
    from dispatcher.gateway.gift import gift_endpoint
    from dispatcher.gateway.requests_transport import RequestsTransport
    from dispatcher.gateway.sms import sms_endpoint
else:
    __getattr__ = exports(
        __name__,
        {
            "classify": ["Answer", "Fault", "FaultKind", "outcome_of"],
            "endpoints": ["Endpoint"],
            "gift": ["gift_endpoint"],
            "requests_transport": ["RequestsTransport"],
            "sms": ["sms_endpoint"],
        },
    )

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
