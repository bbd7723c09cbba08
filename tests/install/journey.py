"""The steps of a user with an installation: help, migrate, worker, clock, pages, an SMS, a gift, check, stop."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from dispatcher.sandbox import SandboxControl
from tests.deploy.image import Installed
from tests.servers import free_port

NUMBER = "+61491570006"
STOP_WITHIN_S = 15
"""A worker with nothing in flight ends well before its longest call would."""
EVERY_HELP = Path(__file__).with_name("every_help.py")


@dataclass(slots=True, kw_only=True)
class Journey:
    """One installation in use, on real servers that it does not share with another."""

    installed: Installed
    folder: Path
    ledger_url: str
    redis_url: str
    sandbox: SandboxControl
    settings: Mapping[str, str] = field(default_factory=dict)
    """More settings, by their variables."""
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def every_help(self) -> dict[str, tuple[int, str]]:
        """Return the exit code and the output of each command's `--help`, by the command."""
        run = self.installed.run(["python", "-P", str(EVERY_HELP)], {}, self.folder, timeout=60)
        assert run.returncode == 0, run.stdout + run.stderr
        return {path: (code, said) for path, (code, said) in json.loads(run.stdout).items()}

    def command(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run `dispatcher …` to its end."""
        return self.installed.run(["dispatcher", *words], self.variables | settings, self.folder, timeout=60)

    def succeeds(self, *words: str, **settings: str) -> str:
        """Run `dispatcher …`, which must end with 0, and return its standard output."""
        ended = self.command(*words, **settings)
        assert ended.returncode == 0, f"{words}: exit {ended.returncode}\n{ended.stdout}{ended.stderr}\n{self.logs()}"
        return ended.stdout

    def start(self, *words: str, until: str, within_s: float = 30) -> None:
        """Start `dispatcher …` and wait until its log has some words."""
        name = words[0]
        log = self.folder / f"{name}.log"
        self.running[name] = self.installed.start(["dispatcher", *words], self.variables, self.folder, log)
        self.wait_until(lambda: until in log.read_text(), within_s=within_s)

    def wait_until(self, holds: Callable[[], bool], *, within_s: float = 30) -> None:
        """Wait for a condition; fail with the logs if it never holds or a process ends before it does."""
        ends = time.monotonic() + within_s
        while not holds():
            ended = {name: each.poll() for name, each in self.running.items() if each.poll() is not None}
            assert not ended, f"ended: {ended}\n{self.logs()}"
            assert time.monotonic() < ends, self.logs()
            time.sleep(0.05)

    def stop_all(self) -> dict[str, int]:
        """Send SIGTERM to every process; return their exit codes.

        :raises AssertionError: one of them did not end in time.
        """
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        ends, codes = time.monotonic() + STOP_WITHIN_S, {}
        for name, process in self.running.items():
            try:
                codes[name] = process.wait(timeout=max(0.1, ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{name} still runs {STOP_WITHIN_S} s after SIGTERM\n{self.logs()}") from None
        self.running.clear()
        return codes

    def logs(self) -> str:
        """Return the ends of the processes' logs."""
        return "\n".join(f"{path.name}:\n{path.read_text()[-3000:]}" for path in self.folder.glob("*.log"))

    @property
    def variables(self) -> dict[str, str]:
        """The environment that the documentation asks for."""
        return {
            "DISPATCHER_HOME": str(self.folder / "home"),
            "DISPATCHER_LEDGER_URL": self.ledger_url,
            "DISPATCHER_REDIS_URL": self.redis_url,
            "DISPATCHER_API_BASE_URL": self.sandbox.url,
            "DISPATCHER_CLIENT_ID": "sandbox-client",
            "DISPATCHER_CLIENT_SECRET": "sandbox-secret",
            "DISPATCHER_PROCESSES": "1",
            **self.settings,
        }

    @contextmanager
    def cleaned_up(self) -> Iterator[Journey]:
        """Kill the processes that still run at the end."""
        try:
            yield self
        finally:
            for process in self.running.values():
                with suppress(ProcessLookupError):
                    process.kill()
                process.wait(timeout=10)


def take(journey: Journey, *, metrics: bool = False, pages: bool = False) -> None:
    """Take an installation through all that a user does with it.

    :param metrics: worker and clock also serve `/healthz` and `/metrics`.
    :param pages: the operator's pages are served too.
    """
    failed = {path: said for path, (code, said) in journey.every_help().items() if code or "Usage:" not in said}
    assert failed == {}
    journey.succeeds("--help")
    journey.succeeds("migrate")
    ports = {name: free_port() for name in ("worker", "clock", "web")}
    for name, until in (("worker", '"event": "ready"'), ("clock", '"event": "clock_ready"')):
        journey.start(name, *(["--metrics-port", str(ports[name])] if metrics else []), until=until)
    if pages:
        journey.start("web", "--port", str(ports["web"]), until="The pages are at")

    before = {kind: len(journey.sandbox.journal(kind=kind)) for kind in ("sms", "gift")}
    journey.succeeds("sms", NUMBER, "It works", "--wait", "20")
    journey.succeeds(*f"gift {NUMBER} --sku COFFEE --amount 5 --currency AUD --key order-1 --wait 20".split())
    for kind, earlier in before.items():
        assert [entry.carried_out for entry in journey.sandbox.journal(kind=kind)[earlier:]] == [True], kind

    checked = json.loads(journey.succeeds("check", "--json"))
    assert warnings(checked) <= (_ON_SQLITE if journey.ledger_url.startswith("sqlite") else _ON_A_QUICK_POSTGRESQL)
    served = [f"http://127.0.0.1:{ports[name]}" for name in ("worker", "clock") if metrics]
    served += [f"http://127.0.0.1:{ports['web']}"] if pages else []
    for url in served:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert answers(url + path) == 200, url + path
    ended = journey.stop_all()
    assert ended == dict.fromkeys(("worker", "clock", *(["web"] if pages else [])), 0), ended


def warnings(checked: dict[str, object]) -> set[str]:
    """Return the names of the steps of `check --json` that are not well."""
    steps = checked["steps"]
    assert isinstance(steps, list)
    return {step["name"] for step in steps if step["mark"] != "ok"}


def answers(url: str) -> int | None:
    """Return the status of a URL; None if nothing answers there."""
    try:
        with urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except URLError as error:
        return getattr(error, "code", None)


_ON_SQLITE = {"journal"}
"""`dispatcher check` reminds every user of SQLite that it is for one host."""
_ON_A_QUICK_POSTGRESQL = {"durability"}
"""The tests' server does not wait for its disk, of which `dispatcher check` warns."""
