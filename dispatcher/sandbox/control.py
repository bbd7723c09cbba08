"""The sandbox seen from a test or a script: started in a process of its own, steered over HTTP.

Only the standard library is used, so importing this costs nothing.
"""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dispatcher.sandbox.command_line import SECRET_VARIABLE, SIGNING_KEY_VARIABLE, arguments
from dispatcher.sandbox.settings import SandboxSettings

_ANSWER_S = 30
_END_S = 5
_PAGE = 50_000
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class SandboxRefused(ValueError):
    """The sandbox turned a control call down; the message is its own sentence."""


class SandboxNotStarted(RuntimeError):
    """The sandbox ended before it listened; the message is what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One request that reached the sandbox. `at` is in unix seconds; `status` None: no HTTP answer was given."""

    seq: int
    at: float
    kind: str
    path: str
    carried_out: bool
    status: int | None
    fault: str | None
    recipient: str | None
    message: str | None = None
    sku: str | None = None
    amount: str | None = None
    currency: str | None = None
    note: str | None = None
    idempotency_key: str | None
    provider_id: str | None
    jti: str | None
    client_id: str | None


_ENTRY_FIELDS = frozenset(field.name for field in fields(JournalEntry))


@dataclass(frozen=True, slots=True)
class SandboxControl:
    """Steers one running sandbox. Calls raise `SandboxRefused` where the sandbox turns them down."""

    url: str
    pid: int

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change the settings named, and return all that can be changed; without any, only return them."""
        answer: dict[str, Any] = self._call("PATCH", "settings", changes) if changes else self._call("GET", "settings")
        return answer

    def fault(self, *, path: str, action: str, **more: Any) -> None:
        """Add a fault rule behind those there are."""
        self._call("POST", "faults", {"path": path, "action": action, **more})

    def faults(self) -> list[dict[str, Any]]:
        """The rules in force, with the times each has left and how often it fired."""
        rules: list[dict[str, Any]] = self._call("GET", "faults")["faults"]
        return rules

    def clear_faults(self) -> None:
        """Drop every fault rule."""
        self._call("DELETE", "faults")

    def revoke(self, jti: str | None = None) -> None:
        """Refuse one token, or every token issued until now."""
        self._call("POST", "revoke", {"jti": jti})

    def reset(self) -> None:
        """Empty the journal; settings and faults as at the start."""
        self._call("POST", "reset")

    def journal(self, kind: str | None = None) -> list[JournalEntry]:
        """Every entry, or those of one kind, in order of arrival."""
        only = "" if kind is None else f"&kind={kind}"
        entries: list[JournalEntry] = []
        after = 0
        while True:
            page = self._call("GET", f"journal?after={after}&limit={_PAGE}{only}")
            entries += [
                JournalEntry(**{name: value for name, value in entry.items() if name in _ENTRY_FIELDS})
                for entry in page["entries"]
            ]
            if len(page["entries"]) < _PAGE:
                return entries
            after = page["next"]

    def summary(self) -> dict[str, Any]:
        """The totals of the journal."""
        totals: dict[str, Any] = self._call("GET", "summary")
        return totals

    def kill(self) -> None:
        """Kill the sandbox's process outright, as a crash would."""
        os.kill(self.pid, signal.SIGKILL)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the address is that of a sandbox, which speaks http only
            f"{self.url}/_sandbox/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with _NO_PROXY.open(request, timeout=_ANSWER_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise SandboxRefused(json.load(error)["error_description"]) from None


@contextmanager
def running_sandbox(settings: SandboxSettings | None = None) -> Iterator[SandboxControl]:
    """A sandbox in a process of its own, for as long as the block lasts.

    The secret and the signing key go to it by its environment, where a list of processes does not show them. It ends
    with this process even where that is killed, as its standard input closes then.

    Raises:
        SandboxNotStarted: the port is taken, the journal cannot be used, or aiohttp is not installed.
    """
    settings = settings or SandboxSettings()
    environment = {**os.environ, SECRET_VARIABLE: settings.client_secret}
    environment.pop(SIGNING_KEY_VARIABLE, None)
    if settings.signing_key is not None:
        environment[SIGNING_KEY_VARIABLE] = settings.signing_key
    # The child must find this same package, wherever the parent found it and whatever its working folder is.
    package_root = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package_root, environment.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, "-m", "dispatcher.sandbox", "--until-stdin-closes", *arguments(settings)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None,
        text=True,
    )
    with process:
        try:
            url = process.stdout.readline().strip() if process.stdout else ""
            if not url:
                raise SandboxNotStarted(f"the sandbox ended with exit code {process.wait()}; it says why on stderr")
            yield SandboxControl(url, process.pid)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
