"""Loaded by every process of a chaos run: looks up the API's name, unless it is to seem that DNS is gone."""

import os
import socket

_HOST = "api.chaos.test"
_GONE = os.environ.get("CHAOS_DNS_GONE", "")
_system = socket.getaddrinfo


def _look_up(host, port, *args, **kwargs):  # type: ignore[no-untyped-def]
    if host in (_HOST, _HOST.encode()):
        if os.path.exists(_GONE):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        host = "127.0.0.1"
    return _system(host, port, *args, **kwargs)


socket.getaddrinfo = _look_up
