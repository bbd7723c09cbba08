"""The embedded provider: the sandbox as a process of the stack, which outlives the worker's warm stop."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import replace
from importlib.util import find_spec

from dispatcher.embedded.child import Child, Nursery
from dispatcher.embedded.trouble import ExtrasMissing
from dispatcher.sandbox import SandboxControl, SandboxSettings
from dispatcher.sandbox.command_line import SECRET_VARIABLE, SIGNING_KEY_VARIABLE, arguments

_READY_S = 15
_PATIENCE_S = 5
_URL = re.compile(r"^http://\S+$", re.MULTILINE)


def start_sandbox(nursery: Nursery, settings: SandboxSettings) -> Child:
    """Start a sandbox; ``steer`` waits for it. A port that is taken gives way to any free one.

    :raises ExtrasMissing: aiohttp is not installed.
    """
    if find_spec("aiohttp") is None:
        raise ExtrasMissing("aiohttp")
    if settings.port and _taken(settings.host, settings.port):
        settings = replace(settings, port=0)
    environment = {**os.environ, SECRET_VARIABLE: settings.client_secret}
    environment.pop(SIGNING_KEY_VARIABLE, None)
    if settings.signing_key is not None:
        environment[SIGNING_KEY_VARIABLE] = settings.signing_key
    return nursery.python(
        "sandbox",
        *("dispatcher.sandbox", "--until-stdin-closes", *arguments(settings)),
        environment=environment,
        patience_s=_PATIENCE_S,
    )


def steer(child: Child) -> SandboxControl:
    """Wait until the sandbox listens and return what steers it.

    :raises ChildEnded: it cannot start.
    """
    child.wait_until(lambda: _URL.search(child.said()) is not None, within_s=_READY_S)
    found = _URL.search(child.said())
    assert found is not None  # noqa: S101 - just waited for
    return SandboxControl(found[0], child.process.pid)


def _taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False
