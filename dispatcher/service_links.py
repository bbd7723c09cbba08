"""Variables that Kubernetes sets in every container for each Service of its namespace ("service links").

A Service ``dispatcher-web`` on port 8080 gives ``DISPATCHER_WEB_SERVICE_HOST``, ``DISPATCHER_WEB_SERVICE_PORT``,
``DISPATCHER_WEB_PORT`` (a URL) and ``DISPATCHER_WEB_PORT_8080_TCP`` with ``_PROTO``, ``_PORT`` and ``_ADDR``. They look
like settings and are none. Source: Kubernetes documentation, "Connecting Applications with Services".
"""

from __future__ import annotations

import ipaddress
import re

_PORT_URL = re.compile(r"(?:tcp|udp|sctp)://(?P<host>[^/@]+):\d{1,5}", re.IGNORECASE)
_DIGITS = re.compile(r"\d{1,5}")
_OF_PORT = re.compile(r".*_PORT_\d{1,5}_(?:TCP|UDP|SCTP)(?:_(?P<part>PROTO|PORT|ADDR))?")


def is_service_link(name: str, value: str) -> bool:
    """Return whether Kubernetes set a variable. Name and value must both have the form of such a variable.

    >>> is_service_link("DISPATCHER_METRICS_PORT", "tcp://10.0.171.239:9102")
    True
    >>> is_service_link("DISPATCHER_METRICS_PORT", "9102"), is_service_link("DISPATCHER_WEB_HOST", "10.0.0.1")
    (False, False)
    """
    found = _OF_PORT.fullmatch(name)
    if found is not None:
        match found["part"]:
            case "PROTO":
                return value.lower() in {"tcp", "udp", "sctp"}
            case "PORT":
                return _DIGITS.fullmatch(value) is not None
            case "ADDR":
                return _is_address(value)
            case _:
                return _is_port_url(value)
    if name.endswith("_SERVICE_HOST"):
        return _is_address(value)
    if re.search(r"_SERVICE_PORT(?:_[A-Z0-9_]+)?\Z", name):
        return _DIGITS.fullmatch(value) is not None
    return name.endswith("_PORT") and _is_port_url(value)


def _is_port_url(value: str) -> bool:
    found = _PORT_URL.fullmatch(value)
    return found is not None and _is_address(found["host"])


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
