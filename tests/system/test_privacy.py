"""Invariant 11: no secret, token, number or text in logs, in Redis or on a command line, whatever goes wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dispatcher import Sms
from tests.peeking import everything_in
from tests.system.conftest import System

pytestmark = pytest.mark.slow

NUMBER, TEXT, NOTE = "+61491570156", "the parcel is under the third flowerpot", "for the silent neighbour"


def command_lines(system: System) -> str:
    shown = [Path(f"/proc/{process.pid}/cmdline") for process in system.processes]
    return "\n".join(path.read_bytes().replace(b"\0", b" ").decode() for path in shown if path.exists())


def test_invariant_11_nothing_private_leaks_under_faults_at_debug(system: System) -> None:
    for action in ("cut_after_accepting", "garbage", "cut_body", "hang"):
        system.sandbox.fault(path="*", action=action, probability=0.15)
    system.sandbox.fault(path="/sendSMS", action="status", status=400, error_description=f"bad {NUMBER}", times=5)
    system.worker(LOG_LEVEL="DEBUG")
    system.clock()
    seen = ""
    with system.client() as client:
        client.send_many(Sms(recipient=NUMBER, body=f"{TEXT} {n}") for n in range(60))
        for n in range(10):
            client.send_gift(NUMBER, sku="CARD", amount="77.31", currency="AUD", idempotency_key=f"o-{n}", note=NOTE)
        for _ in range(10):
            seen += everything_in(system.redis)
            time.sleep(0.3)
        system.sandbox.revoke()
        system.wait_settled(seconds=90)
    seen += everything_in(system.redis)
    everything = seen + command_lines(system)
    for log in system.folder.glob("*.log"):
        everything += log.read_text(errors="replace")
    tokens = [entry.jti for entry in system.sandbox.journal(kind="token") if entry.jti]
    assert '"event": "attempt"' in everything, "the faults must have been logged"
    assert tokens
    for private in (NUMBER, NUMBER[1:], TEXT, NOTE, "77.31", "sandbox-secret", "Bearer ", "eyJhbGci", *tokens):
        assert private not in everything, private
