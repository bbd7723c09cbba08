"""docker-compose.yml as tests see it: what a container gets of each service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[2]
FILE = PROJECT / "docker-compose.yml"


@dataclass(frozen=True, slots=True)
class Service:
    """One service, merges and anchors resolved."""

    name: str
    given: Mapping[str, Any]

    @property
    def ours(self) -> bool:
        """Say whether it runs an image that is built here."""
        return "build" in self.given

    @property
    def system(self) -> str:
        """Which of the two systems it is part of: ``production``, or ``sandbox``, which only its profile starts."""
        return "sandbox" if "sandbox" in self.given.get("profiles", []) else "production"

    @property
    def command(self) -> list[str]:
        """The arguments that its image's entry point gets."""
        return [str(word) for word in self.given["command"]]

    @property
    def environment(self) -> dict[str, str | None]:
        """Its variables; None where the value is taken from the shell or from .env."""
        return dict(self.given.get("environment") or {})

    @property
    def health(self) -> list[str] | None:
        """The program that says whether it is healthy, with its arguments."""
        if "healthcheck" not in self.given:
            return None
        kind, *program = self.given["healthcheck"]["test"]
        assert kind == "CMD", f"{self.name}: a shell would hide what a list of arguments shows"
        return [str(word) for word in program]

    @property
    def secrets(self) -> list[str]:
        return list(self.given.get("secrets", ()))

    @property
    def networks(self) -> list[str]:
        return list(self.given.get("networks", ()))

    @property
    def mounts(self) -> dict[str, str]:
        """Where in the container which volume is."""
        return {each.split(":")[1]: each.split(":")[0] for each in self.given.get("volumes", ())}

    @property
    def needs(self) -> dict[str, str]:
        """The services that it waits for, with the condition."""
        return {name: rule["condition"] for name, rule in self.given.get("depends_on", {}).items()}

    @property
    def grace(self) -> float:
        """Seconds from SIGTERM to SIGKILL."""
        return seconds(self.given.get("stop_grace_period", "10s"))


def read() -> dict[str, Any]:
    """Return the whole file."""
    found = yaml.safe_load(FILE.read_text())
    assert isinstance(found, dict)
    return found


def services(*, system: str | None = None) -> dict[str, Service]:
    """Return the services by name: all of them, or those of a system, which are the real one and the sandbox's."""
    found = {name: Service(name, given) for name, given in read()["services"].items()}
    return {name: each for name, each in found.items() if system in (None, each.system)}


def seconds(duration: str) -> float:
    """Return a duration of compose in seconds.

    >>> seconds("1m30s")
    90.0
    """
    parts = re.findall(r"(\d+)(ms|s|m|h)", duration)
    assert "".join(number + unit for number, unit in parts) == duration, f"{duration!r} is not a duration"
    return sum(int(number) * {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}[unit] for number, unit in parts)
