"""pyproject.toml as tests see it: the dependencies of the package and of each extra."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from tests.deploy.composed import PROJECT

FILE = PROJECT / "pyproject.toml"
FOR_DEVELOPERS = ("dev", "bench")
"""Extras that no user installs."""


@dataclass(frozen=True, slots=True)
class Project:
    """The declarations of a pyproject.toml."""

    given: Mapping[str, Any]

    @property
    def dependencies(self) -> list[str]:
        """The dependencies of every installation."""
        return list(self.given["project"]["dependencies"])

    @property
    def extras(self) -> dict[str, list[str]]:
        """The entries of each extra for users."""
        extras: dict[str, list[str]] = self.given["project"]["optional-dependencies"]
        return {name: list(lines) for name, lines in extras.items() if name not in FOR_DEVELOPERS}

    def required(self, *extras: str) -> Iterator[Requirement]:
        """Yield the requirements of an installation with some extras, and of the extras that these name."""
        name = self.given["project"]["name"]
        for line in [*self.dependencies, *(line for extra in extras for line in self.extras[extra])]:
            requirement = Requirement(line)
            if requirement.name != name:
                yield requirement
            elif requirement.extras:
                yield from self.required(*requirement.extras)


def read(file: Path = FILE) -> Project:
    """Read a pyproject.toml."""
    return Project(tomllib.loads(file.read_text()))
